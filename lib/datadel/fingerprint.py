"""Fingerprint images: find an image again after it was encoded again, resized or freed of its border.

An image has the hash of its file, the hash of its decoded pixels, and two small views: of the whole image and of what
is left without its black border. A view has 256 bits, the signs of its 16 x 16 lowest frequencies against their median
(a perceptual hash by DCT), which find candidates, and a look, its 16 x 16 grey values without what is smooth, which
confirms them.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images import read as images
from meddel.images.index import data_hash
from meddel.progress import progress

HASH_WORDS, LOOK_SIDE = 4, 16
FINGERPRINT_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("pixels", pa.string()),
        pa.field("hash", pa.binary(8 * HASH_WORDS)),
        pa.field("look", pa.binary(LOOK_SIDE**2)),
        pa.field("hash_trimmed", pa.binary(8 * HASH_WORDS)),
        pa.field("look_trimmed", pa.binary(LOOK_SIDE**2)),
    ]
)
_VERSION, _PART = 1, 8192
_VIEW, _SMALL = 64, 128
_ENOUGH = 256  # pixels per side: from more, a view is the same but for a few bits
_BLACK, _DUST = 32, 0.1  # a line is border if at most a tenth of it is brighter
_FLAT = 1.0  # grey levels: below, what a JPEG adds is as strong as what is there


def fingerprints(index: pa.Table, out: Path | None = None) -> pa.Table:
    """Fingerprint every image of an index, or read the fingerprints that were made of the same images before.

    Work that was cut off goes on behind the last finished part of 8,192 images.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`.
    out : Path or None
        Parquet file to keep them in.

    Returns
    -------
    pa.Table
        `FINGERPRINT_SCHEMA` in the index's order: SHA-256 of the file and of size and decoded upright RGB, and for both
        views the hash and the look (0 where the image is too flat for anything but equality).
    """
    rows = index.select(["id", "path", "sha256"]).to_pylist()
    if out is None:
        return _in_parts(rows, None)
    key = artefacts.hash_of("fingerprints", _VERSION, data_hash(index), True)
    if artefacts.is_finished(out, key):
        return pq.read_table(out)
    folder = out.with_name(f"{out.name}.{key[:16]}.parts")
    with artefacts.recorded(out, key, parameters={}, data_hash=data_hash(index)):
        table = _in_parts(rows, folder)
        artefacts.write_table(out, table)
    shutil.rmtree(folder, ignore_errors=True)
    return table


def _in_parts(rows: list[dict[str, str]], folder: Path | None) -> pa.Table:
    """Return the fingerprints of all rows; each part of many is kept in `folder` as soon as it is whole."""
    parts = [FINGERPRINT_SCHEMA.empty_table()]
    with progress(what="fingerprint", total=len(rows), unit="image") as bar:
        for start in range(0, len(rows), _PART):
            part, path = rows[start : start + _PART], folder and folder / f"{start:09d}.parquet"
            if path is not None and path.exists():
                parts.append(pq.read_table(path))
                bar.update(len(part))
                continue
            made = []
            for row in images.in_threads(_of_row, part):
                made.append(row)
                bar.update()
            parts.append(pa.Table.from_pylist(made, schema=FINGERPRINT_SCHEMA))
            if path is not None and len(rows) > _PART:
                artefacts.write_table(path, parts[-1])
    return pa.concat_tables(parts).combine_chunks()


def _of_row(row: dict[str, str]) -> dict[str, Any]:
    path = Path(row["path"])
    try:
        content = images.read_file(path)
        if hashlib.sha256(content).hexdigest() != row["sha256"]:
            raise MedDELError("the image has changed since it was indexed", path, "index the folder again")
        return {"id": row["id"], "sha256": row["sha256"], **fingerprint(content)}
    except images.UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise MedDELError(f"can't read an indexed image: {reason}", path, "index the folder again") from error


def hashes(table: pa.Table, trimmed: bool = False) -> np.ndarray:
    """Return the perceptual hashes of fingerprints: uint64 [n, 4]."""
    column = table["hash_trimmed" if trimmed else "hash"].to_pylist()
    return np.frombuffer(b"".join(column), "<u8").astype(np.uint64).reshape(len(column), HASH_WORDS)


def looks(table: pa.Table, trimmed: bool = False) -> np.ndarray:
    """Return the looks of fingerprints: int8 [n, 256], of any length; 0 for flat images."""
    column = table["look_trimmed" if trimmed else "look"].to_pylist()
    return np.frombuffer(b"".join(column), np.int8).reshape(len(column), LOOK_SIDE**2)


def fingerprint(content: bytes) -> dict[str, Any]:
    """Return the fingerprint of an image file's bytes: the columns of `FINGERPRINT_SCHEMA` but ``id`` and ``sha256``.

    Bytes that are no image raise one of `meddel.images.read.UNREADABLE`.
    """
    image = images.read_rgb(content)
    grey = image.reduce(max(1, min(image.size) // _ENOUGH)).convert("L")
    small = np.asarray(grey.resize((_SMALL, _SMALL), Image.Resampling.BILINEAR), np.float32)
    whole, box = _view(small.reshape(_VIEW, 2, _VIEW, 2).mean(axis=(1, 3))), _without_border(small, grey.size)
    trimmed = whole
    if box is not None:
        inner = grey.resize((_VIEW, _VIEW), Image.Resampling.BILINEAR, box=box)
        trimmed = _view(np.asarray(inner, np.float32))
    pixels = hashlib.sha256(f"{image.width} x {image.height}".encode() + image.tobytes()).hexdigest()
    return {
        "pixels": pixels,
        "hash": whole[0],
        "look": whole[1],
        "hash_trimmed": trimmed[0],
        "look_trimmed": trimmed[1],
    }


def _without_border(small: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Return left, top, right and bottom of what is not black border, in an image's pixels; None where all is."""
    edges = []
    for axis in (0, 1):
        bright = np.flatnonzero((small > _BLACK).mean(axis=axis) > _DUST)
        edges.append((0, _SMALL) if len(bright) < _SMALL // 2 else (int(bright[0]), int(bright[-1]) + 1))
    (left, right), (top, bottom) = edges
    if (left, right, top, bottom) == (0, _SMALL, 0, _SMALL):
        return None
    across, down = size[0] / _SMALL, size[1] / _SMALL
    return left * across, top * down, right * across, bottom * down


def _view(view: np.ndarray) -> tuple[bytes, bytes]:
    """Return the hash and the look of 64 x 64 grey values."""
    cosines, blur = _matrices()
    frequencies = (cosines @ view @ cosines.T).ravel()
    hashed = np.packbits(frequencies > np.median(frequencies[1:])).tobytes()
    small = view.reshape(LOOK_SIDE, _VIEW // LOOK_SIDE, LOOK_SIDE, _VIEW // LOOK_SIDE).mean(axis=(1, 3))
    look = small - blur @ small @ blur.T
    look -= look.mean()
    if look.std() < _FLAT:
        return hashed, bytes(LOOK_SIDE**2)
    return hashed, np.rint(look * (127 / np.abs(look).max())).astype(np.int8).tobytes()


@functools.cache
def _matrices() -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest 16 cosines over 64 pixels, and a blur of 16 pixels by 3 that repeats those at the ends."""
    place = np.arange(_VIEW)
    cosines = np.cos(np.pi * (2 * place + 1) * np.arange(LOOK_SIDE)[:, None] / (2 * _VIEW))
    cosines[0] /= np.sqrt(2)
    reach = np.arange(-12, 13)
    weights = np.exp(-(reach**2) / (2 * 3.0**2))
    blur = np.zeros((LOOK_SIDE, LOOK_SIDE))
    for row in range(LOOK_SIDE):
        np.add.at(blur[row], np.clip(row + reach, 0, LOOK_SIDE - 1), weights / weights.sum())
    return cosines.astype(np.float32), blur.astype(np.float32)
