"""Import existing embeddings into a store, from files which are read in pieces and without unpickling anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors import safe_open

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images.index import INDEX_SCHEMA, data_hash
from meddel.progress import progress
from meddel.store.shard import SHARD_ROWS
from meddel.store.store import Store
from meddel.store.writing import ShardWriter, locked

_FLOATS = {"float16", "float32", "float64", "bfloat16", "F16", "BF16", "F32", "F64"}
_KINDS = "a .npy, .npz, .safetensors or .parquet file"


def import_from(
    path: Path,
    out: Path,
    *,
    array: str | None = None,
    model: str | None = None,
    index: pa.Table | None = None,
    shard_rows: int = SHARD_ROWS,
) -> Store:
    """Write a store of the embeddings in a file, shard by shard, and open it; an interrupted import continues.

    Parameters
    ----------
    path : Path
        ``.npy``, ``.npz`` (read whole), ``.safetensors`` or ``.parquet`` with a column of lists: floats [n, d].
    out : Path
        The store's folder. What other work left in it is removed.
    array : str or None
        Which array or column, where there are several.
    model : str or None
        What made the embeddings; None: the file's name.
    index : pa.Table or None
        `meddel.images.index.INDEX_SCHEMA`, n rows in the embeddings' order. None: the ids are those of a Parquet file's
        column ``id``, else the file's name and the row's number.
    shard_rows : int
        Rows a shard.

    Raises
    ------
    MedDELError
        The file can't be read or holds no matrix of floats; a row is not finite as float16 or has length 0; an id is
        missing or occurs twice; `index` has another number of rows; the folder can't be written.
    """
    path, out = Path(path).expanduser(), Path(out)
    source = source_of(path, array)
    if index is not None and index.num_rows != source.rows:
        raise MedDELError(f"{source.rows} embeddings for {index.num_rows} index rows", path, "give one row for each")
    ids = source.ids if index is None else index["id"]
    if ids is not None and ids.null_count:
        raise MedDELError("a row has no id", path, "fill the column id")
    if ids is not None and pc.count_distinct(ids).as_py() != len(ids):
        raise MedDELError("an id occurs twice", path, "give each row an id of its own")
    digest = artefacts.hash_of_file(path)
    encoder = {"name": model or path.name, "embeddings": digest}
    content = artefacts.hash_of("import", digest, array, None if index is None else data_hash(index))
    with locked(out):
        writer = ShardWriter(out, source.rows, source.dim, encoder=encoder, content=content, shard_rows=shard_rows)
        with progress(what="import", total=source.rows, unit="row", done=writer.done) as bar, _one_line(path):
            for values in source.chunks(writer.done, shard_rows):
                rows = writer.next_rows
                mine = _numbered(path, rows, source) if index is None else index.slice(rows.start, len(rows))
                writer.append_rows(values, mine)
                bar.update(len(values))
        if writer.next_rows:
            raise MedDELError(f"it ends after {writer.done} of {source.rows} rows", path, "write the file again")
    return Store.open(out, verify=False)  # each shard was hashed as it was written or found


@dataclass(frozen=True)
class Source:
    """Embeddings in a file, of which ``chunks(start, size)`` yields `size` rows each from `start`, a multiple of it."""

    rows: int
    dim: int
    chunks: Callable[[int, int], Iterator[np.ndarray]]
    ids: pa.ChunkedArray | None = None


def source_of(path: Path, array: str | None) -> Source:
    """Return the embeddings in a file; `array` names the array or column where there are several."""
    kinds = {".npy": _npy, ".npz": _npy, ".safetensors": _safetensors, ".parquet": _parquet}
    if not path.exists():
        raise MedDELError("no such file", path, f"give {_KINDS}")
    if path.suffix.lower() not in kinds or path.is_dir():
        raise MedDELError("embeddings of an unknown kind", path, f"give {_KINDS}")
    with _one_line(path):
        return kinds[path.suffix.lower()](path, array)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Report in one line whatever a file's reader raises."""
    try:
        yield
    except MedDELError:
        raise
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MedDELError(f"can't be read: {said}", path, "write the file again") from error


def _npy(path: Path, array: str | None) -> Source:
    found = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(found, np.lib.npyio.NpzFile):
        with found:
            found = found[_one_of(path, found.files, array)]
    rows, dim = _matrix_shape(path, found.shape, str(found.dtype.newbyteorder("=")))
    return Source(rows, dim, _slices(rows, lambda part: np.asarray(found[part])))


def _safetensors(path: Path, array: str | None) -> Source:
    with safe_open(path, framework="pt") as file:
        name = _one_of(path, list(file.keys()), array)
        piece = file.get_slice(name)
        half = piece.get_dtype() == "BF16"  # which NumPy does not have
        rows, dim = _matrix_shape(path, tuple(piece.get_shape()), piece.get_dtype())

    def read(part: slice) -> np.ndarray:
        with safe_open(path, framework="pt") as file:
            tensor = file.get_slice(name)[part]
            return (tensor.float() if half else tensor).numpy()

    return Source(rows, dim, _slices(rows, read))


def _slices(rows: int, read: Callable[[slice], np.ndarray]) -> Callable[[int, int], Iterator[np.ndarray]]:
    return lambda start, size: (read(slice(first, min(first + size, rows))) for first in range(start, rows, size))


def _parquet(path: Path, array: str | None) -> Source:
    with pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        fitting = [field.name for field in schema if any(is_one(field.type) for is_one in lists)]
        name = _one_of(path, [one for one in fitting if pa.types.is_floating(schema.field(one).type.value_type)], array)
        first = next(file.iter_batches(1, columns=[name]), None)
        ids = pq.read_table(path, columns=["id"])["id"].cast(pa.string()) if "id" in schema.names else None
    if first is None:
        raise MedDELError("it has no rows", path, "give at least one embedding")
    dim = len(first.column(0).flatten())

    def chunks(start: int, size: int) -> Iterator[np.ndarray]:
        with pq.ParquetFile(path) as file:
            for number, batch in enumerate(file.iter_batches(size, columns=[name])):
                if number * size >= start:
                    yield _matrix(path, batch.column(0), dim)

    return Source(rows, dim, chunks, ids)


def _matrix(path: Path, column: pa.Array, dim: int) -> np.ndarray:
    """Return a column of lists of length `dim`."""
    values, lengths = column.flatten(), pc.list_value_length(column)
    if column.null_count or values.null_count or not dim or not pc.all(pc.equal(lengths, dim)).as_py():
        raise MedDELError("the lists are not all of one length, or some are empty", path, "give rows of one width")
    return values.to_numpy(zero_copy_only=False).reshape(-1, dim)


def _one_of(path: Path, held: list[str], wanted: str | None) -> str:
    """Return the array which is meant."""
    if not held:
        raise MedDELError("it holds no array of embeddings", path, "give rows of floating-point numbers")
    if wanted is None and len(held) > 1:
        raise MedDELError(f"it holds several arrays, {', '.join(sorted(held)[:8])}", path, "name one")
    if wanted is not None and wanted not in held:
        raise MedDELError(f"it holds no array {wanted!r}", path, f"name one of {', '.join(sorted(held)[:8])}")
    return wanted or held[0]


def _matrix_shape(path: Path, shape: tuple[int, ...], dtype: str) -> tuple[int, int]:
    """Return the shape of a matrix of floating-point numbers, or refuse it."""
    if len(shape) != 2 or 0 in shape or dtype not in _FLOATS:
        what = f"{dtype} of shape {shape} is no matrix of embeddings"
        raise MedDELError(what, path, "give floating-point numbers, a row an image")
    return shape[0], shape[1]


def _numbered(path: Path, rows: range, source: Source) -> pa.Table:
    """Return index rows which only say which row of which file each one is."""
    wide = len(str(source.rows - 1))
    names: Any = [f"{path.stem}/{row:0{wide}d}" for row in rows]
    if source.ids is not None:
        names = source.ids.slice(rows.start, len(rows)).combine_chunks()
    columns = {"id": names, "path": [str(path.absolute())] * len(rows), "source": [path.stem] * len(rows)}
    none = [None] * len(rows)
    return pa.table({field.name: pa.array(columns.get(field.name, none), field.type) for field in INDEX_SCHEMA})
