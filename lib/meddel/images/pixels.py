"""Decode the images of an index once, to small squares in a memory-mapped array which every later step reads."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images import read as images
from meddel.images.index import data_hash
from meddel.progress import progress

_VERSION = 1


@dataclass(frozen=True)
class Pixels:
    """The decoded images of an index, in its order.

    Attributes
    ----------
    images : uint8 [n, size, size, 3]
        RGB, a read-only memory map.
    masks : uint8 [n, size, size]
        1 where the foreground is; zeros for images without a mask.
    has_mask : bool [n]
    ids : list of str
    """

    images: np.ndarray
    masks: np.ndarray
    has_mask: np.ndarray
    ids: list[str]

    @property
    def size(self) -> int:
        """Pixels per side."""
        return self.images.shape[1]

    def rows(self, ids: list[str]) -> np.ndarray:
        """Return the positions (int64) of `ids`, or refuse an id which is not among the decoded images."""
        position = {name: i for i, name in enumerate(self.ids)}
        try:
            return np.array([position[name] for name in ids], dtype=np.int64)
        except KeyError as error:
            raise MedDELError(f"no decoded image {error.args[0]!r}", fix="decode the index that holds it") from error


def decode(index: pa.Table, size: int, folder: Path) -> Pixels:
    """Decode all images and masks of `index` to squares, or open those which are decoded already.

    The whole image is squeezed to the square, antialiased (bicubic); a mask's pixel is foreground if more than half of
    its area is.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`, n rows.
    size : int
        Pixels per side of the square.
    folder : Path
        Gets ``images.npy`` and, if there are masks, ``masks.npy``.
    """
    if size < 1:
        raise MedDELError(f"size {size} is below 1 pixel", fix="give the pixels per side, such as 64")
    key = artefacts.hash_of("pixels", _VERSION, data_hash(index), size)
    has_mask = np.array(index["mask"].is_valid().to_pylist(), dtype=bool)
    path, masks_path = Path(folder) / "images.npy", Path(folder) / "masks.npy"
    finished = artefacts.is_finished(path, key) and (masks_path.exists() or not has_mask.any())
    if not finished:
        parameters = {"size": size, "images": index.num_rows, "masks": int(has_mask.sum())}
        with artefacts.recorded(path, key, parameters=parameters, data_hash=data_hash(index)):
            _write(index, size, path, masks_path if has_mask.any() else None)
    n = index.num_rows
    masks = np.load(masks_path, mmap_mode="r") if has_mask.any() else np.zeros((n, size, size), dtype=np.uint8)
    return Pixels(np.load(path, mmap_mode="r"), masks, has_mask, index["id"].to_pylist())


def square(path: Path, sha256: str, size: int) -> np.ndarray:
    """Return an image file of the hash `sha256` as a square: uint8 [size, size, 3], RGB."""
    # decoded at no less than twice the size, a JPEG's own downscaling leaves no trace in the square
    image = images.read_rgb(_unchanged(path, sha256), at_least=2 * size)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def _square_mask(path: str | None, sha256: str | None, size: int) -> np.ndarray:
    if path is None or sha256 is None:
        return np.zeros((size, size), dtype=np.uint8)
    foreground = Image.fromarray(images.read_foreground(_unchanged(Path(path), sha256)).astype(np.float32))
    area = np.asarray(foreground.resize((size, size), Image.Resampling.BOX))
    return (area > 0.5).astype(np.uint8)


def _unchanged(path: Path, sha256: str) -> bytes:
    try:
        content = images.read_file(path)
    except OSError as error:
        raise MedDELError(f"can't read an indexed image: {error.strerror}", path, "index the folder again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise MedDELError("the image has changed since it was indexed", path, "index the folder again")
    return content


def _write(index: pa.Table, size: int, path: Path, masks_path: Path | None) -> None:
    """Stream the squares into ``.npy`` files, which take their names only when they are whole."""

    def squares(row: dict[str, Any]) -> list[np.ndarray]:
        image = square(Path(row["path"]), row["sha256"], size)
        return [image] if masks_path is None else [image, _square_mask(row["mask"], row["mask_sha256"], size)]

    columns = index.select(["path", "sha256", "mask", "mask_sha256"]).to_pylist()
    files = {path: (len(columns), size, size, 3)}
    if masks_path is not None:
        files[masks_path] = (len(columns), size, size)
    bar = progress(images.in_threads(squares, columns), what="decode", total=len(columns), unit="image")
    with ExitStack() as stack:
        streams = [stack.enter_context(artefacts.atomic_write(file)) for file in files]
        for stream, shape in zip(streams, files.values(), strict=True):
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
        for arrays in bar:
            for stream, array in zip(streams, arrays, strict=True):
                stream.write(array.tobytes())
