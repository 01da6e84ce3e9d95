"""Embed images, and train and score the study's encoders, by the workers of a cluster; files are as of one process."""

from __future__ import annotations

import copy
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import torch
from distributed import Client, Future
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from timm.models.vision_transformer import VisionTransformer

from meddel import __version__, artefacts, embed, study, wording
from meddel.config import Head, Run
from meddel.embed import Pool
from meddel.progress import progress
from meddel.scale.workers import RETRIES, check_asked, check_workers, connect, finished, in_one_line, unseen
from meddel.store import Store, StoreWriter
from meddel.study import ledger
from meddel.study.grid import Cell, Job, every_job, selected_cells
from meddel.study.pipeline import embedded_pool
from meddel.study.results import require_contracts

MEMORY_EACH = 2 << 30
"""Bytes of free memory that a worker should find which trains the study's encoders; it holds about 1.5 GB."""
_models: dict[str, Any] = {}
"""The last model of this worker, as reading it takes longer than embedding a shard."""


def embed_images(
    index: pa.Table,
    out: Path,
    client: Client,
    *,
    model: VisionTransformer,
    batch: int = 64,
    pool: Pool = "avg",
    shard_rows: int | None = None,
) -> Store:
    """Embed every image of `index` as `meddel.embed.embed` does, a task a shard, and return the store.

    Workers of `client`, which see the folder `out` and the images, compute on their GPU if all of them have one, on the
    processor otherwise. There, embeddings are those of one process with as many threads as a worker has.
    """
    device = "cuda" if all(client.run(torch.cuda.is_available).values()) else "cpu"

    def shards(writer: StoreWriter, network: VisionTransformer) -> Iterator[np.ndarray]:
        filed = writer.folder.resolve() / f"weights-{secrets.token_hex(8)}.safetensors"
        artefacts.write_bytes(filed, to_safetensors({k: v.cpu().contiguous() for k, v in network.state_dict().items()}))
        shape = copy.deepcopy(network).to("meta")  # travels with each task: without weights it is small
        settings, n = (shape, str(filed), batch, device, pool), index.num_rows
        begun: list[Future] = []
        try:
            for start in range(writer.done, n, writer.shard_rows):
                rows = index.take(np.arange(start, min(start + writer.shard_rows, n)))  # a slice would take all along
                begun.append(client.submit(embed_shard, rows, *settings, pure=False, retries=RETRIES))
            with in_one_line(client), progress(what="embed", total=n, unit="image", done=writer.done) as bar:
                while begun:
                    found = begun[0].result()
                    del begun[0]  # so that its worker forgets it
                    bar.update(len(found))
                    yield found
        finally:
            filed.unlink(missing_ok=True)
            if begun and client.status == "running":
                client.cancel(begun)

    given = {"batch": batch, "device": device, "pool": pool, "shard_rows": shard_rows}
    return embed.embed(index, out, model=model, shards=shards, **given)


def embed_shard(
    index: pa.Table, shape: VisionTransformer, weights: str, batch: int, device: str, pool: Pool
) -> np.ndarray:
    """Return the embeddings of a shard's images, float16 [m, d], by `shape` with the file `weights` (a task)."""
    if _models.get("path") != (weights, device):
        try:
            state = load_file(weights, device)
        except OSError as error:
            raise unseen("can't see the output's folder", weights) from error
        model = shape.to_empty(device=device)
        model.load_state_dict(state)
        _models.update(path=(weights, device), model=model.eval())
    rows = embed.embed_rows(index, _models["model"], batch, device, pool)
    with np.errstate(over="ignore"):  # what overflows is infinite, which the store refuses
        return rows.astype(np.float16)


def fitting_workers() -> int:
    """Return how many workers suit this machine: one a core, as far as the free memory allows; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, psutil.virtual_memory().available // MEMORY_EACH - 1))


def share_study(run: Run, added: list[str], scheduler: str | None, workers: int | None) -> None:
    """Compute what is missing of the whole study by workers, that of the selectors `added` included.

    Without a scheduler and a number of workers, take as many as suit this machine, and none where there is a GPU. With
    one worker nothing is done: it would be this process itself, and the notebooks compute.
    """
    check_asked(scheduler, workers)
    if scheduler is None:
        workers = workers or (fitting_workers() if run.device == "cpu" else 1)
        if workers == 1:
            return
    own = [cell for seed in run.seeds for cell in selected_cells(run, tuple(added), seed)]
    todo = [*every_job(run), *study.jobs(run, own)]
    if not ledger.missing(run, todo):
        return
    start = time.perf_counter()
    with connect(scheduler, workers) as client:
        count = compute_study(run, client, todo)
    took = wording.duration(time.perf_counter() - start)
    print(f"{count} encoders trained or scored by workers in {took}", flush=True)


def compute_study(run: Run, client: Client, jobs: Iterable[Job]) -> int:
    """Compute what is missing of some jobs of the study, a task an encoder, and return how many encoders that were.

    All workers see the run's folders, of the data and for the output. A worker that has a GPU computes on it. The
    encoder of a seed's whole pool comes first, as it embeds what the others select from.
    """
    run = run.model_copy(update={"out": run.out.resolve(), "data": run.data.resolve()})
    study.study_pixels(run, study.study_index(run))  # one process indexes and decodes, before several read
    todo = ledger.missing(run, jobs)
    require_contracts(todo)
    check_workers(client, see_data, str(run.out), str(run.data), artefacts.hash_of_listing(run.data))
    with progress(what="study", total=len(todo), unit="encoder") as bar:
        for cell, _ in finished(client, _submitted(run, client, todo)):
            bar.update(cell in todo)
    return len(todo)


def see_data(out: str, data: str, listing: str) -> str:
    """Return this worker's version of the package, if it sees the output's folder, and the data as they were listed."""
    if not Path(out, "index.parquet").is_file():
        raise unseen("can't see the output's folder", out)
    if artefacts.hash_of_listing(Path(data)) != listing:
        raise unseen("can't see the data as they are", data)
    return __version__


def train(run: Run, cell: Cell, on: list[tuple[str, Head]], others: list[str], after: None = None) -> None:
    """Train an encoder and score it on these sets and heads, when the task `after` is finished (a task).

    `others` are selectors for which the pool is embedded with it: those that wait for this task.
    """
    os.environ["MEDDEL_PROGRESS"] = "0"  # its bars would come among those of the others
    run = run.model_copy(update={"device": "cuda" if torch.cuda.is_available() else "cpu"})
    study.compute(run, {cell: on})
    if others:
        embedded_pool(run, cell.seed, others)


def _submitted(run: Run, client: Client, todo: dict[Cell, list[tuple[str, Head]]]) -> dict[Future, Cell]:
    """Begin the tasks, those of a seed's whole pool before the others of that seed."""
    futures: dict[Future, Cell] = {}
    for seed in dict.fromkeys(cell.seed for cell in todo):
        mine, whole, first = [cell for cell in todo if cell.seed == seed], study.whole_pool(seed), None
        others = sorted({cell.selector for cell in mine if cell.selects})
        if whole in todo or others:
            on = todo.get(whole, [])
            first = client.submit(train, run, whole, on, others, pure=False, retries=RETRIES, priority=1)
            futures[first] = whole
        for cell in mine:
            if cell != whole:
                after = first if cell.selects else None
                futures[client.submit(train, run, cell, todo[cell], [], after, pure=False, retries=RETRIES)] = cell
    return futures
