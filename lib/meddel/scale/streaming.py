"""A store passed through in blocks of rows: while one is computed on, the next is being read.

The stages know `Stream` alone, and hand it what is to be computed for each block, or each pack of clusters, as
functions of their arguments. Here they are called one after the other; ``meddel.scale.cluster`` calls them elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import meddel_kernels as kernels
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.store import Store

_PIECE = 256  # rows whose float64 copies stay in the cache

Own = Callable[[slice], tuple]
"""From the rows of a block to the arguments that only this block gets."""


def nothing(_: slice) -> tuple:
    """Return no arguments, for any block."""
    return ()


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

    @property
    def work_on(self) -> dict[str, Any]:
        """What kernels are to compute with: ``backend`` and ``threads``."""
        return {"backend": self.backend, "threads": self.threads}

    def parts(self, start: int = 0) -> list[slice]:
        """Return the blocks' rows, from row `start` on."""
        n = self.store.rows
        return [slice(first, min(first + self.block_rows, n)) for first in range(start, n, self.block_rows)]

    def each(
        self, task: Callable[..., Any], *shared: Any, own: Own = nothing, unit: bool = True, start: int = 0
    ) -> Iterator[tuple[slice, Any]]:
        """Yield the rows of each block and what `task` returns for it, in any order.

        Parameters
        ----------
        task : callable
            A function of a module, called as ``task(rows, *shared, *own(part), backend=..., threads=...)``.
        *shared : object
            Arguments that all blocks get.
        own : callable
            Returns those that one block gets.
        unit : bool
            Whether `rows` are unit rows, float64 [m, d], or as the store has them, float16.
        start : int
            The first row.

        Raises
        ------
        MedDELError
            As `units`, or as `task`.
        """
        for part, rows in (self.units if unit else self.blocks)(start):
            yield part, task(rows, *shared, *own(part), **self.work_on)

    def added(
        self, task: Callable[..., Any], *shared: Any, own: Own = nothing
    ) -> tuple[list[tuple[slice, Any]], np.ndarray]:
        """Return what `task` returns for each block, and the sum over all blocks.

        Parameters
        ----------
        task : callable
            As for `each`; returns what the block keeps, and an array of whole numbers to be added up.
        *shared, own
            As for `each`.
        """
        found, total = [], None
        with progress(what="pass", total=self.store.rows, unit="row") as bar:
            for part, (mine, addend) in self.each(task, *shared, own=own):
                found.append((part, mine))
                total = addend if total is None else np.add(total, addend, out=total)
                bar.update(part.stop - part.start)
        return found, total

    def map(
        self, task: Callable[..., Any], numbers: Iterable[int], arguments: Callable[[int], tuple]
    ) -> Iterator[tuple[int, Any]]:
        """Yield each number and ``task(*arguments(number), backend=..., threads=...)``, in any order."""
        for number in numbers:
            yield number, task(*arguments(number), **self.work_on)

    def blocks(self, start: int = 0) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the rows from `start` on: which they are, and float16 [m, d], valid until the next is asked for.

        Raises
        ------
        MedDELError
            A shard ends before its last row; it is named.
        """
        parts, size = self.parts(start), min(self.block_rows, self.store.rows - start)
        buffers = np.empty((min(2, len(parts)), size, self.store.dim), np.float16)

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
            check_rows(self.store, part.start, block)
            yield part, unit_rows(block, self.threads, room)

    def unit_rows_at(self, places: np.ndarray) -> np.ndarray:
        """Return the unit rows at some places, float64 [m, d]."""
        rows = self.store.take(self.rows_at(places))
        return kernels.unit_rows(rows) if len(rows) else np.empty(rows.shape)


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


def check_rows(store: Store, first: int, rows: np.ndarray) -> None:
    """Refuse rows of a store (float16 [m, d], from row `first` on) that have no direction.

    Raises
    ------
    MedDELError
        NaN, infinity or a length of 0 in a row, whose image is named.
    """
    unfit = _unfit(rows)
    if unfit is not None:
        shard = next(shard for shard in reversed(store.shards) if shard.first <= first + unfit)
        image = shard.ids()[first + unfit - shard.first].as_py()
        raise MedDELError("NaN, infinity or length 0 in an embedding", image, "embed the images again")


def _unfit(rows: np.ndarray) -> int | None:
    """Return the first of some float16 rows that is not finite or all zeros."""
    for start in range(0, len(rows), _PIECE):
        bits = rows[start : start + _PIECE].view(np.uint16) & np.uint16(0x7FFF)
        most = bits.max(axis=1)
        unfit = (most >= 0x7C00) | (most == 0)
        if unfit.any():
            return start + int(np.argmax(unfit))
    return None
