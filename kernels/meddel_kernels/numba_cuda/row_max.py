"""The greatest cosine of each row to an earlier row of its cluster, and which row that is: plain and in tiles.

Formula. ``M_j = max_{i < j} u_i . u_j`` over the unit rows of j's cluster, clipped to [-1, 1]; ties to the earliest i.
Shapes. unit float64 [m, d], start and stop int64 [m] (``clusters``); writes best float64 [m] and position int64 [m].
Contract. The cosine and the row of the float64 definition, bit for bit.

Of the square of all pairs only the half below the diagonal is computed, and only within clusters:

            earlier i                          thread j takes one line of a triangle.
    later   . . . | . . . . .                  The first row of a cluster has none, the last one the longest:
      j     # . . | . . . . .                  threads of one block wait for the longest.
            # # . | . . . . .
            ------+----------                  # computed    . not
            . . . | . . . . .
            . . . | # . . . .
            . . . | # # . . .

Version 1, `row_max_plain`. Thread j reads its own row and all earlier ones: 8 d bytes for 2 d operations.
Version 2, `row_max_tiled`. A block takes T later rows of one cluster and meets the earlier ones T at a time
(``tiles``); T times fewer bytes. ``blocks``, int64 [b, 3], says for each block where its rows begin, and where
their cluster starts and stops. Along the diagonal half of a tile is computed in vain, the price of whole tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numba import cuda, float64

from meddel_kernels.numba_cuda.device import on_device, report, rows_at
from meddel_kernels.numba_cuda.exact import clipped, total
from meddel_kernels.numba_cuda.tiles import TILE, tile_total


@cuda.jit
def row_max_plain(unit, start, cuts, best, position):
    """Write each row's greatest cosine to an earlier row of its cluster: one thread a row."""
    j = cuda.grid(1)
    if j < unit.shape[0]:
        best[j], position[j] = -math.inf, -1
        for i in range(start[j], j):
            value = clipped(total(unit, i, unit, j, cuts, False))
            if value > best[j]:
                best[j], position[j] = value, i


@cuda.jit
def row_max_tiled(unit, blocks, cuts, best, position):
    """Write each row's greatest cosine to an earlier row of its cluster: a block of T x T threads for T rows."""
    found = cuda.shared.array((TILE, TILE), float64)
    block = cuda.blockIdx.x
    first, start, stop = blocks[block, 0], blocks[block, 1], blocks[block, 2]
    column = cuda.threadIdx.x
    j = first + cuda.threadIdx.y
    greatest, where = -math.inf, -1
    for i in range(start, min(first + TILE, stop), TILE):
        found[cuda.threadIdx.y, column] = clipped(tile_total(unit, first, stop, unit, i, stop, cuts, False))
        cuda.syncthreads()
        if column == 0:
            for other in range(min(TILE, j - i)):
                if found[cuda.threadIdx.y, other] > greatest:
                    greatest, where = found[cuda.threadIdx.y, other], i + other
    if column == 0 and j < stop:
        best[j], position[j] = greatest, where


def row_max(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, partner: np.ndarray, threads: int,
    callback: Callable[[int], None] | None,
) -> None:  # fmt: skip
    """Do what ``cosine.row_max`` does."""
    clusters = on_device(x, order, offsets)
    blocks = np.array([(i, a, b) for a, b in pairwise(offsets) for i in range(a, b, TILE)], np.int64).reshape(-1, 3)
    if len(blocks):
        best, position = cuda.device_array(len(order), np.float64), cuda.device_array(len(order), np.int64)
        row_max_tiled[len(blocks), (TILE, TILE)](clusters.unit, cuda.to_device(blocks), clusters.cuts, best, position)
        cosine[order], partner[order] = best.copy_to_host(), rows_at(order, position.copy_to_host())
    report(callback, offsets)
