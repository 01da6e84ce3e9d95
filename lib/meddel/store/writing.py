"""Stores are written shard by shard; work that was cut off goes on behind the last whole one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images.index import data_hash, read_index
from meddel.store import manifest as manifests
from meddel.store.lock import locked
from meddel.store.manifest import SHARD_ROWS
from meddel.store.opened import Store
from meddel.store.shard import DTYPE, Shard, write_index_rows, write_shard

_WIDEST = np.uint16(0x7C00)  # float16 bits from here on, without the sign, are infinite or no number


class ShardWriter:
    """Append embeddings with their index rows to a new store, or to one that the same work has begun.

    One process at a time may do so: hold `meddel.store.locked` for the folder.

    Parameters
    ----------
    folder : Path
        The store's folder. What another work left in it is removed.
    rows : int
        Number of all embeddings to come.
    dim : int
        Length d of an embedding.
    encoder : mapping
        What makes the embeddings, JSON-like. With `content` and `shard_rows` it decides whether begun work is the same.
    content : str
        A hash of what the embeddings are made from.
    shard_rows : int
        Rows a shard; the last one may have fewer.

    Raises
    ------
    MedDELError
        No rows, or a folder that can't be written.
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
        manifest = {"form": manifests.FORM, "dim": dim, "dtype": "float16", "encoder": facts, "rows": rows}
        manifest["shards"] = []
        manifest["key"] = artefacts.hash_of("store", content, manifest, shard_rows)
        begun = manifests.read(self.folder)
        if begun is not None and begun["key"] == manifest["key"]:
            manifest["shards"] = self._whole(begun["shards"], manifest)
        else:
            self._clear()
        self.manifest = manifest
        if begun != manifest:
            self._say()

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
        """Write the next shard.

        Parameters
        ----------
        embeddings : np.ndarray
            Any float [m, d] with m as `next_rows` says; stored as float16.
        index : pa.Table
            `meddel.images.index.INDEX_SCHEMA`, m rows.

        Raises
        ------
        MedDELError
            Another shape, NaN or infinity, an embedding of length 0 (the image is named), a full disk.
        """
        expected = (len(self.next_rows), self.manifest["dim"])
        if embeddings.shape != expected or index.num_rows != len(embeddings):
            raise MedDELError(
                f"a shard of shape {embeddings.shape}, expected {expected}, with {index.num_rows} index rows",
                self.folder,
                "give as many rows as next_rows says, of the store's width",
            )
        with np.errstate(over="ignore"):
            shard = np.ascontiguousarray(embeddings, DTYPE)
        _check(shard, index)
        names = manifests.names(len(self.manifest["shards"]))
        self.manifest["shards"].append(write_shard(self.folder, names, shard, index, self.key))
        self._say()

    def _say(self) -> None:
        artefacts.write_json(self.folder / manifests.FILE, self.manifest)

    def _whole(self, entries: list[dict[str, Any]], manifest: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the entries of the shards before the first that is damaged."""
        whole, first = [], 0
        for entry in entries:
            shard = Shard(self.folder, entry, manifest["dim"], manifest["key"], first)
            entry = self._repaired(shard)
            if entry is None:
                break
            whole.append(entry)
            first += entry["rows"]
        return whole

    def _repaired(self, shard: Shard) -> dict[str, Any] | None:
        """Return a shard's entry, None if it is damaged."""
        try:
            shard.check()
            shard.verify()
        except MedDELError:
            return None
        return shard.entry

    def _clear(self) -> None:
        try:
            for path in (self.folder / manifests.FILE, *self.folder.glob("shard-*"), self.folder / "rows.parquet"):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise artefacts.unwritable(self.folder, error) from error


class StoreWriter(ShardWriter):
    """Append the embeddings of an index that is in memory, as `ShardWriter` does.

    Parameters
    ----------
    folder, dim, encoder, shard_rows
        As for `ShardWriter`.
    index : pa.Table
        The index rows of all embeddings to come, n of them, in order. They may name other paths than before: the rows
        are written again, the embeddings stay.

    Raises
    ------
    MedDELError
        No rows, or a folder that can't be written.
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
        """Write the next shard, as `ShardWriter.append_rows` does, with the index rows that belong to it."""
        self.append_rows(embeddings, self.index.slice(self.next_rows.start, len(self.next_rows)))

    def _repaired(self, shard: Shard) -> dict[str, Any] | None:
        """Return a shard's entry with the index rows as they are now, None if its embeddings are damaged."""
        if not shard.path.is_file() or artefacts.hash_of_file(shard.path) != shard.entry["sha256"]:
            return None
        rows = self.index.slice(shard.first, shard.rows)
        try:
            shard.check()
            shard.verify()
            if read_index(shard.index_path).equals(rows):
                return shard.entry
        except MedDELError:
            pass  # the rows are known, and written anew
        return shard.entry | write_index_rows(shard.index_path, rows, shard.key)


def write(
    folder: Path,
    embeddings: np.ndarray,
    index: pa.Table,
    *,
    encoder: Mapping[str, Any],
    shard_rows: int = SHARD_ROWS,
) -> Store:
    """Write embeddings that were made elsewhere as a store, and open it.

    Parameters
    ----------
    folder : Path
        The store's folder.
    embeddings : np.ndarray
        Any float [n, d], one row for each row of `index`.
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`, n rows.
    encoder : mapping
        What made them, JSON-like, such as ``{"name": "my encoder"}``.
    shard_rows : int
        Rows a shard.

    Raises
    ------
    MedDELError
        As `StoreWriter`; also if rows and embeddings are not equally many.
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
    """Refuse rows that are not finite as float16, or of length 0."""
    bits = shard.view(np.uint16) & np.uint16(0x7FFF)  # NumPy is far slower on half floats than on their bits
    for good, problem in (
        ((bits < _WIDEST).all(axis=1), "holds NaN or infinity"),
        (bits.any(axis=1), "has length 0"),
    ):
        if not good.all():
            row = int(np.argmin(good))
            raise MedDELError(
                f"the embedding of {index['id'][row]} {problem}",
                index["path"][row].as_py(),
                "look at this image and at the weights, or remove the image and index again",
            )
