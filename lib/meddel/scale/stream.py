"""Pass through a store in blocks of rows: while one is computed on, the next is read.

The stages know `Stream` alone, and hand it functions of a module (*tasks*) to call for each block or pack of clusters.
`meddel.scale.workers` has the one subclass, whose tasks are called by the workers of a cluster.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import meddel_kernels as kernels
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.store import Store

_PIECE = 256  # rows whose float64 copies stay in the cache
_INFINITE = np.uint16(0x7C00)  # float16 bits from here on, without the sign, are infinite or no number

Task = Callable[..., Any]
"""Called with the keywords ``backend`` and ``threads``, as kernels take them, which change no result."""
Own, Parts, Found = np.ndarray | None, Sequence[slice] | None, Iterator[tuple[slice, Any]]


@dataclass
class Stream:
    """The rows of a store in blocks of `block_rows`, on which no result depends.

    `by_id` (int64 [n]) is the store's row at each *place* in the order of ids.
    """

    store: Store
    block_rows: int
    by_id: np.ndarray
    backend: kernels.Backend = "auto"
    threads: int | None = None

    @property
    def work_on(self) -> dict[str, Any]:
        """The settings that tasks compute with."""
        return {"backend": self.backend, "threads": self.threads}

    @property
    def parts(self) -> list[slice]:
        """The rows of each block."""
        n = self.store.rows
        return [slice(first, min(first + self.block_rows, n)) for first in range(0, n, self.block_rows)]

    def unit_rows_at(self, places: np.ndarray) -> np.ndarray:
        """Return the unit rows at some places: float64 [m, d]."""
        rows = self.store.take(self.by_id[places])
        return kernels.unit_rows(rows) if len(rows) else np.empty(rows.shape)

    def each(self, task: Task, *shared: Any, own: Own = None, unit: bool = True, parts: Parts = None) -> Found:
        """Yield each block's rows and ``task(block, *shared, own of these rows)``, in any order of blocks.

        A block is of unit rows, float64 [m, d]; or float16 as in the store where `unit` is False. `parts` are the
        blocks to take, None for all. A row without a direction is refused, and its image named.
        """
        wanted = self.parts if parts is None else parts
        with ThreadPoolExecutor(1, thread_name_prefix="meddel_reads") as reader:
            buffers = np.empty((2, min(self.block_rows, self.store.rows), self.store.dim), np.float16)
            room = np.empty(buffers.shape[1:]) if unit else None

            def read(number: int) -> np.ndarray:
                block = buffers[number % 2][: wanted[number].stop - wanted[number].start]
                self.store.read(wanted[number].start, block)
                return block

            ahead = reader.submit(read, 0) if wanted else None
            for number, part in enumerate(wanted):
                block = ahead.result()
                ahead = reader.submit(read, number + 1) if number + 1 < len(wanted) else None
                if unit:
                    block = checked_unit_rows(self.store, part.start, block, self.threads, room)
                yield part, task(block, *shared, *own_of(own, part), **self.work_on)

    def added(self, task: Task, *shared: Any, own: Own = None) -> tuple[list[Any], Any]:
        """Return what `task` finds in all blocks, in order, and the sum of their arrays of whole numbers.

        The task returns both for its block: a list, and an array (None if all have none).
        """
        found, total = [], None
        with progress(what="pass", total=self.store.rows, unit="row") as bar:
            for part, (mine, addend) in self.each(task, *shared, own=own):
                found += mine
                total = addend if total is None else np.add(total, addend, out=total)
                bar.update(part.stop - part.start)
        return found, total

    def map(self, task: Task, numbers: Sequence[int], arguments: Callable[[int], tuple]) -> Iterator[tuple[int, Any]]:
        """Yield each number and ``task(*arguments(number))``, in any order; workers begin with the first numbers."""
        for number in numbers:
            yield number, task(*arguments(number), **self.work_on)


def own_of(own: Own, part: slice) -> tuple[np.ndarray, ...]:
    """Return the argument that one block gets, if there is one."""
    return () if own is None else (own[part],)


def unit_rows(rows: np.ndarray, threads: int | None = None, room: np.ndarray | None = None) -> np.ndarray:
    """Return `meddel_kernels.unit_rows`, computed by several threads, in `room` (float64 [at least m, d]) if given."""
    unit = np.empty(rows.shape) if room is None else room[: len(rows)]

    def piece(start: int) -> None:
        unit[start : start + _PIECE] = kernels.unit_rows(rows[start : start + _PIECE])

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        list(pool.map(piece, range(0, len(rows), _PIECE)))
    return unit


def checked_unit_rows(
    store: Store, first: int, rows: np.ndarray, threads: int | None, room: np.ndarray | None = None
) -> np.ndarray:
    """Return the unit rows of a store's `rows` from `first` on, or refuse one that has no direction."""
    most = (rows.view(np.uint16) & np.uint16(0x7FFF)).max(axis=1)
    unfit = np.flatnonzero((most >= _INFINITE) | (most == 0))
    if len(unfit):
        row = first + int(unfit[0])
        shard = next(shard for shard in reversed(store.shards) if shard.first <= row)
        image = shard.ids()[row - shard.first].as_py()
        raise MedDELError("NaN, infinity or length 0 in an embedding", image, "embed the images again")
    return unit_rows(rows, threads, room)


def save_checkpoint(path: Path, key: str, **arrays: np.ndarray) -> None:
    """Write what a stage has finished, atomically, as ``.npz`` with a key that says from what."""
    with artefacts.atomic_write(path) as stream:
        np.savez(stream, key=np.array(key), **arrays)


def load_checkpoint(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """Return the arrays that `save_checkpoint` wrote under this key; None if there are none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            return {name: file[name] for name in file.files if name != "key"}
    except Exception:  # whatever broken bytes lead to: the stage is done again
        return None
