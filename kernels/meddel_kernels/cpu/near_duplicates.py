"""For each row the first earlier row of its cluster that is more alike than a threshold allows: deduplication.

Formula. ``partner_j = min {i < j : <u_i, u_j> > t}`` over the unit rows u of a cluster in its order, the product as
``exact`` has it, clipped to [-1, 1]. Greedy: only over those i that have no partner themselves.

Tiers. 64 columns j at a time meet the rows i before them, 96 at a time, in int8 (see ``screen``). A pair whose bound
exceeds t is computed in float32, which errs by at most w: above ``t + w`` it is certain, up to ``t - w`` it is out,
and between the two float64 decides. A column that has its partner is closed, since rows pass by in order, and a tile
without open columns stops. So the more duplicates there are, the less there is to do.

Greedy. A row counts if it has no partner, which is known once its own tile is done. So the tiles of a cluster go in
order: each meets the codes of the rows that stayed before it, which are moved together, and then its own rows one
after another. To keep threads busy, a large cluster's tiles go in waves: all tiles of a wave meet at once the rows
that stayed before the wave; only what is within the wave goes one after another.

Contract. As ``unit_rows``. Extra memory: 2 l bytes a row; a thread has 64 unit rows in float64.

Ladder, 15,000 rows, d 768, t = 0.95, two cores of a Zen 5 (for what is slower see ``row_max``):

| version | seconds |
| --- | ---: |
| int8 screen, greatest cosine | 0.174 |
| int8 screen, thresholded | 0.161 |
| leading directions | 0.121 |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from meddel_kernels.cpu.clusters import over_clusters
from meddel_kernels.cpu.exact import plan
from meddel_kernels.cpu.llvm import TILE, lowest, njit, njit_raw
from meddel_kernels.cpu.microkernel import multiply
from meddel_kernels.cpu.screen import Screen, UnitCodes, copied, copy_row, cosine_error
from meddel_kernels.cpu.threads import share_out
from meddel_kernels.cpu.tile import (
    CHUNK,
    NEVER,
    Workspace,
    from_column,
    new_workspace,
    open_tile,
    reaching,
    small_cluster,
)
from meddel_kernels.cpu.unit_rows import SHORTEST, Unit, cosine32, cosine64

_WAVE = 16  # tiles


def near_duplicates(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, threshold: float, greedy: bool, partner: np.ndarray,
    threads: int, callback: Callable[[int], None] | None,
) -> None:  # fmt: skip
    """Do what ``cosine.near_duplicates_defined`` does."""

    def whole(x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return near_clusters(
            x, order, offsets, numbers, plan(x.shape[1]), SHORTEST[x.dtype], threshold, greedy, partner
        )

    def large(u: Unit, s: Screen) -> None:
        def tiles(first: int, last: int, start: int = 0, count: int = len(u.rows)) -> None:
            work = new_workspace(u.x.shape[1], CHUNK)
            near_tiles(u, s, rows, count, start + first, start + last, threshold, partner, work)

        if not greedy:
            rows = s.codes
            share_out(tiles, len(s.tiles), 1, threads)
            return
        rows, count, work = copied(s.codes), np.zeros(1, np.int64), new_workspace(u.x.shape[1], CHUNK)
        for start in range(0, len(s.tiles), _WAVE):
            stop = min(start + _WAVE, len(s.tiles))
            share_out(partial(tiles, start=start, count=int(count[0])), stop - start, 1, threads)
            greedy_tiles(u, s, rows, count, start, stop, threshold, partner, work)

    def again(x: np.ndarray, order: np.ndarray, offsets: np.ndarray, *results: np.ndarray) -> None:
        near_duplicates(x, order, offsets, threshold, greedy, *results, threads, None)

    over_clusters(x, order, offsets, threads, callback, (partner,), whole, large, again, threshold)


@njit()
def near_clusters(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, numbers: np.ndarray, cuts: np.ndarray, least: float,
    threshold: float, greedy: bool, partner: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Do whole clusters; return the numbers of those whose rows need `regular` first."""
    odd, work = np.zeros(len(numbers), np.bool_), new_workspace(x.shape[1], CHUNK)
    for k in range(len(numbers)):
        rows = order[offsets[numbers[k]] : offsets[numbers[k] + 1]]
        if len(rows) < 2:
            continue
        good, u, s = small_cluster(x, rows, cuts, least, work)
        odd[k] = not good
        if good and greedy:
            greedy_tiles(u, s, copied(s.codes), np.zeros(1, np.int64), 0, len(s.tiles), threshold, partner, work)
        elif good:
            near_tiles(u, s, s.codes, len(rows), 0, len(s.tiles), threshold, partner, work)
    return numbers[odd]


@njit()
def near_tiles(
    u: Unit, s: Screen, rows: UnitCodes, count: int, first: int, last: int, threshold: float, partner: np.ndarray,
    work: Workspace,
) -> None:  # fmt: skip
    """Fill `partner` (int64 [n], -1) for tiles `first` to `last` from the earlier ones of the first `count` `rows`."""
    for tile in range(first, last):
        wide = open_tile(s, tile, np.float32(threshold), work.columns)
        stop = np.searchsorted(rows.position[:count], tile * TILE + wide)
        _meet(u, s, rows, 0, stop, tile, wide, threshold, False, partner, work)


@njit_raw()
def greedy_tiles(
    u: Unit, s: Screen, stayed: UnitCodes, count: np.ndarray, first: int, last: int, threshold: float,
    partner: np.ndarray, work: Workspace,
) -> None:  # fmt: skip
    """Fill `partner` for tiles `first` to `last`, one after another, where only rows that stay count.

    `stayed` holds ``count[0]`` rows, those that stay of the earlier tiles, which these have met before. To them are
    added those that stay of these.
    """
    met = count[0]
    for tile in range(first, last):
        start = tile * TILE
        wide = open_tile(s, tile, np.float32(threshold), work.columns)
        for column in range(wide):
            if partner[u.rows[start + column]] >= 0:
                work.columns.least[column] = NEVER
        _meet(u, s, stayed, met, count[0], tile, wide, threshold, True, partner, work)
        _meet(u, s, s.codes, start, start + wide, tile, wide, threshold, True, partner, work)
        for at in range(start, start + wide):
            if partner[u.rows[at]] < 0:
                copy_row(s.codes, at, stayed, count[0])
                count[0] += 1


@njit_raw()
def _meet(
    u: Unit, s: Screen, rows: UnitCodes, begin: int, end: int, tile: int, wide: int, threshold: float, staying: bool,
    partner: np.ndarray, work: Workspace,
) -> None:  # fmt: skip
    """Compare rows number `begin` to `end` with a tile until all its columns are closed.

    `staying`: skip rows which have a partner.
    """
    start, columns, wrong = tile * TILE, work.columns, np.float64(cosine_error(u.x.shape[1]))
    left = 0
    for column in range(wide):
        left += columns.least[column] < NEVER
    for first in range(begin, end, CHUNK):
        if left == 0:
            return
        last = min(first + CHUNK, end)
        multiply(rows.q, first, last, s.tiles, tile, tile + 1, work.products)
        for at in range(first, last):
            position = rows.position[at]
            if staying and partner[u.rows[position]] >= 0:
                continue
            mask = reaching(work.products[at - first], rows, at, s, columns)
            if position >= start:
                mask &= from_column(position + 1 - start)
            while mask != 0:
                column = lowest(mask)
                mask &= mask - np.uint64(1)
                value = np.float64(cosine32(u, position, start + column))
                if value > threshold + wrong or (
                    value > threshold - wrong and cosine64(u, work.exact, position, start + column) > threshold
                ):
                    partner[u.rows[start + column]] = u.rows[position]
                    columns.least[column] = NEVER
                    left -= 1
