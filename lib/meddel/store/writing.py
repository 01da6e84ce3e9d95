"""Write stores shard by shard; interrupted work continues after the last whole shard."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images.index import data_hash, read_index
from meddel.store.shard import (
    DTYPE,
    FORM,
    MANIFEST,
    SHARD_ROWS,
    Entry,
    Shard,
    read_manifest,
    write_index_rows,
    write_shard,
)
from meddel.store.store import Store

_LOG = logging.getLogger("meddel")
_INFINITE = np.uint16(0x7C00)  # float16 bits from here on, without the sign, are infinite or no number


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time write to `folder`, which is made; another one waits, and says so in one line.

    The lock is the operating system's: it ends with its process, however that ends. It must not be nested. What killed
    processes left half-written (``.*.part``) is removed.
    """
    guard = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            guard.acquire(timeout=0)
        except Timeout:
            _LOG.warning("another process is at work in %s; waiting until it is done", folder)
            guard.acquire(poll_interval=0.1)
        for half in folder.glob(".*.part"):
            half.unlink(missing_ok=True)
    except OSError as error:
        guard.release()
        raise artefacts.unwritable(folder, error) from error
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held: who waits for this file sees that it is gone and opens a new one
            Path(guard.lock_file).unlink(missing_ok=True)
        guard.release()


class ShardWriter:
    """Append embeddings with their index rows to a new store, or to one which the same work has begun.

    Hold `meddel.store.locked` for the folder; what other work left in it is removed. `encoder` (JSON-like: what makes
    the embeddings), `content` (a hash of their source), `rows`, `dim` and `shard_rows` decide whether work is the same.
    """

    def __init__(
        self,
        folder: Path,
        rows: int,
        dim: int,
        *,
        encoder: Mapping[str, Any],
        content: str,
        shard_rows: int = SHARD_ROWS,
    ) -> None:
        if rows < 1 or dim < 1 or shard_rows < 1:
            raise MedDELError("embeddings without rows or columns make no store", folder, "give at least one")
        self.folder = Path(folder)
        self.shard_rows = shard_rows
        facts = json.loads(json.dumps(dict(encoder)))  # as they are read back: a tuple becomes a list
        manifest: dict[str, Any] = {"form": FORM, "dim": dim, "dtype": "float16", "encoder": facts, "rows": rows}
        manifest["shards"] = []
        manifest["key"] = artefacts.hash_of("store", content, manifest, shard_rows)
        begun = read_manifest(self.folder)
        if begun is not None and begun["key"] == manifest["key"]:
            manifest["shards"] = self._whole(begun["shards"], dim, manifest["key"])
        else:
            self._clear()
        self.manifest = manifest
        if begun != manifest:
            artefacts.write_json(self.folder / MANIFEST, manifest)

    @property
    def key(self) -> str:
        """Hash of all that decides the store's content."""
        return self.manifest["key"]

    @property
    def done(self) -> int:
        """Number of rows in finished shards; the next shard begins here."""
        return sum(entry["rows"] for entry in self.manifest["shards"])

    @property
    def next_rows(self) -> range:
        """The rows of the next shard, empty when the store is finished."""
        return range(self.done, min(self.done + self.shard_rows, self.manifest["rows"]))

    def append_rows(self, embeddings: np.ndarray, index: pa.Table) -> None:
        """Write the next shard, float [m, d] and m index rows, with m as `next_rows` says.

        NaN, infinity or a length of 0 as float16 is refused, and the image named.
        """
        expected = (len(self.next_rows), self.manifest["dim"])
        if embeddings.shape != expected or index.num_rows != len(embeddings):
            what = f"a shard of shape {embeddings.shape}, expected {expected}, with {index.num_rows} index rows"
            raise MedDELError(what, self.folder, "give as many rows as next_rows says, of the store's width")
        with np.errstate(over="ignore"):
            shard = np.ascontiguousarray(embeddings, DTYPE)
        _check(shard, index)
        number = len(self.manifest["shards"])
        self.manifest["shards"].append(write_shard(self.folder, number, shard, index, self.key))
        artefacts.write_json(self.folder / MANIFEST, self.manifest)

    def _whole(self, entries: list[Entry], dim: int, key: str) -> list[Entry]:
        """Return the entries of the shards before the first which is damaged."""
        whole, first = [], 0
        for entry in entries:
            try:
                entry = self._sound(Shard(self.folder, entry, dim, key, first))
            except MedDELError:
                break
            whole.append(entry)
            first += entry["rows"]
        return whole

    def _sound(self, shard: Shard) -> Entry:
        """Return the entry of a shard, or refuse a damaged one."""
        shard.check()
        shard.verify()
        return shard.entry

    def _clear(self) -> None:
        try:
            for path in (self.folder / MANIFEST, *self.folder.glob("shard-*")):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise artefacts.unwritable(self.folder, error) from error


class StoreWriter(ShardWriter):
    """Append the embeddings of an index which is in memory, as `ShardWriter` does.

    The index may name other paths than before: its rows are written again, the embeddings are kept.
    """

    def __init__(
        self, folder: Path, index: pa.Table, dim: int, *, encoder: Mapping[str, Any], shard_rows: int = SHARD_ROWS
    ) -> None:
        if index.num_rows == 0:
            raise MedDELError("an index without rows can't be embedded", folder, "give a folder with images")
        self.index = index
        content = data_hash(index)
        super().__init__(folder, index.num_rows, dim, encoder=encoder, content=content, shard_rows=shard_rows)

    def append(self, embeddings: np.ndarray) -> None:
        """Write the next shard with the index rows which belong to it."""
        self.append_rows(embeddings, self.index.slice(self.next_rows.start, len(self.next_rows)))

    def _sound(self, shard: Shard) -> Entry:
        rows = self.index.slice(shard.first, shard.rows)
        with suppress(MedDELError):
            if read_index(shard.index_path).equals(rows):
                return super()._sound(shard)
        repaired = shard.entry | write_index_rows(shard.index_path, rows, shard.key)
        return super()._sound(Shard(shard.folder, repaired, shard.dim, shard.key, shard.first))


def write(
    folder: Path,
    embeddings: np.ndarray,
    index: pa.Table,
    *,
    encoder: Mapping[str, Any],
    shard_rows: int = SHARD_ROWS,
) -> Store:
    """Write embeddings (float [n, d]) and their n index rows as a store, and open it.

    `encoder` says what made them, JSON-like, such as ``{"name": "my encoder"}``.
    """
    if embeddings.ndim != 2 or len(embeddings) != index.num_rows:
        raise MedDELError(f"embeddings of shape {embeddings.shape} for {index.num_rows} rows", folder, "give one a row")
    content = {**encoder, "embeddings": artefacts.hash_of(embeddings)}
    with locked(Path(folder)):
        writer = StoreWriter(folder, index, embeddings.shape[1], encoder=content, shard_rows=shard_rows)
        while writer.next_rows:
            writer.append(embeddings[writer.next_rows.start : writer.next_rows.stop])
    return Store.open(folder)


def _check(shard: np.ndarray, index: pa.Table) -> None:
    """Refuse rows which are not finite as float16, or of length 0."""
    bits = shard.view(np.uint16) & np.uint16(0x7FFF)  # NumPy is far slower on half floats than on their bits
    sound = {"holds NaN or infinity": (bits < _INFINITE).all(axis=1), "has length 0": bits.any(axis=1)}
    for problem, good in sound.items():
        if not good.all():
            row = int(np.argmin(good))
            what = f"the embedding of {index['id'][row]} {problem}"
            fix = "look at this image and at the weights, or remove the image and index again"
            raise MedDELError(what, index["path"][row].as_py(), fix)
