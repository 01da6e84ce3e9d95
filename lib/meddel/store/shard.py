"""One shard of a store, and ``store.json``, which lists them: written, checked, and read in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import PositiveInt, TypeAdapter
from typing_extensions import TypedDict

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images.index import INDEX_SCHEMA, data_hash, read_index

SHARD_ROWS = 32768
MANIFEST = "store.json"
FORM = 2
DTYPE = np.dtype("<f2")
_OWNER = b"store"


class Entry(TypedDict):
    """The entry of a shard in ``store.json``."""

    file: str
    rows: PositiveInt
    bytes: PositiveInt
    sha256: str
    index_file: str
    index_bytes: PositiveInt
    index_sha256: str
    content: str


class Manifest(TypedDict):
    """The content of ``store.json``."""

    form: Literal[2]
    key: str
    dim: PositiveInt
    dtype: Literal["float16"]
    encoder: dict[str, Any]
    rows: PositiveInt
    shards: list[Entry]


def read_manifest(folder: Path) -> Manifest | None:
    """Return the content of ``store.json``; None if there is none, or it is not that of a store."""
    try:
        manifest = TypeAdapter(Manifest).validate_json((folder / MANIFEST).read_bytes(), strict=True)
    except (OSError, ValueError):
        return None
    files = [(entry["file"], entry["index_file"]) for entry in manifest["shards"]]
    return manifest if files == [file_names(number) for number in range(len(files))] else None


def file_names(number: int) -> tuple[str, str]:
    """Return the names of a shard's two files: its embeddings and its index rows."""
    return f"shard-{number:05d}.npy", f"shard-{number:05d}.parquet"


@dataclass(frozen=True)
class Shard:
    """One shard, as `entry` lists it, of the store of a `key`; `first` is the store's row with which it begins."""

    folder: Path
    entry: Entry
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

    @property
    def _offset(self) -> int:
        """Bytes before the first row."""
        return self.entry["bytes"] - self.rows * self.dim * DTYPE.itemsize

    def check(self) -> None:
        """Check files, sizes, shape, dtype and owner, which takes no reading; name the file which is wrong."""
        for path, size in ((self.path, self.entry["bytes"]), (self.index_path, self.entry["index_bytes"])):
            if not path.is_file():
                raise _changed("it is gone", path)
            if path.stat().st_size != size:
                raise _changed(f"{path.stat().st_size} of {size} bytes", path)
        self.matrix()
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
        """Compare both files with their checksums; name the one which differs."""
        files = ((self.path, self.entry["sha256"]), (self.index_path, self.entry["index_sha256"]))
        for path, sha256 in files:
            if not path.is_file() or artefacts.hash_of_file(path) != sha256:
                raise _changed("its checksum differs", path)

    def matrix(self) -> np.ndarray:
        """Return the embeddings as a read-only memory map, float16 [m, d]."""
        try:
            found = np.load(self.path, mmap_mode="r", allow_pickle=False)
            facts = (found.shape, found.dtype, found.flags.c_contiguous)
        except Exception as error:  # NumPy's parser raises whatever a broken header leads to
            raise _changed("it is no .npy file", self.path) from error
        if facts != ((self.rows, self.dim), DTYPE, True):
            raise _changed(f"{facts[1]} of shape {facts[0]}, not float16 of {(self.rows, self.dim)}", self.path)
        if found.offset != self._offset:
            raise _changed(f"{found.offset} bytes before the first row instead of {self._offset}", self.path)
        return found

    def read(self, pieces: list[tuple[int, np.ndarray]]) -> None:
        """Fill arrays (float16 [m, d], contiguous) with the rows from the given ones on, without a memory map."""
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

    def index(self) -> pa.Table:
        """Return the index rows, `meddel.images.index.INDEX_SCHEMA`."""
        table = read_index(self.index_path)
        self._check_ids(table["id"])
        return table

    def ids(self) -> pa.ChunkedArray:
        """Return the ids of the index rows."""
        try:
            ids = pq.read_table(self.index_path, columns=["id"])["id"].cast(pa.string())
            ids.validate(full=True)
        except (OSError, KeyError, pa.ArrowException) as error:
            raise _changed("it can't be read", self.index_path) from error
        self._check_ids(ids)
        return ids

    def _check_ids(self, ids: pa.ChunkedArray) -> None:
        if len(ids) != self.rows or ids.null_count:
            raise _changed(f"{len(ids) - ids.null_count} ids for {self.rows} rows", self.index_path)


def write_shard(folder: Path, number: int, embeddings: np.ndarray, index: pa.Table, key: str) -> Entry:
    """Write a shard's two files, both or neither, and return its entry for ``store.json``."""
    path, index_path = (folder / name for name in file_names(number))
    artefacts.write_array(path, embeddings)
    try:
        facts = write_index_rows(index_path, index, key)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    size, sha256 = path.stat().st_size, artefacts.hash_of_file(path)
    return {"file": path.name, "rows": len(embeddings), "bytes": size, "sha256": sha256, **facts}


def write_index_rows(path: Path, index: pa.Table, key: str) -> dict[str, Any]:
    """Write a shard's index rows with the store's key, and return what ``store.json`` lists of them."""
    table = index.select(INDEX_SCHEMA.names).cast(INDEX_SCHEMA).combine_chunks()
    artefacts.write_table(path, table.replace_schema_metadata({_OWNER: key}))
    size, sha256 = path.stat().st_size, artefacts.hash_of_file(path)
    return {"index_file": path.name, "index_bytes": size, "index_sha256": sha256, "content": data_hash(table)}


def _changed(problem: str, path: Path) -> MedDELError:
    return MedDELError(f"a shard is missing or has changed: {problem}", path, "copy it again, or make the store again")
