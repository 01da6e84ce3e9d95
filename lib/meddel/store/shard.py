"""One shard of a store: a float16 matrix and its index rows, told from a damaged one, and read in pieces."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images.index import INDEX_SCHEMA, data_hash, read_index

DTYPE = np.dtype("<f2")
_OWNER = b"store"


@dataclass(frozen=True)
class Shard:
    """One shard as ``store.json`` lists it.

    Attributes
    ----------
    folder : Path
        The store's.
    entry : dict
        Its files, their sizes and checksums, its rows.
    dim : int
        Width of a row.
    key : str
        Of the store that it belongs to.
    first : int
        The store's row that it begins with.
    """

    folder: Path
    entry: dict[str, Any]
    dim: int
    key: str
    first: int

    @property
    def path(self) -> Path:
        """The file of the embeddings."""
        return self.folder / self.entry["file"]

    @property
    def index_path(self) -> Path:
        """The file of the index rows."""
        return self.folder / self.entry["index_file"]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.entry["rows"]

    def check(self) -> None:
        """Check all that can be told without reading the shard: files, sizes, shape, dtype, and whose it is.

        Raises
        ------
        MedDELError
            Names the file and what is wrong with it.
        """
        for path, size in ((self.path, self.entry["bytes"]), (self.index_path, self.entry["index_bytes"])):
            if not path.is_file():
                raise _changed("it is gone", path)
            if path == self.path:
                self._check_header()
            if path.stat().st_size != size:
                raise _changed(f"{path.stat().st_size} of {size} bytes", path)
        try:
            with pq.ParquetFile(self.index_path) as file:
                rows, owner = file.metadata.num_rows, (file.schema_arrow.metadata or {}).get(_OWNER, b"")
        except (OSError, pa.ArrowException) as error:
            raise _changed("it is no Parquet file", self.index_path) from error
        if owner.decode(errors="replace") != self.key:
            raise _changed("it belongs to another store or model", self.index_path)
        if rows != self.rows:
            raise _changed(f"{rows} of {self.rows} index rows", self.index_path)

    def verify(self) -> None:
        """Compare both files with their checksums.

        Raises
        ------
        MedDELError
            Names the file that differs.
        """
        files = ((self.path, self.entry["sha256"]), (self.index_path, self.entry["index_sha256"]))
        for path, sha256 in files:
            if not path.is_file() or artefacts.hash_of_file(path) != sha256:
                raise _changed("its checksum differs", path)

    def read_into(self, start: int, out: np.ndarray) -> None:
        """Read rows from `start` on, as many as `out` (float16 [m, d], contiguous) holds; no memory map.

        Raises
        ------
        MedDELError
            The file ends before.
        """
        self._read([(start, out)])

    def take_into(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Read some rows (int [m]) into `out` (float16 [m, d], contiguous), as `read_into` does."""
        self._read([(row, out[place : place + 1]) for place, row in enumerate(rows.tolist())])

    def matrix(self) -> np.ndarray:
        """Return the embeddings as a read-only memory map, float16 [m, d].

        Raises
        ------
        MedDELError
            The file is gone or no longer what it was.
        """
        self._check_header()
        try:
            return np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _changed("it is no .npy file", self.path) from error

    def index(self) -> pa.Table:
        """Return the index rows, `meddel.images.index.INDEX_SCHEMA`.

        Raises
        ------
        MedDELError
            The file can't be read, or holds other rows than it should.
        """
        table = read_index(self.index_path)
        self._check_ids(table["id"])
        return table

    def ids(self) -> pa.ChunkedArray:
        """Return the ids of the index rows; errors as for `index`."""
        try:
            ids = pq.read_table(self.index_path, columns=["id"])["id"].cast(pa.string())
            ids.validate(full=True)
        except (OSError, KeyError, pa.ArrowException) as error:
            raise _changed("it can't be read", self.index_path) from error
        self._check_ids(ids)
        return ids

    @cached_property
    def _offset(self) -> int:
        """Bytes before the first row."""
        return self.entry["bytes"] - self.rows * self.dim * DTYPE.itemsize

    def _read(self, pieces: list[tuple[int, np.ndarray]]) -> None:
        """Fill arrays with rows from the given ones on."""
        wide = self.dim * DTYPE.itemsize
        try:
            with self.path.open("rb", buffering=0) as file:
                for start, out in pieces:
                    memory = memoryview(out).cast("B")
                    file.seek(self._offset + start * wide)
                    while memory:
                        step = file.readinto(memory)
                        if not step:
                            raise _changed("it is cut short", self.path)
                        memory = memory[step:]
        except OSError as error:
            raise _changed(error.strerror or "it can't be read", self.path) from error

    def _check_header(self) -> None:
        try:
            with self.path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                shape, fortran, dtype = (
                    np.lib.format.read_array_header_1_0(file) if version == (1, 0) else ((), 0, None)
                )
                begin = file.tell()
        except Exception as error:  # NumPy's parser raises whatever a broken header leads to
            raise _changed("it is no .npy file", self.path) from error
        if shape != (self.rows, self.dim) or dtype != DTYPE or fortran:
            raise _changed(f"{dtype} of shape {shape}, not float16 of {(self.rows, self.dim)}", self.path)
        if begin != self._offset:
            raise _changed(f"{self._offset} bytes before the first row, {begin} of them its header's", self.path)

    def _check_ids(self, ids: pa.ChunkedArray) -> None:
        if len(ids) != self.rows or ids.null_count:
            raise _changed(f"{len(ids) - ids.null_count} ids for {self.rows} rows", self.index_path)


def write_shard(folder: Path, names: tuple[str, str], embeddings: np.ndarray, index: pa.Table, key: str) -> dict:
    """Write a shard's two files, atomically, and return its entry for ``store.json``.

    Parameters
    ----------
    names : tuple of str
        Of the embeddings' and the index's file.
    embeddings : float16 [m, d]
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`, m rows.
    key : str
        Of the store.

    Raises
    ------
    MedDELError
        The folder can't be written; neither file stays.
    """
    path = folder / names[0]
    artefacts.write_array(path, np.ascontiguousarray(embeddings, DTYPE))
    try:
        facts = write_index_rows(folder / names[1], index, key)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    size = os.stat(path).st_size
    return {"file": path.name, "rows": len(embeddings), "bytes": size, "sha256": artefacts.hash_of_file(path)} | facts


def write_index_rows(path: Path, index: pa.Table, key: str) -> dict[str, Any]:
    """Write a shard's index rows, atomically, with the store's key, and return what ``store.json`` says of them."""
    table = index.select(INDEX_SCHEMA.names).cast(INDEX_SCHEMA).combine_chunks()
    artefacts.write_table(path, table.replace_schema_metadata({_OWNER: key}))
    return {
        "index_file": path.name,
        "index_bytes": path.stat().st_size,
        "index_sha256": artefacts.hash_of_file(path),
        "content": data_hash(table),
    }


def _changed(problem: str, path: Path) -> MedDELError:
    return MedDELError(f"a shard is missing or has changed: {problem}", path, "copy it again, or make the store again")
