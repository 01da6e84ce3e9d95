"""Images embedded by the workers of a cluster: a task is a shard, and this process writes the shards in order."""

from __future__ import annotations

import copy
import secrets
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from distributed import Client, Future
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from timm.models.vision_transformer import VisionTransformer

from meddel import artefacts, embed
from meddel.embed import Pool
from meddel.progress import progress
from meddel.scale.cluster.connecting import said
from meddel.scale.cluster.shared import RETRIES
from meddel.scale.cluster.tasks import unseen
from meddel.store import Store, StoreWriter

_models: dict[str, Any] = {}
"""The last model of this worker, as reading it takes longer than embedding a shard."""
_AHEAD = 2  # shards for each thread that are begun before the oldest is written


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
    """Embed every image of `index` as `meddel.embed.embed` does, by a cluster's workers, and return the store.

    Workers compute on their GPU if all of them have one, on the processor otherwise. On processors embeddings are those
    of one process with as many threads as a worker has. Work that was cut off goes on behind the last shard written.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`, n rows; workers see the images at its paths.
    out : Path
        The store's folder, which workers see.
    client : Client
        From `meddel.scale.cluster.connect`.
    model, batch, pool, shard_rows
        As for `meddel.embed.embed`.

    Raises
    ------
    MedDELError
        As `meddel.embed.embed`; a worker does not see the folder (it is named), or the scheduler is lost.
    """
    device = "cuda" if all(client.run(torch.cuda.is_available).values()) else "cpu"

    def shards(writer: StoreWriter, network: VisionTransformer) -> Iterator[np.ndarray]:
        filed = writer.folder.resolve() / f"weights-{secrets.token_hex(8)}.safetensors"
        artefacts.write_bytes(filed, to_safetensors({k: v.cpu().contiguous() for k, v in network.state_dict().items()}))
        shape = copy.deepcopy(network).to("meta")  # travels with each task: without weights it is small
        try:
            yield from _in_order(writer, client, (shape, str(filed), batch, device, pool))
        finally:
            filed.unlink(missing_ok=True)

    return embed.embed(
        index, out, model=model, batch=batch, device=device, pool=pool, shard_rows=shard_rows, shards=shards
    )


def embed_shard(
    index: pa.Table, shape: VisionTransformer, weights: str, batch: int, device: str, pool: Pool
) -> np.ndarray:
    """Return the embeddings of a shard's images, float16 [m, d]; what overflows is infinite.

    Parameters
    ----------
    index : pa.Table
        The shard's rows.
    shape : VisionTransformer
        The model without its weights, on torch's device ``meta``.
    weights : str
        They, as safetensors in a folder that is shared.
    batch, device, pool
        As for `meddel.embed.embed`.
    """
    if _models.get("path") != (weights, device):
        _models.update(path=(weights, device), model=_loaded(shape, weights, device))
    rows = embed.embed_rows(index, _models["model"], batch, device, pool)
    with np.errstate(over="ignore"):
        return rows.astype(np.float16)


def _in_order(writer: StoreWriter, client: Client, settings: tuple) -> Iterator[np.ndarray]:
    """Yield the shards that the writer waits for; some are begun ahead, but never all, as their results take memory."""
    starts = deque(range(writer.done, writer.index.num_rows, writer.shard_rows))
    begun: deque[Future] = deque()
    try:
        with said(client), progress(what="embed", total=writer.index.num_rows, unit="image", done=writer.done) as bar:
            while starts or begun:
                while starts and len(begun) < _AHEAD * max(1, sum(client.nthreads().values())):
                    start = starts.popleft()
                    stop = min(start + writer.shard_rows, writer.index.num_rows)
                    rows = writer.index.take(np.arange(start, stop))  # a slice would travel with the whole table
                    begun.append(client.submit(embed_shard, rows, *settings, pure=False, retries=RETRIES))
                found = begun[0].result()
                begun.popleft()
                bar.update(len(found))
                yield found
    finally:
        if begun and client.status == "running":
            client.cancel(list(begun))


def _loaded(shape: VisionTransformer, weights: str, device: str) -> VisionTransformer:
    try:
        state = load_file(weights, device)
    except OSError as error:
        raise unseen("can't see the output's folder", weights) from error
    model = shape.to_empty(device=device)
    model.load_state_dict(state)
    return model.eval()
