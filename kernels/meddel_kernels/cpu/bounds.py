"""Bounds that one assignment leaves for the next: the centroids that may be nearest, so that most rows skip the screen.

Kept for each row are its centroid, an upper bound of the distance to it, a short list of other centroids with lower
bounds of theirs, and one lower bound, `rest`, for all that are not listed. When the centroids have moved, centroid c by
at most m_c, the triangle inequality keeps them true:

    upper + m_nearest,    low_c - m_c,    rest - m    with m >= m_c for every c that is not listed.

One centroid that jumps would ruin `rest` for everybody. So the `TILE` centroids that moved most, the *movers*, don't
count in m: each row screens them instead, with one tile of products, and lists those that may be nearer than its rest.
(Yinyang's groups, Ding et al. 2015, with a group made anew in every iteration, and Elkan's bounds for the few that
matter.) Of a row with ``upper < low_c`` for all listed, and ``upper < rest``, not even x is read.

Bounds are float32, in the unit of ``refine.Table.rounded``. Every step errs to the safe side by `AWAY`, four times
what float32 arithmetic can lose in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.llvm import TILE, njit_raw

LISTED = 16
AWAY = np.float32(2.0**-22)
FAR = np.float32(3e38)


class Bounds(NamedTuple):
    """Bounds of n rows."""

    nearest: np.ndarray  # int32 [n]: the nearest centroid when the bounds were made
    upper: np.ndarray  # float32 [n]
    rest: np.ndarray  # float32 [n]
    count: np.ndarray  # int32 [n]: how many centroids are listed
    listed: np.ndarray  # int32 [n, LISTED]
    low: np.ndarray  # float32 [n, LISTED]


class Moved(NamedTuple):
    """How far the centroids moved since the bounds were made."""

    by: np.ndarray  # float32 [k]: m_c, rounded upwards
    others: np.float32  # m: the greatest of those that are no movers
    movers: np.ndarray  # int32 [p]: at most TILE, ascending


NOT_MOVED = Moved(np.empty(0, np.float32), np.float32(0), np.empty(0, np.int32))
"""Where there are no bounds yet."""


def no_bounds(n: int) -> Bounds:
    """Return empty bounds of n rows."""
    return Bounds(
        np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int32),
        np.empty((n, LISTED), np.int32), np.empty((n, LISTED), np.float32),
    )  # fmt: skip


def moved(before: np.ndarray, after: np.ndarray, unit: float) -> Moved:
    """Return how far centroids (float64 [k, d]) moved, in multiples of 1 / `unit`."""
    difference = (after - before) * unit
    length = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    by = (np.where(length > 0, length * (1 + 2.0**-20) + 2.0**-60, 0.0)).astype(np.float32)
    order = np.argsort(by, kind="stable")[::-1]
    count = int((by[order[:TILE]] > 0).sum())
    others = by[order[count]] if count < len(by) else np.float32(0)
    return Moved(by, others, np.sort(order[:count]).astype(np.int32))


@njit_raw()
def carry(b: Bounds, i: int, m: Moved) -> float:
    """Bring the bounds of row `i` up to date, but for the movers that are not listed; return the least lower bound."""
    b.upper[i] = (b.upper[i] + m.by[b.nearest[i]]) * (np.float32(1) + AWAY)
    rest = b.rest[i]
    rest = np.float32(max(np.float32(0), rest - m.others - rest * AWAY)) if rest < FAR else rest
    b.rest[i] = least = rest
    for at in range(b.count[i]):
        low = b.low[i, at]
        low = max(np.float32(0), low - m.by[b.listed[i, at]] - low * AWAY)
        b.low[i, at] = low
        least = min(least, low)
    return least


@njit_raw()
def note(b: Bounds, i: int, centroid: int, low: float) -> None:
    """List a centroid of row `i` with its lower bound; where the list is full, the farthest joins the rest."""
    count = b.count[i]
    for at in range(count):
        if b.listed[i, at] == centroid:
            b.low[i, at] = max(b.low[i, at], low)
            return
    if count < LISTED:
        b.listed[i, count], b.low[i, count] = centroid, low
        b.count[i] = count + 1
        return
    farthest = 0
    for at in range(1, LISTED):
        if b.low[i, at] > b.low[i, farthest]:
            farthest = at
    if low < b.low[i, farthest]:
        b.rest[i] = min(b.rest[i], b.low[i, farthest])
        b.listed[i, farthest], b.low[i, farthest] = centroid, low
    else:
        b.rest[i] = min(b.rest[i], low)
