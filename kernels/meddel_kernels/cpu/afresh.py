"""The nearest centroid of each row afresh: all products in all columns, and nothing kept for the next assignment.

Formula. As ``nearest``. With leads of all columns (see ``lead``; nothing lies across), a score ``t_c = <x', c'> -
|c'|^2 / 2`` lies within b of its estimate ``u_c = s s_c <q, q_c> - |c'|^2 / 2``, b as in ``nearest``. So c can be the
nearest only if ``u_c >= max u - 2 b``, less what tiny squares lose (see ``lead.vanished``). Mostly one is left, and
then x itself is not even read: a row costs l bytes instead of 4 d. Others go through tiers 2 and 3 of ``nearest``.

Where it pays. For up to `MOST` centroids, as the products of a row take 2 k d operations; and where d is small, while
more than `CHANGING` of the rows change their centroid from one assignment to the next, so that bounds would not hold
what they cost. Ladder, thirteen assignments and the preparation, two cores: n = 100,000, d = 768, k = 100, leading
columns and bounds 0.58 s, this 0.33 s; n = 1,000,000, d = 64, k = 1000, bounds from the start 3.7 s, from the fifth
assignment on 3.2 s.

Contract. As ``nearest``. Extra memory: l bytes a row.
"""

from __future__ import annotations

import numpy as np

from meddel_kernels.cpu.centroids import Centroids
from meddel_kernels.cpu.lead import ROUNDING
from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import multiply
from meddel_kernels.cpu.reaching import largest_bound, reaching
from meddel_kernels.cpu.tiers import BLOCK, Room, Table, near, slack_of, winner_of

MOST = 128
CHANGING = 0.1


@lean()
def assign_afresh(
    t: Table, c: Centroids, start: int, stop: int, labels: np.ndarray, counts: np.ndarray, room: Room
) -> None:
    """Write the nearest centroids of rows `start` to `stop` to `labels` (int32 [n]); the leads are of all columns.

    `counts` (int64 [4]) is added to as by ``nearest.assign_rows``.
    """
    for first in range(start, stop, BLOCK):
        rows = min(BLOCK, stop - first)
        multiply(t.leads.q, first, first + rows, c.panels, 0, c.panels.shape[0], room.products)
        counts[2] += rows
        for at in range(rows):
            i, offset = first + at, np.int32(128 * t.leads.total[first + at])
            best = largest_bound(
                room.products[at], offset, t.leads.scale[i], t.leads.residual[i], c.scale, c.residual, c.half_square,
                room.columns, room.low,
            )  # fmt: skip
            estimate = np.float32(room.products[at, best] - offset) * (t.leads.scale[i] * c.scale[best])
            estimate -= c.half_square[best]
            least = estimate - np.float32(2) * slack_of(t, i, c) - ROUNDING * abs(estimate) - t.vanished
            count = reaching(
                room.products[at], offset, t.leads.scale[i], t.leads.residual[i], c.scale, c.residual, c.half_square,
                least, room.columns, room.low,
            )  # fmt: skip
            counts[3] += count
            labels[i] = best
            if count > 1:
                for other in range(count):
                    room.low[other] = 0
                counts[0] += 1
                distance = near(t.rounded, i, c.rounded, best)
                labels[i] = room.columns[winner_of(t, c, count, best, distance, i, room, counts)]
