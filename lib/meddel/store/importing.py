"""Embeddings that somebody has already become a store."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images.index import INDEX_SCHEMA, data_hash
from meddel.progress import progress
from meddel.store.lock import locked
from meddel.store.manifest import SHARD_ROWS
from meddel.store.opened import Store
from meddel.store.sources import Source, source_of
from meddel.store.writing import ShardWriter


def import_from(
    path: Path,
    out: Path,
    *,
    array: str | None = None,
    model: str | None = None,
    index: pa.Table | None = None,
    shard_rows: int = SHARD_ROWS,
) -> Store:
    """Write a store of the embeddings in a file, shard by shard, and open it.

    Nothing is unpickled. No more than two shards are in memory at a time, but for a FAISS index without memory map.
    An import that was cut off goes on behind the last finished shard.

    Parameters
    ----------
    path : Path
        ``.npy``, ``.npz``, ``.safetensors``, ``.parquet`` with a column of lists, ``.faiss`` or ``.index`` (flat; needs
        faiss-cpu), or a ``.zarr`` folder (needs zarr): float16, bfloat16, float32 or float64 [n, d].
    out : Path
        The store's folder. What another work left in it is removed.
    array : str or None
        Which array or column, where there are several.
    model : str or None
        What made the embeddings; None: the file's name.
    index : pa.Table or None
        `meddel.images.index.INDEX_SCHEMA`, n rows in the embeddings' order. None: the ids are those of a Parquet file's column
        ``id``, else the file's name and the row's number.
    shard_rows : int
        Rows a shard.

    Returns
    -------
    Store
        float16 [n, d].

    Raises
    ------
    MedDELError
        The file can't be read or holds no matrix of floats; a row is not finite as float16 or has length 0 (it is
        named); an id is missing or occurs twice; `index` has another number of rows; a package is missing; the folder
        can't be written.
    """
    path, out = Path(path).expanduser(), Path(out)
    source = source_of(path, array)
    if index is not None and index.num_rows != source.rows:
        raise MedDELError(f"{source.rows} embeddings for {index.num_rows} index rows", path, "give one row for each")
    _check_ids(path, source.ids if index is None else index["id"])
    digest = _digest(path)
    encoder = {"name": model or path.name, "embeddings": digest}
    content = artefacts.hash_of("import", digest, array, None if index is None else data_hash(index))
    with locked(out):
        writer = ShardWriter(out, source.rows, source.dim, encoder=encoder, content=content, shard_rows=shard_rows)
        _fill(writer, source, path, index)
    return Store.open(out, verify=False)  # each shard was hashed as it was written or found


def _fill(writer: ShardWriter, source: Source, path: Path, index: pa.Table | None) -> None:
    if not writer.next_rows:
        return
    with progress(what="import", total=source.rows, unit="row", done=writer.done) as bar:
        for values, ids in source.chunks(writer.done, writer.shard_rows):
            rows = writer.next_rows
            mine = _index(path, rows, source.rows, ids) if index is None else index.slice(rows.start, len(rows))
            writer.append_rows(values, mine)
            bar.update(len(values))
    if writer.next_rows:
        raise MedDELError(f"it ends after {writer.done} of {source.rows} rows", path, "write the file again")


def _index(path: Path, rows: range, n: int, ids: list[str] | None) -> pa.Table:
    """Return index rows that say no more than which row of which file it is."""
    m, wide = len(rows), len(str(n - 1))
    names = ids or [f"{path.stem}/{row:0{wide}d}" for row in rows]
    columns = {"id": names, "path": [str(path.absolute())] * m, "source": [path.stem] * m}
    return pa.table({field.name: pa.array(columns.get(field.name, [None] * m), field.type) for field in INDEX_SCHEMA})


def _check_ids(path: Path, ids: pa.ChunkedArray | None) -> None:
    if ids is None:
        return
    if ids.null_count:
        raise MedDELError("a row has no id", path, "fill the column id")
    if pc.count_distinct(ids).as_py() != len(ids):
        raise MedDELError("an id occurs twice", path, "give each row an id of its own")


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files in a folder."""
    if not path.is_dir():
        return artefacts.hash_of_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return artefacts.hash_of([(file.relative_to(path).as_posix(), artefacts.hash_of_file(file)) for file in files])
