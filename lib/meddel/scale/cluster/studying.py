"""The study's encoders, shared by the workers of a cluster: a task trains one, and scores it on every set.

A task makes the files that one process would make, in the run's folder, which all workers see; `meddel.study.run_study`
then finds everything done. Scores are the same, too, where the profile states its `threads`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

import torch
from distributed import Client, Future

from meddel import artefacts, study, wording
from meddel.config import Head, Run
from meddel.progress import progress
from meddel.scale.cluster.connecting import check_asked, connect, fitting_workers
from meddel.scale.cluster.shared import RETRIES, check_workers, finished
from meddel.scale.cluster.tasks import see_data
from meddel.study import Cell, Job, every_job, ledger, selected_cells
from meddel.study.pipeline import embed_pool
from meddel.study.results import require_contracts


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
    """Compute what is missing of some jobs of the study by a cluster's workers, each encoder by one of them.

    The encoder of a seed's whole pool comes first, as it embeds what the others select from. A worker that has a GPU
    computes on it. Work that was cut off goes on from the files in the run's folder.

    Parameters
    ----------
    run : Run
        All workers see its folders, of the data and for the output, at the same paths.
    client : Client
        From `meddel.scale.cluster.connect`.
    jobs : iterable of (Cell, str, Head)
        From `meddel.study.jobs`.

    Returns
    -------
    int
        How many encoders were trained or scored.

    Raises
    ------
    MedDELError
        As `meddel.study.run_study`; a worker does not see the folders (it is named), or the scheduler is lost.
    """
    run = run.model_copy(update={"out": run.out.resolve(), "data": run.data.resolve()})
    study.study_pixels(run, study.study_index(run))  # one process indexes and decodes, before several read
    todo = ledger.missing(run, jobs)
    require_contracts(todo)
    check_workers(client, see_data, str(run.out), str(run.data), artefacts.hash_of_listing(run.data))
    futures = _submitted(run, client, todo)
    with progress(what="study", total=len(todo), unit="encoder") as bar:
        for cell, _ in finished(client, futures):
            bar.update(cell in todo)
    return len(todo)


def train(run: Run, cell: Cell, on: list[tuple[str, Head]], after: None = None) -> None:
    """Train an encoder and score it on these sets and heads, when the task `after` is finished."""
    study.compute(_on_this_worker(run), {cell: on})


def train_whole(run: Run, seed: int, on: list[tuple[str, Head]], others: list[str]) -> None:
    """Train and score the encoder of a seed's whole pool, and make what these other selectors work on."""
    mine, cell = _on_this_worker(run), study.whole_pool(seed)
    study.compute(mine, {cell: on})
    if others:
        index = study.study_index(mine)
        embed_pool(mine, study.study_pixels(mine, index), study.split(mine, index, seed), others)


def _submitted(run: Run, client: Client, todo: dict[Cell, list[tuple[str, Head]]]) -> dict[Future, Cell]:
    """Begin the tasks, one an encoder, those of a seed's whole pool before the others of that seed."""
    futures: dict[Future, Cell] = {}
    for seed in dict.fromkeys(cell.seed for cell in todo):
        mine, whole, first = [cell for cell in todo if cell.seed == seed], study.whole_pool(seed), None
        others = sorted({cell.selector for cell in mine if cell.selects})
        if whole in todo or others:
            on = todo.get(whole, [])
            first = client.submit(train_whole, run, seed, on, others, pure=False, retries=RETRIES, priority=1)
            futures[first] = whole
        for cell in mine:
            if cell != whole:
                after = first if cell.selects else None
                futures[client.submit(train, run, cell, todo[cell], after, pure=False, retries=RETRIES)] = cell
    return futures


def _on_this_worker(run: Run) -> Run:
    """Return the run on this worker's GPU, if it has one; its bars would come among those of the others."""
    os.environ["MEDDEL_PROGRESS"] = "0"
    return run.model_copy(update={"device": "cuda" if torch.cuda.is_available() else "cpu"})
