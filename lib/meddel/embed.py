"""Embed the images of an index: F = ViT(I), the last layer of a ViT encoder (section 3.2), into a store."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from meddel import artefacts, encoder
from meddel.errors import MedDELError
from meddel.images import read as images
from meddel.images.index import data_hash
from meddel.images.pixels import Pixels, square
from meddel.progress import progress
from meddel.store import SHARD_ROWS, Store, StoreWriter, locked

Pool = Literal["avg", "token"]
Shards = Callable[[StoreWriter, VisionTransformer], Iterator[np.ndarray]]
"""From a begun store and its model to the embeddings of each shard which it lacks, in order."""


def embed(
    index: pa.Table,
    out: Path,
    *,
    model: VisionTransformer,
    batch: int = 64,
    device: str = "cpu",
    pool: Pool = "avg",
    pixels: Pixels | None = None,
    shard_rows: int | None = None,
    shards: Shards | None = None,
) -> Store:
    """Embed every image of `index` and return the store: float16 [n, d], not scaled to length 1.

    Images are squeezed to the model's square and normalised with the statistics with which it was trained. Interrupted
    work continues after the last finished shard; other images, weights or settings start from the beginning.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`, n rows.
    out : Path
        The store's folder.
    model : VisionTransformer
        From `meddel.encoder`. It is moved to `device`; on a GPU it runs in bfloat16.
    batch : int
        Images at a time. A begun store may be continued with another.
    device : str
        As torch names it.
    pool : {"avg", "token"}
        Mean of the patch tokens, or the class token.
    pixels : Pixels or None
        Decoded images which hold all of the index's, of the model's size; None decodes the files.
    shard_rows : int or None
        Rows a shard, the unit of resuming. None: a sixty-fourth of the images, from 1,024 to 32,768 of them.
    shards : callable or None
        Yields the embeddings of each missing shard (see `meddel.scale`); None: this process computes them.

    Raises
    ------
    MedDELError
        NaN or length 0 in an embedding (names the image), pixels of another size, a file which is gone or has changed,
        not enough memory on the device, a folder which can't be written.
    """
    config = encoder.config_of(model)
    if pixels is not None and pixels.size != config.image_size:
        what = f"images decoded to {pixels.size} pixels for an encoder of {config.image_size}"
        raise MedDELError(what, fix="decode to the encoder's size")
    if pool not in ("avg", "token") or batch < 1:
        what = f"pool {pool!r} or batch {batch} makes no sense"
        raise MedDELError(what, fix="pool is avg or token, batch at least 1")
    state = model.state_dict()
    weights = (value.detach().float().cpu().numpy() for value in state.values())
    facts = {
        "config": config.model_dump(),
        "statistics": encoder.statistics(model),
        "weights_sha256": artefacts.hash_of(list(state), *weights),
        "pool": pool,
        "precision": "bfloat16" if torch.device(device).type == "cuda" else "float32",
    }
    rows_each = min(max(SHARD_ROWS // 32, index.num_rows // 64), SHARD_ROWS) if shard_rows is None else shard_rows
    with locked(Path(out)):
        writer = StoreWriter(out, index, config.width, encoder=facts, shard_rows=rows_each)
        path, parameters = writer.folder / "store.json", {**facts, "batch": batch}
        if writer.next_rows or not artefacts.is_finished(path, writer.key):
            content = data_hash(index)
            with artefacts.recorded(path, writer.key, parameters=parameters, data_hash=content, device=device):
                here = functools.partial(_shards, batch=batch, device=device, pool=pool, pixels=pixels)
                for embeddings in (shards or here)(writer, model.eval()):
                    writer.append(embeddings)
    return Store.open(out)


def embed_batch(model: VisionTransformer, batch: Tensor, pool: Pool = "avg") -> Tensor:
    """Embed images (uint8 [b, s, s, 3] or [b, 3, s, s], RGB) on the model's device: float32 [b, d]."""
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=batch.device.type == "cuda"):
        tokens = model(encoder.normalise(batch, *encoder.statistics(model)))
        pooled = tokens[:, 0] if pool == "token" else tokens[:, model.num_prefix_tokens :].float().mean(dim=1)
    return pooled.float()


def embed_rows(
    index: pa.Table,
    model: VisionTransformer,
    batch: int,
    device: str,
    pool: Pool = "avg",
    pixels: Pixels | None = None,
    done: Callable[[int], object] = lambda images: None,
) -> np.ndarray:
    """Embed the images of some rows of an index, as `embed` does; `done` gets the number of images of each batch."""
    if pixels is None:
        size = encoder.config_of(model).image_size
        rows = index.select(["path", "sha256"]).to_pylist()
        squares = images.in_threads(lambda row: square(Path(row["path"]), row["sha256"], size), rows)
    else:
        squares = (pixels.images[i] for i in pixels.rows(index["id"].to_pylist()))
    parts = []
    for start in range(0, index.num_rows, batch):
        stack = np.stack(list(islice(squares, min(batch, index.num_rows - start))))
        try:
            parts.append(embed_batch(model, torch.from_numpy(stack).to(device), pool).cpu().numpy())
        except torch.OutOfMemoryError as error:
            what = f"{len(stack)} images at a time don't fit in the memory of {device}"
            raise MedDELError(what, fix="give a smaller --batch") from error
        done(len(stack))
    return np.concatenate(parts)


def _shards(
    writer: StoreWriter, model: VisionTransformer, *, batch: int, device: str, pool: Pool, pixels: Pixels | None
) -> Iterator[np.ndarray]:
    """Embed in this process, shard by shard."""
    model = model.to(device)
    with progress(what="embed", total=writer.index.num_rows, unit="image", done=writer.done) as bar:
        while rows := writer.next_rows:
            yield embed_rows(writer.index.slice(rows.start, len(rows)), model, batch, device, pool, pixels, bar.update)
