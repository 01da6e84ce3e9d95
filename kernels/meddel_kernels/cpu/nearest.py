"""The nearest centroid of each row: bounds from before, a screen in int8, float32, and float64 where that is close.

Formula. ``label_i = argmin_c sum_j (x_ij - c_j)^2``, ties to the lowest index; the sum as ``exact`` has it.

Four tiers, each certified:

0. *Bounds* (see ``bounds``). Where the centroid that was nearest before is nearer than every lower bound of the others,
   it still is. Where only some that are listed may be nearer, those alone go to tier 2.
1. *Screen.* With the leads of x and c (see ``lead``), ``u_ic = s_i s_c <q_i, q_c> + r_i r_c - |c'|^2 / 2 + b_i`` is
   at least ``<x'_i, c'> - |c'|^2 / 2 = (|x'_i|^2 - f^2 |x_i - c|^2) / 2``, where b_i collects the errors of rounding
   to int8, with the centroids' largest, and of float32. So if D bounds from above the distance to any one centroid,
   only those with ``u_ic >= (|x'_i|^2 - f^2 D^2) / 2`` can be nearer. D is that to the row's previous centroid, else
   to the one of largest u. Those that reach D plus a margin are listed for the next time; all others are farther.
2. *Float32.* The distance of those whose lower bound reaches D, as a sum of squared differences in any order. It errs
   by at most ``2^-23 (|x_i| + |c|) + (d / 2 + 8) 2^-24 D``. D falls as nearer ones are found.
3. *Float64.* Where more than one is left within twice that error, the exact numbers decide.

Contract. x float32 or float64 [n, d], rows contiguous, finite; previous labels int32 or -1. Bytes moved per row: 128 of
bounds; if they don't settle it, 4 d of x and of each centroid that is compared; if screened, l of q, and 4 k of int32
products that stay in the second-level cache.

Ladder, n 10,000, d 768, k 1000, two cores of a Zen 5 (``make bench``):

| version | seconds |
| --- | ---: |
| three lines of NumPy | 15.8 |
| float64 product and exact check (the reference) | 0.341 |
| float32 product (inexact) | 0.0971 |
| int8 screen in all columns | 0.0186 |
| int8 screen in leading columns | 0.0189 |
| bounds from before | 0.0124 |
"""

from __future__ import annotations

import numpy as np

from meddel_kernels.cpu.bounds import AWAY, FAR, LISTED, Bounds, Moved, carry, note
from meddel_kernels.cpu.centroids import Centroids
from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import multiply
from meddel_kernels.cpu.reaching import largest_bound, reaching
from meddel_kernels.cpu.tiers import BLOCK, Room, Table, near, slack_of, winner_of, wrong_by

WANTED = (11, 14)  # so many candidates are to pass the screen, on average


@lean()
def _reach(t: Table, i: int, c: Centroids, products: np.ndarray, distance: float, room: Room) -> int:
    """Write the columns that may be nearer to row `i` than `distance`, and their lower bounds; return their number."""
    slack, reach = slack_of(t, i, c), np.float64(distance) * t.factor
    least = np.float32(0.5 * (t.leads.square[i] - reach * reach) - slack)
    count = reaching(
        products, np.int32(128 * t.leads.total[i]), t.leads.scale[i], t.leads.residual[i], c.scale, c.residual,
        c.half_square, least, room.columns, room.low,
    )  # fmt: skip
    for at in range(count):
        square = t.leads.square[i] - 2.0 * (np.float64(room.low[at]) + slack)
        room.low[at] = np.float32(np.sqrt(max(square, 0.0)) / t.factor) * (np.float32(1) - AWAY)
    return count


@lean()
def assign_rows(
    t: Table, c: Centroids, movers: Centroids, m: Moved, b: Bounds, margin: np.ndarray,
    start: int, stop: int, labels: np.ndarray, counts: np.ndarray, room: Room, late: bool,
) -> None:  # fmt: skip
    """Replace `labels` (int32 [n]; -1 or a guess) of rows `start` to `stop` by the nearest centroids.

    Parameters
    ----------
    movers : Centroids
        Those of ``m.movers``.
    b : Bounds
        Carried on if ``m.by`` is not empty, else made; renewed in any case.
    margin : float32 [1]
        How much farther than the nearest centroid those that are listed may be; adapted, so that some ten are.
    counts : int64 [4]
        Added to: float32 distances, rows that float64 decided, rows screened, centroids that the screen let pass.
    late : bool
        The centroids do not move far any more, so that lists help.
    """
    carried, width = m.by.shape[0] > 0, margin[0]
    for first in range(start, stop, BLOCK):
        rows, waiting, before = min(BLOCK, stop - first), 0, counts[3]
        if carried and m.movers.shape[0]:
            multiply(t.leads.q, first, first + rows, movers.panels, 0, 1, room.few)
        for i in range(first, first + rows):
            if carried:
                done = _carried(t, c, movers, m, b, room.few[i - first], i, room, counts)
                labels[i] = b.own[i]
                if done:
                    continue
            room.waiting[waiting] = i
            waiting += 1
        if waiting:
            _gather(t.leads.q, room.waiting, 0, waiting, room.q)
            multiply(room.q, 0, waiting, c.panels, 0, c.panels.shape[0], room.products)
        for at in range(waiting):
            i = room.waiting[at]
            _screened(t, c, b, width, room.products[at], labels[i], i, room, counts)
            labels[i] = b.own[i]
        passed = counts[3] - before
        if not late:
            continue  # the centroids move too far for a list to help
        if passed < WANTED[0] * waiting:
            width = width * np.float32(1.1) + np.float32(0.01) * b.upper[first]
        elif passed > WANTED[1] * waiting:
            width *= np.float32(0.9)
    margin[0] = width


@lean()
def _gather(q: np.ndarray, rows: np.ndarray, first: int, count: int, out: np.ndarray) -> None:
    for at in range(count):
        row = rows[first + at]
        for column in range(q.shape[1]):
            out[at, column] = q[row, column]


@lean()
def _carried(
    t: Table, c: Centroids, movers: Centroids, m: Moved, b: Bounds, few: np.ndarray, i: int, room: Room,
    counts: np.ndarray,
) -> bool:  # fmt: skip
    """Settle row `i` by its bounds, and if need be by those that are listed; tell whether that was possible."""
    least = carry(b, i, m)
    if m.movers.shape[0] and b.rest[i] < FAR:
        count = _reach(t, i, movers, few, b.rest[i], room)
        for at in range(count):
            centroid = m.movers[room.columns[at]]
            if centroid != b.own[i]:
                note(b, i, centroid, room.low[at])
                least = min(least, room.low[at])
    if b.upper[i] < least:
        return True
    own = b.own[i]
    distance = near(t.rounded, i, c.rounded, own)
    counts[0] += 1
    b.upper[i] = (distance + wrong_by(t, i, c)) * (np.float32(1) + t.steps)
    if b.upper[i] < least:
        return True
    if b.upper[i] >= b.rest[i]:
        return False
    count = b.count[i]
    room.columns[0], room.low[0] = own, np.float32(0)
    for at in range(count):
        room.columns[at + 1], room.low[at + 1] = b.listed[i, at], b.low[i, at]
    _settle(t, c, b, count + 1, own, distance, i, room, counts)
    return True


@lean()
def _screened(
    t: Table, c: Centroids, b: Bounds, margin: float, products: np.ndarray, guess: int, i: int, room: Room,
    counts: np.ndarray,
) -> None:  # fmt: skip
    """Settle row `i` by its products with all centroids, and make its bounds."""
    if guess < 0:
        guess = largest_bound(
            products, np.int32(128 * t.leads.total[i]), t.leads.scale[i], t.leads.residual[i], c.scale, c.residual,
            c.half_square, room.columns, room.low,
        )  # fmt: skip
    distance = near(t.rounded, i, c.rounded, guess)
    counts[0] += 1
    counts[2] += 1
    far = (distance + wrong_by(t, i, c)) * (np.float32(1) + t.steps) + np.float32(margin)
    count = _reach(t, i, c, products, far, room)
    counts[3] += count
    b.rest[i] = far * (np.float32(1) - AWAY) if count < c.exact.shape[0] else FAR
    _settle(t, c, b, count, guess, distance, i, room, counts)


@lean()
def _settle(
    t: Table, c: Centroids, b: Bounds, count: int, known: int, distance: float, i: int, room: Room, counts: np.ndarray
) -> None:
    """Find the nearest of `count` candidates, as `winner_of` does; list the others."""
    winner = winner_of(t, c, count, known, distance, i, room, counts)
    b.own[i] = room.columns[winner]
    b.upper[i] = (room.distance[winner] + wrong_by(t, i, c)) * (np.float32(1) + t.steps)
    b.count[i] = 0
    for at in range(count):
        if at == winner:
            continue
        listed = b.count[i]
        if listed < LISTED:  # candidates differ from one another: `note` would only look for them
            b.listed[i, listed], b.low[i, listed], b.count[i] = room.columns[at], room.low[at], listed + 1
        else:
            note(b, i, room.columns[at], room.low[at])
