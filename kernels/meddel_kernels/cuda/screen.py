"""Work for the screens: which rows meet which, in pieces of 128 rows, and room for what passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from meddel_kernels.cuda.device import Array, Device

TILE = 128
LISTED = 32
LONGEST = 32 * TILE  # columns of one piece of work
LOWEST = -(2**31)  # before every float, as ``ordered`` has them


class Passed(NamedTuple):
    """What passes a screen of n rows; see ``screen.cuh``.

    Attributes
    ----------
    best, count : int32 [n]
    listed : int32 [n, LISTED]
    estimates : float32 [n, LISTED]
    """

    best: Array
    count: Array
    listed: Array
    estimates: Array


def nothing_passed(device: Device, n: int) -> Passed:
    """Return room for n rows."""
    return Passed(
        device.full(n, LOWEST, np.int32), device.full(n, 0, np.int32), device.empty((n, LISTED), np.int32),
        device.empty((n, LISTED), np.float32),
    )  # fmt: skip


class Step(NamedTuple):
    """What rows do at a time in ``first_above.cu``.

    Attributes
    ----------
    work, panels : int32 [items, 4], [p, 4]
        Rows and the earlier ones they meet; panels whose rows meet one another.
    rows : int32 [r]
        Rows to settle.
    stop : int32 [m]
        Before which row each row looks.
    """

    work: np.ndarray
    panels: np.ndarray
    rows: np.ndarray
    stop: np.ndarray


def everything(offsets: np.ndarray) -> Step:
    """Return the one step of rows that meet all earlier ones of their cluster."""
    rows = np.arange(offsets[-1], dtype=np.int32)
    return Step(triangles(offsets), np.empty((0, 4), np.int32), rows, rows)


def advance(offsets: np.ndarray) -> Iterator[Step]:
    """Yield the steps of clusters that advance together: each one's first panel, then each one's second, and so on."""
    start, stop, begin, _ = pieces = panels(offsets)
    number = (start - begin) // TILE
    before = np.repeat(start, stop - start).astype(np.int32)
    for step in range(int(number.max(initial=-1)) + 1):
        now = number == step
        rows = np.concatenate([np.arange(*ends) for ends in zip(start[now], stop[now], strict=True)])
        own = np.stack([part[now] for part in pieces], axis=1)
        yield Step(
            _cut(start[now], stop[now], begin[now], start[now]), own.astype(np.int32), rows.astype(np.int32), before
        )


def rectangle(n: int, k: int) -> np.ndarray:
    """Return the pieces of work of n rows that meet k columns, int32 [items, 4]: rows from, to, columns from, to."""
    rows = np.arange(0, n, TILE)
    return _cut(rows, np.minimum(rows + TILE, n), np.zeros(len(rows), np.int64), np.full(len(rows), k))


def triangles(offsets: np.ndarray) -> np.ndarray:
    """Return the pieces of work of rows that meet the earlier rows of their cluster, and themselves."""
    start, stop, begin, _ = panels(offsets)
    return _cut(start, stop, begin, stop)


def squares(offsets: np.ndarray) -> np.ndarray:
    """Return the pieces of work of rows that meet all rows of their cluster, each piece whole."""
    return np.stack(panels(offsets), axis=1).astype(np.int32)


def panels(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cut each cluster into panels of 128 rows: where they start and stop, and where their clusters do, int64 [p]."""
    sizes = np.diff(offsets)
    many = -(-sizes // TILE)
    cluster = np.repeat(np.arange(len(sizes)), many)
    start = offsets[cluster] + TILE * (np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many))
    return start, np.minimum(start + TILE, offsets[cluster + 1]), offsets[cluster], offsets[cluster + 1]


def _cut(start: np.ndarray, stop: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Cut pieces with many columns, and put those with the most first, so that no block is left working alone."""
    many = -(-(end - begin) // LONGEST)
    piece = np.repeat(np.arange(len(start)), many)
    first = begin[piece] + LONGEST * (np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many))
    last = np.minimum(first + LONGEST, end[piece])
    work = np.stack([start[piece], stop[piece], first, last], axis=1).astype(np.int32)
    return work[np.argsort(first - last, kind="stable")]
