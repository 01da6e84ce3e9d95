"""The nearest centroid of each row: bounds from before, a screen in int8, float32, and float64 where that is close.

Formula. ``label_i = argmin_c sum_j (x_ij - c_j)^2``, ties to the lowest index; the sum as ``exact`` has it.

Four tiers, each certified:

0. *Bounds* (see ``bounds``). Where the centroid that was nearest before is nearer than every lower bound of the others,
   it still is. Where only some that are listed may be nearer, those alone go to tier 2.
1. *Screen.* With the codes of x and c (see ``quantize``), ``u_ic = s_i s_c <q_i, q_c> + r_i r_c - |c'|^2 / 2 + b_i`` is
   at least ``<x'_i, c'> - |c'|^2 / 2 = (|x'_i|^2 - f^2 |x_i - c|^2) / 2``, where b_i collects the errors of rounding
   to int8, with the centroids' largest, and of float32. So if D bounds from above the distance to any one centroid,
   only those with ``u_ic >= (|x'_i|^2 - f^2 D^2) / 2`` can be nearer. D is that to the row's previous centroid, else
   to the one of largest u. Those that reach D plus a margin are listed for the next time; all others are farther.
2. *Float32.* The distance of those whose lower bound reaches D, as a sum of squared differences in any order. It errs
   by at most ``2^-23 (|x_i| + |c|) + (d / 2 + 8) 2^-24 D``. D falls as nearer ones are found.
3. *Float64.* Where more than one is left within twice that error, the exact numbers decide.

`assign_brute_force` keeps nothing for the next assignment, and its codes are of all columns (r = 0). A score ``t_c =
<x', c'> - |c'|^2 / 2`` is within b of its estimate u_c, so that c can be the nearest only if ``u_c >= max u - 2 b``,
less what tiny squares lose (see ``quantize.vanished``). Mostly one is left, and then x itself is not even read: a row
costs l bytes instead of 4 d. It pays for up to `MOST` centroids; and where d is small, while more than `CHANGING` of
the rows change their centroid from one assignment to the next, so that bounds would not save what they cost.

Contract. x float32 or float64 [n, d], rows contiguous, finite; previous labels int32 or -1. Bytes moved per row: 128 of
bounds; if they don't settle it, 4 d of x and of each centroid that is compared; if screened, l of q, and 4 k of int32
products that stay in the second-level cache.

Ladder, n 10,000, d 768, k 1000, two cores of a Zen 5:

| version | seconds |
| --- | ---: |
| three lines of NumPy | 15.8 |
| float64 product and exact check (the reference) | 0.341 |
| float32 product (inexact) | 0.0971 |
| int8 screen in all columns | 0.0186 |
| int8 screen in leading columns | 0.0189 |
| bounds from before | 0.0124 |

Thirteen assignments and the preparation: n = 100,000, d = 768, k = 100, leading columns and bounds 0.58 s, brute force
0.33 s; n = 1,000,000, d = 64, k = 1000, bounds from the start 3.7 s, from the fifth assignment on 3.2 s.
"""

from __future__ import annotations

import numpy as np

from meddel_kernels.cpu.bounds import AWAY, FAR, LISTED, Bounds, Moved, carry, note
from meddel_kernels.cpu.exact import DEPTH, total
from meddel_kernels.cpu.llvm import filter_bounds, largest_bound, njit, njit_raw
from meddel_kernels.cpu.microkernel import multiply
from meddel_kernels.cpu.quantize import ROUNDING
from meddel_kernels.cpu.refine import BLOCK, Centroids, Table, Workspace, distance32, error_bound, slack, winner_of

MOST = 128
CHANGING = 0.1
WANTED = (11, 14)  # so many candidates are to pass the screen, on average


@njit()
def assign_exactly(
    x: np.ndarray, centroids: np.ndarray, cuts: np.ndarray, start: int, stop: int, labels: np.ndarray
) -> None:
    """Write the nearest centroids by exact distances alone, where float32 can't hold both rows and centroids."""
    stack = np.empty(DEPTH)
    for i in range(start, stop):
        least = np.inf
        for column in range(centroids.shape[0]):
            value = total(x, i, centroids, column, cuts, stack, True)
            if value < least:
                least, labels[i] = value, column


@njit_raw()
def assign_brute_force(
    t: Table, c: Centroids, start: int, stop: int, labels: np.ndarray, counts: np.ndarray, work: Workspace
) -> None:
    """Write the nearest centroids of rows `start` to `stop` to `labels` (int32 [n]); the codes are of all columns.

    `counts` (int64 [4]) is added to as by `assign_by_bounds`.
    """
    for first in range(start, stop, BLOCK):
        rows = min(BLOCK, stop - first)
        multiply(t.codes.q, first, first + rows, c.tiles, 0, c.tiles.shape[0], work.products)
        counts[2] += rows
        for at in range(rows):
            i, offset = first + at, np.int32(128 * t.codes.total[first + at])
            best = largest_bound(
                work.products[at], offset, t.codes.scale[i], t.codes.residual[i], c.scale, c.residual, c.half_square,
                work.columns, work.low,
            )  # fmt: skip
            estimate = np.float32(work.products[at, best] - offset) * (t.codes.scale[i] * c.scale[best])
            estimate -= c.half_square[best]
            least = estimate - np.float32(2) * slack(t, i, c) - ROUNDING * abs(estimate) - t.vanished
            count = filter_bounds(
                work.products[at], offset, t.codes.scale[i], t.codes.residual[i], c.scale, c.residual, c.half_square,
                least, work.columns, work.low,
            )  # fmt: skip
            counts[3] += count
            labels[i] = best
            if count > 1:
                for other in range(count):
                    work.low[other] = 0
                counts[0] += 1
                distance = distance32(t.rounded, i, c.rounded, best)
                labels[i] = work.columns[winner_of(t, c, count, best, distance, i, work, counts)]


@njit_raw()
def _reach(t: Table, i: int, c: Centroids, products: np.ndarray, distance: float, work: Workspace) -> int:
    """Write the columns that may be nearer to row `i` than `distance`, and their lower bounds; return their number."""
    wrong, reach = slack(t, i, c), np.float64(distance) * t.factor
    least = np.float32(0.5 * (t.codes.square[i] - reach * reach) - wrong)
    count = filter_bounds(
        products, np.int32(128 * t.codes.total[i]), t.codes.scale[i], t.codes.residual[i], c.scale, c.residual,
        c.half_square, least, work.columns, work.low,
    )  # fmt: skip
    for at in range(count):
        square = t.codes.square[i] - 2.0 * (np.float64(work.low[at]) + wrong)
        work.low[at] = np.float32(np.sqrt(max(square, 0.0)) / t.factor) * (np.float32(1) - AWAY)
    return count


@njit_raw()
def assign_by_bounds(
    t: Table, c: Centroids, movers: Centroids, m: Moved, b: Bounds, margin: np.ndarray,
    start: int, stop: int, labels: np.ndarray, counts: np.ndarray, work: Workspace, late: bool,
) -> None:  # fmt: skip
    """Replace `labels` (int32 [n]; -1 or a guess) of rows `start` to `stop` by the nearest centroids.

    `movers` are the centroids of ``m.movers``. `b` is carried on if ``m.by`` is not empty, else made; it is renewed in
    any case. `margin` (float32 [1]) is how much farther than the nearest centroid those that are listed may be; it is
    adapted, so that some ten are. Added to `counts` (int64 [4]) are float32 distances, rows that float64 decided, rows
    screened, and centroids that passed the screen. `late`: the centroids do not move far any more, so that lists help.
    """
    carried, width = m.by.shape[0] > 0, margin[0]
    for first in range(start, stop, BLOCK):
        rows, waiting, before = min(BLOCK, stop - first), 0, counts[3]
        if carried and m.movers.shape[0]:
            multiply(t.codes.q, first, first + rows, movers.tiles, 0, 1, work.few)
        for i in range(first, first + rows):
            if carried:
                done = _carried(t, c, movers, m, b, work.few[i - first], i, work, counts)
                labels[i] = b.nearest[i]
                if done:
                    continue
            work.waiting[waiting] = i
            waiting += 1
        if waiting:
            _gather(t.codes.q, work.waiting, 0, waiting, work.q)
            multiply(work.q, 0, waiting, c.tiles, 0, c.tiles.shape[0], work.products)
        for at in range(waiting):
            i = work.waiting[at]
            _screened(t, c, b, width, work.products[at], labels[i], i, work, counts)
            labels[i] = b.nearest[i]
        passed = counts[3] - before
        if not late:
            continue  # the centroids move too far for a list to help
        if passed < WANTED[0] * waiting:
            width = width * np.float32(1.1) + np.float32(0.01) * b.upper[first]
        elif passed > WANTED[1] * waiting:
            width *= np.float32(0.9)
    margin[0] = width


@njit_raw()
def _gather(q: np.ndarray, rows: np.ndarray, first: int, count: int, out: np.ndarray) -> None:
    for at in range(count):
        row = rows[first + at]
        for column in range(q.shape[1]):
            out[at, column] = q[row, column]


@njit_raw()
def _carried(
    t: Table, c: Centroids, movers: Centroids, m: Moved, b: Bounds, few: np.ndarray, i: int, work: Workspace,
    counts: np.ndarray,
) -> bool:  # fmt: skip
    """Settle row `i` by its bounds, and if need be by those that are listed; tell whether that was possible."""
    least = carry(b, i, m)
    if m.movers.shape[0] and b.rest[i] < FAR:
        count = _reach(t, i, movers, few, b.rest[i], work)
        for at in range(count):
            centroid = m.movers[work.columns[at]]
            if centroid != b.nearest[i]:
                note(b, i, centroid, work.low[at])
                least = min(least, work.low[at])
    if b.upper[i] < least:
        return True
    own = b.nearest[i]
    distance = distance32(t.rounded, i, c.rounded, own)
    counts[0] += 1
    b.upper[i] = (distance + error_bound(t, i, c)) * (np.float32(1) + t.share)
    if b.upper[i] < least:
        return True
    if b.upper[i] >= b.rest[i]:
        return False
    count = b.count[i]
    work.columns[0], work.low[0] = own, np.float32(0)
    for at in range(count):
        work.columns[at + 1], work.low[at + 1] = b.listed[i, at], b.low[i, at]
    _settle(t, c, b, count + 1, own, distance, i, work, counts)
    return True


@njit_raw()
def _screened(
    t: Table, c: Centroids, b: Bounds, margin: float, products: np.ndarray, guess: int, i: int, work: Workspace,
    counts: np.ndarray,
) -> None:  # fmt: skip
    """Settle row `i` by its products with all centroids, and make its bounds."""
    if guess < 0:
        guess = largest_bound(
            products, np.int32(128 * t.codes.total[i]), t.codes.scale[i], t.codes.residual[i], c.scale, c.residual,
            c.half_square, work.columns, work.low,
        )  # fmt: skip
    distance = distance32(t.rounded, i, c.rounded, guess)
    counts[0] += 1
    counts[2] += 1
    far = (distance + error_bound(t, i, c)) * (np.float32(1) + t.share) + np.float32(margin)
    count = _reach(t, i, c, products, far, work)
    counts[3] += count
    b.rest[i] = far * (np.float32(1) - AWAY) if count < c.exact.shape[0] else FAR
    _settle(t, c, b, count, guess, distance, i, work, counts)


@njit_raw()
def _settle(
    t: Table,
    c: Centroids,
    b: Bounds,
    count: int,
    known: int,
    distance: float,
    i: int,
    work: Workspace,
    counts: np.ndarray,
) -> None:
    """Find the nearest of `count` candidates, as `winner_of` does; list the others."""
    winner = winner_of(t, c, count, known, distance, i, work, counts)
    b.nearest[i] = work.columns[winner]
    b.upper[i] = (work.distance[winner] + error_bound(t, i, c)) * (np.float32(1) + t.share)
    b.count[i] = 0
    for at in range(count):
        if at == winner:
            continue
        listed = b.count[i]
        if listed < LISTED:  # candidates differ from one another: `note` would only look for them
            b.listed[i, listed], b.low[i, listed], b.count[i] = work.columns[at], work.low[at], listed + 1
        else:
            note(b, i, work.columns[at], work.low[at])
