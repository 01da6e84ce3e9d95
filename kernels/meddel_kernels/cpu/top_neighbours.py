"""For each row the few greatest cosines to other rows of its cluster: a screen in int8, then float32, then float64.

Formula. The m greatest of ``<u_i, u_j>``, i other than j, over the unit rows u of a cluster, in falling order, ties to
the i that is earlier in the cluster's order; the product as ``exact`` has it, clipped to [-1, 1].

Tiers. 64 columns j at a time meet all rows i. Once m are known, a pair matters only if it is above the present m-th
(one as great comes later and loses the tie): its bound (see ``screen``) has to reach that, then its float32 cosine,
which errs by at most w, has to come within w of it, and then the float64 one decides and takes its place in the list.

Contract. As ``unit_rows``; m at least 1. Extra memory: 2 l bytes a row; a thread has 64 lists, and 64 unit rows in
float64.

Ladder, ten neighbours of each of 15,000 rows, d 768, two cores of a Zen 5:

| version | seconds |
| --- | ---: |
| whole matrix, float32, argpartition | 8.03 |
| tiles of the square, float32, topk of torch | 2.34 |
| FAISS, flat index (inexact) | 1.77 |
| int8 screen | 0.582 |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meddel_kernels.cpu.clusters import over_clusters
from meddel_kernels.cpu.exact import plan
from meddel_kernels.cpu.llvm import TILE, lowest, njit, njit_raw
from meddel_kernels.cpu.microkernel import multiply
from meddel_kernels.cpu.screen import Screen, cosine_error
from meddel_kernels.cpu.threads import share_out
from meddel_kernels.cpu.tile import CHUNK, Workspace, new_workspace, open_tile, reaching, small_cluster
from meddel_kernels.cpu.unit_rows import SHORTEST, Unit, cosine32, cosine64


def top_neighbours(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, neighbour: np.ndarray,
    threads: int, callback: Callable[[int], None] | None,
) -> None:  # fmt: skip
    """Do what ``cosine.top_neighbours_defined`` does."""

    def whole(x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return top_clusters(x, order, offsets, numbers, plan(x.shape[1]), SHORTEST[x.dtype], cosine, neighbour)

    def large(u: Unit, s: Screen) -> None:
        def tiles(first: int, last: int) -> None:
            top_tiles(u, s, first, last, cosine, neighbour, new_workspace(u.x.shape[1], CHUNK))

        share_out(tiles, len(s.tiles), 1, threads)

    def again(x: np.ndarray, order: np.ndarray, offsets: np.ndarray, *results: np.ndarray) -> None:
        top_neighbours(x, order, offsets, *results, threads, None)

    over_clusters(x, order, offsets, threads, callback, (cosine, neighbour), whole, large, again)


@njit()
def top_clusters(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, numbers: np.ndarray, cuts: np.ndarray, least: float,
    cosine: np.ndarray, neighbour: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Do whole clusters; return the numbers of those whose rows need `regular` first."""
    odd, work = np.zeros(len(numbers), np.bool_), new_workspace(x.shape[1], CHUNK)
    for k in range(len(numbers)):
        rows = order[offsets[numbers[k]] : offsets[numbers[k] + 1]]
        if len(rows) < 2:
            continue
        good, u, s = small_cluster(x, rows, cuts, least, work)
        odd[k] = not good
        if good:
            top_tiles(u, s, 0, len(s.tiles), cosine, neighbour, work)
    return numbers[odd]


@njit_raw()
def top_tiles(
    u: Unit, s: Screen, first: int, last: int, cosine: np.ndarray, neighbour: np.ndarray, work: Workspace
) -> None:
    """Fill `cosine` (float64 [n, m], -inf) and `neighbour` (int64 [n, m], -1) for tiles `first` to `last`."""
    columns, wrong, m = work.columns, np.float64(cosine_error(u.x.shape[1])), cosine.shape[1]
    for tile in range(first, last):
        start = tile * TILE
        open_tile(s, tile, np.float32(-2), columns)
        for begin in range(0, len(u.rows), CHUNK):
            end = min(begin + CHUNK, len(u.rows))
            multiply(s.codes.q, begin, end, s.tiles, tile, tile + 1, work.products)
            for at in range(begin, end):
                mask = reaching(work.products[at - begin], s.codes, at, s, columns)
                if start <= at < start + TILE:
                    mask &= ~(np.uint64(1) << np.uint64(at - start))
                while mask != 0:
                    column = lowest(mask)
                    mask &= mask - np.uint64(1)
                    row = u.rows[start + column]
                    if np.float64(cosine32(u, at, start + column)) + wrong <= cosine[row, m - 1]:
                        continue
                    value = cosine64(u, work.exact, at, start + column)
                    if value > cosine[row, m - 1]:
                        _insert(cosine[row], neighbour[row], value, u.rows[at])
                        columns.least[column] = max(np.float32(-2), np.float32(cosine[row, m - 1]))


@njit_raw()
def _insert(cosine: np.ndarray, neighbour: np.ndarray, value: float, row: int) -> None:
    """Put a pair in its place behind those that are as great, and drop the last."""
    at = len(cosine) - 1
    while at > 0 and cosine[at - 1] < value:
        cosine[at], neighbour[at] = cosine[at - 1], neighbour[at - 1]
        at -= 1
    cosine[at], neighbour[at] = value, row
