"""Fingerprints of images: what finds an image again after it was encoded anew, resized or freed of its border.

An image has the hash of its file, the hash of its decoded pixels, and two small views: of the whole image and of what
is left without its black border. A view has 256 bits, the signs of its 16 x 16 lowest frequencies against their median
(a perceptual hash by DCT), which find candidates, and a look, its 16 x 16 grey values without what is smooth, which
confirms them. Where an image ends in black, 128 x 128 grey values tell.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Iterable
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


def fingerprints(index: pa.Table, out: Path | None = None, *, pixels: bool = True) -> pa.Table:
    """Fingerprint every image of an index, or read the fingerprints that were made of the same images before.

    Work that was cut off goes on behind the last finished part of 8,192 images.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`, n rows.
    out : Path or None
        Parquet file to keep them in; None keeps nothing.
    pixels : bool
        Hash the decoded pixels too, for which large JPEGs have to be decoded in full. Without, equal pixels in unequal
        files count as near duplicates.

    Returns
    -------
    pa.Table
        `FINGERPRINT_SCHEMA`, n rows in the index's order: ids, SHA-256 of the file, SHA-256 of size and decoded upright
        RGB (null without `pixels`), and for the whole image and the one without its border the hash (256 bits) and the
        look (256 values, int8, of any length; 0 where the image is too flat for anything but equality).

    Raises
    ------
    MedDELError
        An image that is gone or has changed since it was indexed, a file that can't be written.
    """
    key = artefacts.hash_of("fingerprints", _VERSION, data_hash(index), pixels)
    if out is not None and artefacts.is_finished(Path(out), key):
        return pq.read_table(out)
    rows = index.select(["id", "path", "sha256"]).to_pylist()
    if out is None:
        return _table(progress(_made(rows, pixels), what="fingerprint", total=len(rows), unit="image"))
    out = Path(out)
    folder = out.with_name(f"{out.name}.{key[:16]}.parts")
    with artefacts.recorded(out, key, parameters={"pixels": pixels}, data_hash=data_hash(index)):
        table = _in_parts(rows, pixels, folder)
        artefacts.write_table(out, table)
    shutil.rmtree(folder, ignore_errors=True)
    return table


def hashes(table: pa.Table, trimmed: bool = False) -> np.ndarray:
    """Return the perceptual hashes of fingerprints: uint64 [n, 4]."""
    column = table["hash_trimmed" if trimmed else "hash"].to_pylist()
    return np.frombuffer(b"".join(column), "<u8").astype(np.uint64).reshape(len(column), HASH_WORDS)


def looks(table: pa.Table, trimmed: bool = False) -> np.ndarray:
    """Return the looks of fingerprints: int8 [n, 256], of any length; 0 for flat images."""
    column = table["look_trimmed" if trimmed else "look"].to_pylist()
    return np.frombuffer(b"".join(column), np.int8).reshape(len(column), LOOK_SIDE**2)


def fingerprint(content: bytes, *, pixels: bool = True) -> dict[str, Any]:
    """Return the fingerprint of an image file's bytes: the columns of `FINGERPRINT_SCHEMA` but ``id`` and ``sha256``.

    Raises
    ------
    One of `meddel.images.read.UNREADABLE`
        The bytes are no image.
    """
    image = images.read_rgb(content, at_least=None if pixels else _ENOUGH)
    grey = image.reduce(max(1, min(image.size) // _ENOUGH)).convert("L")
    small = np.asarray(grey.resize((_SMALL, _SMALL), Image.Resampling.BILINEAR), np.float32)
    whole, box = _view(small.reshape(_VIEW, 2, _VIEW, 2).mean(axis=(1, 3))), _without_border(small, grey.size)
    trimmed = whole
    if box is not None:
        inner = grey.resize((_VIEW, _VIEW), Image.Resampling.BILINEAR, box=box)
        trimmed = _view(np.asarray(inner, np.float32))
    return {
        "pixels": _hash_of_pixels(image) if pixels else None,
        "hash": whole[0],
        "look": whole[1],
        "hash_trimmed": trimmed[0],
        "look_trimmed": trimmed[1],
    }


def _made(rows: list[dict[str, str]], pixels: bool) -> Iterable[dict[str, Any]]:
    def one(row: dict[str, str]) -> dict[str, Any]:
        path = Path(row["path"])
        try:
            content = images.read_file(path)
            if hashlib.sha256(content).hexdigest() != row["sha256"]:
                raise MedDELError("the image has changed since it was indexed", path, "index the folder again")
            return {"id": row["id"], "sha256": row["sha256"], **fingerprint(content, pixels=pixels)}
        except images.UNREADABLE as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise MedDELError(f"can't read an indexed image: {reason}", path, "index the folder again") from error

    return images.in_threads(one, rows)


def _table(made: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(made), schema=FINGERPRINT_SCHEMA)


def _in_parts(rows: list[dict[str, str]], pixels: bool, folder: Path) -> pa.Table:
    """Return the fingerprints of all rows; each part is kept in `folder` as soon as it is whole."""
    parts = [FINGERPRINT_SCHEMA.empty_table()]
    with progress(what="fingerprint", total=len(rows), unit="image") as bar:
        for start in range(0, len(rows), _PART):
            part, path = rows[start : start + _PART], folder / f"{start:09d}.parquet"
            if path.exists():
                parts.append(pq.read_table(path))
                bar.update(len(part))
                continue
            made = []
            for row in _made(part, pixels):
                made.append(row)
                bar.update()
            parts.append(_table(made))
            if len(rows) > _PART:
                artefacts.write_table(path, parts[-1])
    return pa.concat_tables(parts).combine_chunks()


def _hash_of_pixels(image: Image.Image) -> str:
    digest = hashlib.sha256(f"{image.width} x {image.height}".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


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
    cosines, rough = _matrices()
    frequencies = (cosines @ view @ cosines.T).ravel()
    hashed = np.packbits(frequencies > np.median(frequencies[1:])).tobytes()
    small = view.reshape(LOOK_SIDE, _VIEW // LOOK_SIDE, LOOK_SIDE, _VIEW // LOOK_SIDE).mean(axis=(1, 3))
    look = small - rough @ small @ rough.T
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
