"""Embed the images of an index: F = ViT(I), the last layer of a ViT encoder (section 3.2), into a store."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

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
"""From a store that is begun and its model to the embeddings of each shard that it waits for, in order."""


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
    """Embed every image of `index` and return the store.

    Images are squeezed to the model's square and normalised with the statistics that it was trained with. Work that was
    cut off goes on behind the last finished shard; other images, weights or settings start anew. On a GPU the model
    runs in bfloat16.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`, n rows.
    out : Path
        The store's folder.
    model : VisionTransformer
        From `meddel.encoder`: float [b, 3, s, s] to tokens [b, t, d]. It is moved to `device`.
    batch : int
        Images at a time. It changes nothing but speed, memory and rounding, so a begun store may go on with another.
    device : str
        As torch names it.
    pool : {"avg", "token"}
        Mean of the patch tokens, or the class token.
    pixels : Pixels or None
        Decoded images that hold all of the index's, of the model's size; None decodes the files.
    shard_rows : int or None
        Rows a shard, the unit in which work that was cut off goes on. None: a sixty-fourth of the images, from 1,024 to
        32,768 of them.
    shards : callable or None
        Who embeds, to the same numbers; None: this process (see `meddel.scale.cluster.embedding`).

    Returns
    -------
    Store
        float16 [n, d], not normalised to unit length.

    Raises
    ------
    MedDELError
        NaN or length 0 in an embedding (names the image), pixels of another size, a file that is gone or has changed,
        not enough memory on the device, a folder that can't be written.
    """
    config = encoder.config_of(model)
    if pixels is not None and pixels.size != config.image_size:
        raise MedDELError(
            f"images decoded to {pixels.size} pixels for an encoder of {config.image_size}",
            fix="decode to the encoder's size",
        )
    if pool not in ("avg", "token") or batch < 1:
        raise MedDELError(
            f"pool {pool!r} or batch {batch} makes no sense", fix="pool is avg or token, batch at least 1"
        )
    facts = {
        "config": config.model_dump(),
        "statistics": encoder.statistics(model),
        "weights_sha256": _weights_hash(model),
        "pool": pool,
        "precision": "bfloat16" if torch.device(device).type == "cuda" else "float32",
    }
    rows_each = min(max(SHARD_ROWS // 32, index.num_rows // 64), SHARD_ROWS) if shard_rows is None else shard_rows
    with locked(Path(out)):
        writer = StoreWriter(out, index, config.width, encoder=facts, shard_rows=rows_each)
        if writer.next_rows or not artefacts.is_finished(writer.folder / "store.json", writer.key):
            here = functools.partial(_shards, batch=batch, device=device, pool=pool, pixels=pixels)
            _fill(writer, model.eval(), shards or here, {**facts, "batch": batch}, device)
    return Store.open(out)


def embed_batch(model: VisionTransformer, batch: Tensor, pool: Pool = "avg") -> Tensor:
    """Embed images that are on the model's device.

    Parameters
    ----------
    model : VisionTransformer
        As in `embed`.
    batch : Tensor
        uint8 [b, s, s, 3] or [b, 3, s, s], RGB.
    pool : {"avg", "token"}
        As in `embed`.

    Returns
    -------
    Tensor
        float32 [b, d], on the same device, without gradient; bfloat16 inside on a GPU.
    """
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
    done: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Embed the images of some rows of an index, as `embed` does: float32 [m, d].

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`, m rows.
    model : VisionTransformer
        On `device`, in evaluation mode.
    batch, device, pool, pixels
        As for `embed`.
    done : callable or None
        Told the number of images after each batch.

    Raises
    ------
    MedDELError
        A file is gone or has changed, or not enough memory on the device.
    """
    parts, squares = [], _squares(index, pixels, encoder.config_of(model).image_size)
    for start in range(0, index.num_rows, batch):
        stack = np.stack(list(islice(squares, min(batch, index.num_rows - start))))
        parts.append(_on_device(model, stack, device, pool))
        if done is not None:
            done(len(stack))
    return np.concatenate(parts)


def _fill(
    writer: StoreWriter, model: VisionTransformer, shards: Shards, parameters: dict[str, Any], device: str
) -> None:
    """Write what the writer still waits for."""
    recorded = artefacts.recorded(
        writer.folder / "store.json",
        writer.key,
        parameters=parameters,
        data_hash=data_hash(writer.index),
        device=device,
    )
    with recorded:
        for embeddings in shards(writer, model):
            writer.append(embeddings)


def _shards(
    writer: StoreWriter, model: VisionTransformer, *, batch: int, device: str, pool: Pool, pixels: Pixels | None
) -> Iterator[np.ndarray]:
    """Embed in this process, shard by shard."""
    model = model.to(device)
    with progress(what="embed", total=writer.index.num_rows, unit="image", done=writer.done) as bar:
        while rows := writer.next_rows:
            yield embed_rows(writer.index.slice(rows.start, len(rows)), model, batch, device, pool, pixels, bar.update)


def _squares(index: pa.Table, pixels: Pixels | None, size: int) -> Iterator[np.ndarray]:
    """Yield the images of `index` in its order, uint8 [size, size, 3], decoded ahead by threads."""
    if pixels is not None:
        return (pixels.images[i] for i in pixels.rows(index["id"].to_pylist()))
    rows = index.select(["path", "sha256"]).to_pylist()
    return images.in_threads(lambda row: square(Path(row["path"]), row["sha256"], size), rows)


def _on_device(model: VisionTransformer, stack: np.ndarray, device: str, pool: Pool) -> np.ndarray:
    try:
        return embed_batch(model, torch.from_numpy(stack).to(device), pool).cpu().numpy()
    except torch.OutOfMemoryError as error:
        raise MedDELError(
            f"{len(stack)} images at a time don't fit in the memory of {device}", fix="give a smaller --batch"
        ) from error


def _weights_hash(model: VisionTransformer) -> str:
    state = model.state_dict()
    return artefacts.hash_of(list(state), *(value.detach().float().cpu().numpy() for value in state.values()))
