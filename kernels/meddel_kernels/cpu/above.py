"""For each row the first earlier row of its cluster that is more alike than a threshold allows: deduplication.

Formula. ``partner_j = min {i < j : <u_i, u_j> > t}`` over the unit rows u of a cluster in its order, the product as
``exact`` has it, clipped to [-1, 1]. Greedy: only over those i that have no partner themselves.

Tiers. 64 columns j at a time meet the rows i before them, 96 at a time, in int8 (see ``screen``). A pair whose bound
exceeds t is computed in float32, which errs by at most w: above ``t + w`` it is certain, up to ``t - w`` it is out,
and between the two float64 decides. A column that has its partner is closed, since rows pass by in order, and a panel
without open columns stops. So the more duplicates there are, the less there is to do.

Greedy. A row counts if it has no partner, which is known once its own panel is done. So the panels of a cluster go in
order: each meets the leads of the rows that stayed before it, which are moved together, and then its own rows one
after another. To keep threads busy, a large cluster's panels go in waves: all panels of a wave meet at once the rows
that stayed before the wave; only what lies within the wave goes one after another.

Contract. As ``unit_rows``. Extra memory: 2 l bytes a row; a thread has 64 unit rows in float64.

Ladder, 15,000 rows, d 768, t = 0.95, two cores of a Zen 5 (``make bench``):

| version | seconds |
| --- | ---: |
| whole matrix, float32 (SemDeDup) | 2.74 |
| tiles of the square, float32 (NeMo Curator) | 2.7 |
| tiles of the triangle, float32 | 1.35 |
| int8 screen, greatest cosine | 0.174 |
| int8 screen, thresholded | 0.161 |
| leading directions | 0.121 |
"""

from __future__ import annotations

import numba
import numpy as np

from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import PANEL, multiply
from meddel_kernels.cpu.panel import (
    CHUNK,
    NEVER,
    Room,
    from_column,
    lowest,
    new_room,
    open_panel,
    own,
    reaching,
    small_cluster,
)
from meddel_kernels.cpu.screen import Lead, Screen, apart, move, wrong_by
from meddel_kernels.cpu.unit_rows import Unit, cosine32, cosine64


@numba.njit(cache=True, nogil=True)
def above_clusters(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, numbers: np.ndarray, cuts: np.ndarray, least: float,
    threshold: float, greedy: bool, partner: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Do whole clusters; return the numbers of those whose rows need `regular` first."""
    odd, room = np.zeros(len(numbers), np.bool_), new_room(x.shape[1], CHUNK)
    for k in range(len(numbers)):
        rows = order[offsets[numbers[k]] : offsets[numbers[k] + 1]]
        if len(rows) < 2:
            continue
        good, u, s = small_cluster(x, rows, cuts, least, room)
        odd[k] = not good
        if good and greedy:
            above_staying(u, s, apart(s.leads), np.zeros(1, np.int64), 0, len(s.panels), threshold, partner, room)
        elif good:
            above_panels(u, s, s.leads, len(rows), 0, len(s.panels), threshold, partner, room)
    return numbers[odd]


@numba.njit(cache=True, nogil=True)
def above_panels(
    u: Unit, s: Screen, rows: Lead, count: int, first: int, last: int, threshold: float, partner: np.ndarray, room: Room
) -> None:
    """Fill `partner` (int64 [n], -1) for panels `first` to `last` from the earlier ones of the first `count` `rows`."""
    for panel in range(first, last):
        wide = open_panel(s, panel, np.float32(threshold), room.columns)
        stop = np.searchsorted(rows.position[:count], panel * PANEL + wide)
        _meet(u, s, rows, 0, stop, panel, wide, threshold, False, partner, room)


@lean()
def above_staying(
    u: Unit, s: Screen, stayed: Lead, count: np.ndarray, first: int, last: int, threshold: float, partner: np.ndarray,
    room: Room,
) -> None:  # fmt: skip
    """Fill `partner` for panels `first` to `last`, one after another, where only rows that stay count.

    `stayed` holds ``count[0]`` rows, those that stay of the earlier panels, which these have met before. To them are
    added those that stay of these.
    """
    met = count[0]
    for panel in range(first, last):
        start = panel * PANEL
        wide = open_panel(s, panel, np.float32(threshold), room.columns)
        for column in range(wide):
            if partner[u.rows[start + column]] >= 0:
                room.columns.least[column] = NEVER
        _meet(u, s, stayed, met, count[0], panel, wide, threshold, True, partner, room)
        _meet(u, s, s.leads, start, start + wide, panel, wide, threshold, True, partner, room)
        for at in range(start, start + wide):
            if partner[u.rows[at]] < 0:
                move(s.leads, at, stayed, count[0])
                count[0] += 1


@lean()
def _meet(
    u: Unit, s: Screen, rows: Lead, begin: int, end: int, panel: int, wide: int, threshold: float, staying: bool,
    partner: np.ndarray, room: Room,
) -> None:  # fmt: skip
    """Let rows number `begin` to `end` pass by a panel until all its columns are closed; `staying`: skip those gone."""
    start, columns, wrong = panel * PANEL, room.columns, np.float64(wrong_by(u.x.shape[1]))
    left = 0
    for column in range(wide):
        left += columns.least[column] < NEVER
    for first in range(begin, end, CHUNK):
        if left == 0:
            return
        last = min(first + CHUNK, end)
        multiply(rows.q, first, last, s.panels, panel, panel + 1, room.products)
        for at in range(first, last):
            position = rows.position[at]
            if staying and partner[u.rows[position]] >= 0:
                continue
            mask = reaching(room.products, at - first, rows, at, own(rows, at, s, columns), columns)
            if position >= start:
                mask &= from_column(position + 1 - start)
            while mask != 0:
                column = lowest(mask)
                mask &= mask - np.uint64(1)
                value = np.float64(cosine32(u, position, start + column))
                if value > threshold + wrong or (
                    value > threshold - wrong and cosine64(u, room.exact, position, start + column) > threshold
                ):
                    partner[u.rows[start + column]] = u.rows[position]
                    columns.least[column] = NEVER
                    left -= 1
