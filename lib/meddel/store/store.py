"""A finished store, from which other parts compute."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.store.shard import DTYPE, Manifest, Shard, read_manifest


@dataclass(frozen=True)
class Store:
    """A finished store; `manifest` is the content of its ``store.json``."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path, *, verify: bool = True) -> Store:
        """Open a finished store and check its shards.

        Parameters
        ----------
        folder : Path
        verify : bool
            Read every file and compare it with its checksum. Without it only files, sizes, shapes, dtypes and owners
            are checked, which takes milliseconds but does not see a flipped bit.

        Raises
        ------
        MedDELError
            There is no store in this folder, it is unfinished, or a shard is missing or has changed; the file is named.
        """
        store = cls(Path(folder), finished(Path(folder)))
        for shard in store.shards:
            shard.check()
        if verify:
            with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
                list(pool.map(Shard.verify, store.shards))
        return store

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """The shards in their order."""
        entries = self.manifest["shards"]
        firsts = np.cumsum([0, *(entry["rows"] for entry in entries)]).tolist()
        dim, key = self.manifest["dim"], self.manifest["key"]
        return tuple(Shard(self.folder, entry, dim, key, first) for entry, first in zip(entries, firsts, strict=False))

    @property
    def rows(self) -> int:
        """Number n of embeddings."""
        return self.manifest["rows"]

    @property
    def dim(self) -> int:
        """Length d of an embedding."""
        return self.manifest["dim"]

    @cached_property
    def embeddings(self) -> np.ndarray:
        """All embeddings: float16 [n, d], a read-only memory map where there is one shard, in memory otherwise."""
        matrices = [shard.matrix() for shard in self.shards]
        return matrices[0] if len(matrices) == 1 else np.concatenate(matrices)

    @cached_property
    def index(self) -> pa.Table:
        """The index rows of the embeddings, in their order: `meddel.images.index.INDEX_SCHEMA`, n rows."""
        return pa.concat_tables([shard.index() for shard in self.shards]).combine_chunks()

    @property
    def encoder(self) -> dict[str, Any]:
        """The encoder of the embeddings: configuration, hash of the weights, pooling, precision."""
        return self.manifest["encoder"]

    @property
    def hash(self) -> str:
        """SHA-256 over the shards' checksums and rows: equal for equal stores. No file is read for it."""
        return artefacts.hash_of([[entry["content"], entry["sha256"]] for entry in self.manifest["shards"]])

    def ids(self) -> pa.ChunkedArray:
        """Return the ids of all rows, in their order, and nothing else of the index."""
        return pa.chunked_array([chunk for shard in self.shards for chunk in shard.ids().chunks], pa.string())

    def read(self, start: int, out: np.ndarray) -> None:
        """Read consecutive rows from `start` on into `out` (float16 [m, d], contiguous), without a memory map."""
        stop = start + len(out)
        for shard in self.shards:
            first, last = max(start, shard.first), min(stop, shard.first + shard.rows)
            if first < last:
                shard.read([(first - shard.first, out[first - start : last - start])])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows (int [m], any order): float16 [m, d], without a memory map."""
        rows, out = np.asarray(rows), np.empty((len(rows), self.dim), DTYPE)
        owner = np.searchsorted([shard.first for shard in self.shards], rows, side="right") - 1
        for number in np.unique(owner).tolist():
            shard, places = self.shards[number], np.flatnonzero(owner == number).tolist()
            shard.read([(int(rows[place]) - shard.first, out[place : place + 1]) for place in places])
        return out


def finished(folder: Path) -> Manifest:
    """Return the ``store.json`` of a finished store, or refuse the folder."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise MedDELError("no store in this folder", folder, "write one with meddel embed IMAGES --out STORE")
    done = sum(entry["rows"] for entry in manifest["shards"])
    if done != manifest["rows"]:
        what = f"the store is unfinished, {done} of {manifest['rows']} images"
        raise MedDELError(what, folder, "call meddel embed again")
    return manifest
