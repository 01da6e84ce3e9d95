"""What an assignment leaves for the next one: who else may be nearest, so that most rows need not look again.

Kept for each row are its centroid, an upper bound of the distance to it, a short list of other centroids with lower
bounds of theirs, and one lower bound, `rest`, for all that are not listed. When the centroids have moved, centroid c by
at most m_c, the triangle inequality keeps them true:

    upper + m_own,    low_c - m_c,    rest - m    with m >= m_c for every c that is not listed.

One centroid that jumps would ruin `rest` for everybody. So the `PANEL` centroids that moved most, the *movers*, don't
count in m: each row screens them instead, with one panel of products, and lists those that may be nearer than its rest.
(Yinyang's groups, Ding et al. 2015, with a group made anew in every iteration, and Elkan's bounds for the few that
matter.) Of a row with ``upper < low_c`` for all listed, and ``upper < rest``, not even x is read.

Bounds are float32, in the unit of ``nearest``'s second tier. Every step errs to the safe side by `AWAY`, four times
what float32 arithmetic can lose in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import PANEL

LISTED = 16
AWAY = np.float32(2.0**-22)
FAR = np.float32(3e38)


class Bounds(NamedTuple):
    """Bounds of n rows.

    Attributes
    ----------
    own : int32 [n]
        The nearest centroid when the bounds were made.
    upper, rest : float32 [n]
    count : int32 [n]
        How many centroids are listed.
    listed : int32 [n, LISTED]
    low : float32 [n, LISTED]
    """

    own: np.ndarray
    upper: np.ndarray
    rest: np.ndarray
    count: np.ndarray
    listed: np.ndarray
    low: np.ndarray


class Moved(NamedTuple):
    """How far the centroids moved since the bounds were made.

    Attributes
    ----------
    by : float32 [k]
        m_c, rounded upwards.
    others : float32
        m: the greatest of those that are no movers.
    movers : int32 [p]
        At most `PANEL`, ascending.
    """

    by: np.ndarray
    others: np.float32
    movers: np.ndarray


NOT_MOVED = Moved(np.empty(0, np.float32), np.float32(0), np.empty(0, np.int32))
"""Where there are no bounds yet."""


def no_bounds(n: int) -> Bounds:
    """Return room for the bounds of n rows."""
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
    count = int((by[order[:PANEL]] > 0).sum())
    others = by[order[count]] if count < len(by) else np.float32(0)
    return Moved(by, others, np.sort(order[:count]).astype(np.int32))


@lean()
def carry(b: Bounds, i: int, m: Moved) -> float:
    """Bring the bounds of row `i` up to date, but for the movers that are not listed; return the least lower bound."""
    b.upper[i] = (b.upper[i] + m.by[b.own[i]]) * (np.float32(1) + AWAY)
    rest = b.rest[i]
    rest = np.float32(max(np.float32(0), rest - m.others - rest * AWAY)) if rest < FAR else rest
    b.rest[i] = least = rest
    for at in range(b.count[i]):
        low = b.low[i, at]
        low = max(np.float32(0), low - m.by[b.listed[i, at]] - low * AWAY)
        b.low[i, at] = low
        least = min(least, low)
    return least


@lean()
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
