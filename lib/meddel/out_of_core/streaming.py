"""A store passed through in blocks of rows: while one is computed on, the next is being read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import meddel_kernels as kernels
from meddel.errors import MedDELError
from meddel.store import Store

_PIECE = 256  # rows whose float64 copies stay in the cache


@dataclass(frozen=True)
class Stream:
    """The rows of a store, block by block.

    Attributes
    ----------
    store : Store
    block_rows : int
        Rows a block. No result depends on it.
    by_id : int64 [n] or None
        The store's row at each place among the ids; None where the rows are in the order of their ids.
    backend, threads
        As for `meddel_kernels.kmeans`.
    """

    store: Store
    block_rows: int
    by_id: np.ndarray | None = None
    backend: kernels.Backend = "auto"
    threads: int | None = None

    @cached_property
    def place(self) -> np.ndarray | None:
        """Where each of the store's rows stands among the ids, int64 [n]; None where it is its own place."""
        if self.by_id is None:
            return None
        place = np.empty(len(self.by_id), np.int64)
        place[self.by_id] = np.arange(len(self.by_id))
        return place

    def rows_at(self, places: np.ndarray) -> np.ndarray:
        """Return the store's rows at some places, int64."""
        return places if self.by_id is None else self.by_id[places]

    def places_of(self, rows: slice) -> slice | np.ndarray:
        """Return the places of consecutive rows, to index arrays by place with."""
        return rows if self.place is None else self.place[rows]

    def blocks(self, start: int = 0) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the rows from `start` on: which they are, and float16 [m, d], valid until the next is asked for.

        Raises
        ------
        MedDELError
            A shard ends before its last row; it is named.
        """
        n, size = self.store.rows, self.block_rows
        parts = [slice(first, min(first + size, n)) for first in range(start, n, size)]
        buffers = np.empty((min(2, len(parts)), min(size, n - start), self.store.dim), np.float16)

        def read(number: int) -> np.ndarray:
            block = buffers[number % 2][: parts[number].stop - parts[number].start]
            self.store.read(parts[number].start, block)
            return block

        with ThreadPoolExecutor(1, thread_name_prefix="meddel_reads") as reader:
            ahead = reader.submit(read, 0) if parts else None
            for number, part in enumerate(parts):
                block = ahead.result()
                ahead = reader.submit(read, number + 1) if number + 1 < len(parts) else None
                yield part, block

    def units(self, start: int = 0) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield as `blocks` does, but unit rows, float64 [m, d].

        Raises
        ------
        MedDELError
            As `blocks`; NaN, infinity or a length of 0 in a row, whose image is named.
        """
        room = np.empty((min(self.block_rows, self.store.rows - start), self.store.dim))
        for part, block in self.blocks(start):
            unfit = _unfit(block)
            if unfit is not None:
                row = part.start + unfit
                raise MedDELError("NaN, infinity or length 0 in an embedding", self._id(row), "embed the images again")
            yield part, unit_rows(block, self.threads, room)

    def unit_rows_at(self, places: np.ndarray) -> np.ndarray:
        """Return the unit rows at some places, float64 [m, d]."""
        rows = self.store.take(self.rows_at(places))
        return kernels.unit_rows(rows) if len(rows) else np.empty(rows.shape)

    def _id(self, row: int) -> str:
        shard = next(shard for shard in reversed(self.store.shards) if shard.first <= row)
        return shard.ids()[row - shard.first].as_py()


def unit_rows(rows: np.ndarray, threads: int | None = None, room: np.ndarray | None = None) -> np.ndarray:
    """Return `meddel_kernels.unit_rows`, computed by several threads.

    Parameters
    ----------
    rows : float [m, d]
    threads : int or None
        None: all cores.
    room : float64 [at least m, d] or None
        Where to write.
    """
    unit = np.empty(rows.shape) if room is None else room[: len(rows)]

    def piece(start: int) -> None:
        unit[start : start + _PIECE] = kernels.unit_rows(rows[start : start + _PIECE])

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        list(pool.map(piece, range(0, len(rows), _PIECE)))
    return unit


def _unfit(rows: np.ndarray) -> int | None:
    """Return the first of some float16 rows that is not finite or all zeros."""
    for start in range(0, len(rows), _PIECE):
        bits = rows[start : start + _PIECE].view(np.uint16) & np.uint16(0x7FFF)
        most = bits.max(axis=1)
        unfit = (most >= 0x7C00) | (most == 0)
        if unfit.any():
            return start + int(np.argmax(unfit))
    return None
