"""Embeddings in the files that people have already, read in pieces without unpickling anything.

`chunks(start, size)` of a source yields pairs from row `start` on: float rows [m, d], m = `size` but for the last, and
their ids where the file has some.
"""

from __future__ import annotations

import importlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors import safe_open

from meddel.errors import MedDELError

Chunk = tuple[np.ndarray, list[str] | None]
_SAFETENSORS = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
_FLOATS = {"float16", "float32", "float64", "bfloat16", "f2", "f4", "f8"}
KINDS = "a .npy, .npz, .safetensors, .parquet, .faiss or .index file, or a .zarr folder"


@dataclass(frozen=True)
class Source:
    """Embeddings in a file: n `rows` of width `dim`, read by ``chunks(start, size)``; `ids` where the file has them."""

    rows: int
    dim: int
    chunks: Callable[[int, int], Iterator[Chunk]]
    ids: pa.ChunkedArray | None = None


def source_of(path: Path, array: str | None) -> Source:
    """Return the embeddings in a file; `array` names the array or column where there are several.

    Raises
    ------
    MedDELError
        No such file, of no known kind, unreadable, several arrays, or no matrix of floating-point numbers.
    """
    kinds = {
        ".npy": _npy,
        ".npz": _npz,
        ".safetensors": _safetensors,
        ".parquet": _parquet,
        ".faiss": _faiss,
        ".index": _faiss,
        ".zarr": _zarr,
    }
    if not path.exists():
        raise MedDELError("no such file", path, f"give {KINDS}")
    if path.suffix.lower() not in kinds or (path.is_dir() and path.suffix.lower() != ".zarr"):
        raise MedDELError("embeddings of an unknown kind", path, f"give {KINDS}")
    with _told(path):
        found = kinds[path.suffix.lower()](path, array)

    def chunks(start: int, size: int) -> Iterator[Chunk]:
        with _told(path):
            yield from found.chunks(start, size)

    return replace(found, chunks=chunks)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in one line what a file's reader stumbles over; those of other packages raise whatever it leads to."""
    try:
        yield
    except MedDELError:
        raise
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MedDELError(f"can't be read: {said}", path, "write the file again") from error


def _by_slices(path: Path, array: Any, get: Callable[[int, int], Any] | None = None) -> Source:
    """Return the source of something with a shape, a dtype and slices."""
    shape = _matrix_shape(path, tuple(array.shape), str(array.dtype))

    def chunks(start: int, size: int) -> Iterator[Chunk]:
        for first in range(start, shape[0], size):
            last = min(first + size, shape[0])
            yield np.asarray(array[first:last] if get is None else get(first, last)), None

    return Source(*shape, chunks)


def _npy(path: Path, array: str | None) -> Source:
    return _by_slices(path, np.load(path, mmap_mode="r", allow_pickle=False))


def _npz(path: Path, array: str | None) -> Source:
    with zipfile.ZipFile(path) as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        name = _one_of(path, held, array)
        with archive.open(f"{name}.npy") as member:
            shape, dtype = _npy_header(path, member)
            begin = member.tell()
    rows, dim = _matrix_shape(path, shape, str(dtype))
    wide = dim * dtype.itemsize

    def chunks(start: int, size: int) -> Iterator[Chunk]:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
            member.seek(begin + start * wide)
            for first in range(start, rows, size):
                content = member.read(min(size, rows - first) * wide)
                yield np.frombuffer(content, dtype).reshape(-1, dim), None

    return Source(rows, dim, chunks)


def _npy_header(path: Path, stream: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if fortran:
        raise MedDELError("an array in Fortran order can't be read row by row", path, "save numpy.ascontiguousarray")
    return shape, dtype


def _safetensors(path: Path, array: str | None) -> Source:
    with safe_open(path, framework="pt") as file:
        name = _one_of(path, list(file.keys()), array)
        piece = file.get_slice(name)
        dtype = _SAFETENSORS.get(piece.get_dtype(), piece.get_dtype())
        shape = _matrix_shape(path, tuple(piece.get_shape()), dtype)

    def chunks(start: int, size: int) -> Iterator[Chunk]:
        with safe_open(path, framework="pt") as file:
            piece = file.get_slice(name)
            for first in range(start, shape[0], size):
                tensor = piece[first : min(first + size, shape[0])]
                yield (tensor.float() if piece.get_dtype() == "BF16" else tensor).numpy(), None

    return Source(*shape, chunks)


def _parquet(path: Path, array: str | None) -> Source:
    with pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        lists = [field.name for field in schema if _is_list(field.type)]
        name = _one_of(path, lists, array)
        ids = pq.read_table(path, columns=["id"])["id"].cast(pa.string()) if "id" in schema.names else None
        first = next(file.iter_batches(1, columns=[name]), None)
    if first is None:
        raise MedDELError("it has no rows", path, "give at least one embedding")
    dim = _rows_of(path, first.column(0), None).shape[1]

    def parts() -> Iterator[Chunk]:
        names = [name] if ids is None else [name, "id"]
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(4096, columns=names):
                own = None if ids is None else batch.column("id").cast(pa.string()).to_pylist()
                yield _rows_of(path, batch.column(name), dim), own

    return Source(rows, dim, lambda start, size: _regrouped(parts(), start, size), ids)


def _is_list(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return lists and pa.types.is_floating(kind.value_type)


def _rows_of(path: Path, column: pa.Array, dim: int | None) -> np.ndarray:
    """Return a column of lists as a matrix."""
    values = column.flatten()
    wide = len(values) // max(1, len(column)) if dim is None else dim
    lengths = pc.list_value_length(column)
    if column.null_count or values.null_count or not wide or not pc.all(pc.equal(lengths, wide)).as_py():
        raise MedDELError("the lists are not all of one length, or some are empty", path, "give rows of one width")
    return values.to_numpy(zero_copy_only=False).reshape(-1, wide)


def _regrouped(parts: Iterable[Chunk], start: int, size: int) -> Iterator[Chunk]:
    """Yield pieces of `size` rows from row `start` on, out of pieces of any size."""
    skip, values, names, count = start, [], [], 0
    for rows, own in parts:
        rows, own, skip = rows[skip:], None if own is None else own[skip:], max(0, skip - len(rows))
        while len(rows):
            room = size - count
            values.append(rows[:room])
            names += [] if own is None else own[:room]
            count += len(values[-1])
            rows, own = rows[room:], None if own is None else own[room:]
            if count == size:
                yield np.concatenate(values), names or None
                values, names, count = [], [], 0
    if count:
        yield np.concatenate(values), names or None


def _faiss(path: Path, array: str | None) -> Source:
    faiss = _optional("faiss", "faiss-cpu", path)
    try:
        flat = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise MedDELError("no FAISS index", path, "write it with faiss.write_index") from error
    if type(flat) not in (faiss.IndexFlat, faiss.IndexFlatL2, faiss.IndexFlatIP):
        kind = type(flat).__name__
        raise MedDELError(f"a FAISS {kind} holds no plain embeddings", path, "give a flat index")
    shape = _matrix_shape(path, (int(flat.ntotal), int(flat.d)), "float32")

    def chunks(start: int, size: int) -> Iterator[Chunk]:
        for first in range(start, shape[0], size):
            yield flat.reconstruct_n(first, min(size, shape[0] - first)), None

    return Source(*shape, chunks)


def _zarr(path: Path, array: str | None) -> Source:
    zarr = _optional("zarr", "zarr", path)
    found = zarr.open(str(path), mode="r")
    if isinstance(found, zarr.Group):
        found = found[_one_of(path, list(found.array_keys()), array)]
    made = {name: value for name, value in found.metadata.to_dict().items() if name != "attributes"}
    if "pickle" in json.dumps(made, default=repr).lower():  # a filter that would run what the file says
        raise MedDELError("its chunks are pickled", path, "write it without a pickle codec")
    return _by_slices(path, found, lambda first, last: found[first:last])


def _optional(module: str, package: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MedDELError(f"{path.suffix} files need {package}", path, f"pip install {package}") from error


def _one_of(path: Path, held: list[str], wanted: str | None) -> str:
    """Return the array that is meant."""
    if not held:
        raise MedDELError("it holds no array of embeddings", path, "give rows of floating-point numbers")
    if wanted is None and len(held) > 1:
        raise MedDELError(f"it holds several arrays, {', '.join(sorted(held)[:8])}", path, "name one")
    if wanted is not None and wanted not in held:
        raise MedDELError(f"it holds no array {wanted!r}", path, f"name one of {', '.join(sorted(held)[:8])}")
    return wanted or held[0]


def _matrix_shape(path: Path, shape: tuple[int, ...], dtype: str) -> tuple[int, int]:
    """Return a shape that is a matrix's with rows and columns, of floating-point numbers."""
    if len(shape) != 2 or 0 in shape or dtype.lstrip("<>=|") not in _FLOATS:
        raise MedDELError(
            f"{dtype} of shape {shape} is no matrix of embeddings", path, "give floating-point numbers, a row an image"
        )
    return shape[0], shape[1]
