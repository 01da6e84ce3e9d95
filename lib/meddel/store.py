"""The store: embeddings on disk in shards, with the index rows that they belong to and checksums.

``shard-00000.npy`` and so on hold float16 [m, d], ``rows.parquet`` the index rows in order, and ``store.json`` the
dimension, what made the embeddings, and each shard's rows and SHA-256. A shard that is listed there is whole, so work
that was cut off goes on behind it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.index import data_hash, read_index, write_index

SHARD_ROWS = 1024
_MANIFEST, _ROWS = "store.json", "rows.parquet"


@dataclass(frozen=True)
class Store:
    """A finished store. `manifest` is what ``store.json`` says."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Open a finished store and check its shards against their checksums.

        Raises
        ------
        MedDELError
            No store in this folder, an unfinished one, or a shard that is missing or has changed.
        """
        manifest = _read_manifest(Path(folder))
        if manifest is None:
            raise MedDELError("no store in this folder", folder, "write one with meddel embed IMAGES --out STORE")
        done = sum(shard["rows"] for shard in manifest["shards"])
        if done != manifest["rows"]:
            raise MedDELError(
                f"the store is unfinished, {done} of {manifest['rows']} images", folder, "call meddel embed again"
            )
        for shard in manifest["shards"]:
            if not _is_whole(Path(folder), shard):
                raise MedDELError("a shard is missing or has changed", Path(folder) / shard["file"], "embed again")
        return cls(Path(folder), manifest)

    @cached_property
    def embeddings(self) -> np.ndarray:
        """All embeddings: float16 [n, d], a read-only memory map where there is one shard, in memory otherwise."""
        shards = [np.load(self.folder / shard["file"], mmap_mode="r") for shard in self.manifest["shards"]]
        return shards[0] if len(shards) == 1 else np.concatenate(shards)

    @cached_property
    def index(self) -> pa.Table:
        """The index rows of the embeddings, in their order: `meddel.index.INDEX_SCHEMA`, n rows."""
        return read_index(self.folder / _ROWS)

    @property
    def encoder(self) -> dict[str, Any]:
        """What made the embeddings: configuration, hash of the weights, pooling, precision."""
        return self.manifest["encoder"]

    @property
    def hash(self) -> str:
        """SHA-256 over the shards' checksums and the rows: equal for equal stores."""
        return artefacts.hash_of(data_hash(self.index), [shard["sha256"] for shard in self.manifest["shards"]])


class StoreWriter:
    """Append embeddings shard by shard to a new store, or to one that the same work has begun.

    Parameters
    ----------
    folder : Path
        The store's folder. What another work left in it is removed.
    index : pa.Table
        The index rows of all embeddings to come, n of them, in order.
    dim : int
        Length d of an embedding.
    encoder : mapping
        What makes the embeddings, JSON-like. With the rows and `shard_rows` it decides whether begun work is the same.
    shard_rows : int
        Rows a shard; the last one may have fewer.

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
        self.folder = Path(folder)
        self.index = index
        self.shard_rows = shard_rows
        facts = json.loads(json.dumps(dict(encoder)))  # as they are read back: a tuple becomes a list
        manifest = {"dim": dim, "dtype": "float16", "encoder": facts, "rows": index.num_rows, "shards": []}
        manifest["key"] = artefacts.hash_of("store", data_hash(index), manifest, shard_rows)
        begun = _read_manifest(self.folder)
        if begun is not None and begun["key"] == manifest["key"]:
            whole = [_is_whole(self.folder, shard) for shard in begun["shards"]]
            manifest["shards"] = begun["shards"][: (*whole, False).index(False)]
        else:
            self._clear()
        self.manifest = manifest
        if not self._rows_are_written():
            write_index(self.folder / _ROWS, index)
        if begun != manifest:
            artefacts.write_json(self.folder / _MANIFEST, manifest)

    @property
    def key(self) -> str:
        """Hash of all that decides the store's content."""
        return self.manifest["key"]

    @property
    def done(self) -> int:
        """Number of rows in finished shards; the next shard begins here."""
        return sum(shard["rows"] for shard in self.manifest["shards"])

    @property
    def next_rows(self) -> range:
        """The rows of the next shard, empty when the store is finished."""
        return range(self.done, min(self.done + self.shard_rows, self.index.num_rows))

    def append(self, embeddings: np.ndarray) -> None:
        """Write the next shard.

        Parameters
        ----------
        embeddings : np.ndarray
            Any float [m, d] with m as `next_rows` says; stored as float16.

        Raises
        ------
        MedDELError
            Another shape, NaN or infinity, an embedding of length 0 (the image is named), a full disk.
        """
        expected = (len(self.next_rows), self.manifest["dim"])
        if embeddings.shape != expected:
            raise MedDELError(f"a shard of shape {embeddings.shape}, expected {expected}", self.folder)
        with np.errstate(over="ignore"):
            shard = embeddings.astype(np.float16)
        self._check(shard)
        path = self.folder / f"shard-{len(self.manifest['shards']):05d}.npy"
        artefacts.write_array(path, shard)
        entry = {"file": path.name, "rows": len(shard), "sha256": artefacts.hash_of_file(path)}
        self.manifest["shards"].append(entry)
        artefacts.write_json(self.folder / _MANIFEST, self.manifest)

    def _check(self, shard: np.ndarray) -> None:
        finite, filled = np.isfinite(shard).all(axis=1), shard.any(axis=1)
        for good, problem in ((finite, "holds NaN or infinity"), (filled, "has length 0")):
            if not good.all():
                row = self.next_rows[int(np.argmin(good))]
                raise MedDELError(
                    f"the embedding of {self.index['id'][row]} {problem}",
                    self.index["path"][row].as_py(),
                    "look at this image and at the weights, or remove the image and index again",
                )

    def _rows_are_written(self) -> bool:
        """Tell whether the rows lie there already; the same images may have moved to another folder since."""
        try:
            return read_index(self.folder / _ROWS).equals(self.index)
        except MedDELError:
            return False

    def _clear(self) -> None:
        try:
            for path in (self.folder / _MANIFEST, *self.folder.glob("shard-*.npy")):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise MedDELError(
                f"can't write: {error.strerror}", self.folder, "free some space or give another --out folder"
            ) from error


def write(folder: Path, embeddings: np.ndarray, index: pa.Table, *, encoder: Mapping[str, Any]) -> Store:
    """Write embeddings that were made elsewhere as a store, and open it.

    Parameters
    ----------
    folder : Path
        The store's folder.
    embeddings : np.ndarray
        Any float [n, d], one row for each row of `index`.
    index : pa.Table
        `meddel.index.INDEX_SCHEMA`, n rows.
    encoder : mapping
        What made them, JSON-like, such as ``{"name": "my encoder"}``.

    Raises
    ------
    MedDELError
        As `StoreWriter`; also if rows and embeddings are not equally many.
    """
    if embeddings.ndim != 2 or len(embeddings) != index.num_rows:
        raise MedDELError(f"embeddings of shape {embeddings.shape} for {index.num_rows} rows", folder, "give one a row")
    content = {**encoder, "embeddings": artefacts.hash_of(embeddings)}
    writer = StoreWriter(folder, index, embeddings.shape[1], encoder=content)
    while writer.next_rows:
        writer.append(embeddings[writer.next_rows.start : writer.next_rows.stop])
    return Store.open(folder)


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and {"key", "rows", "shards"} <= manifest.keys() else None


def _is_whole(folder: Path, shard: dict[str, Any]) -> bool:
    path = folder / shard["file"]
    return path.is_file() and artefacts.hash_of_file(path) == shard["sha256"]
