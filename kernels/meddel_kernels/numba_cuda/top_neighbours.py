"""The m most alike rows of each row's cluster.

Formula. The m greatest of ``u_i . u_j`` over i != j of j's cluster, descending, ties to the earlier i.
Shapes. unit float64 [r, d], start and stop int64 [r] for r rows in clusters; writes cosine float64 [r, m] and position
int64 [r, m], which come filled with -inf and -1.
Contract. The cosines of the float64 definition, clipped, bit for bit.

Thread j goes through its cluster once and keeps a list of m, sorted, into which it inserts:

    cosine[j]    0.9  0.8  0.8  0.3                   new: 0.8, from a later row
                           ^ goes behind its equals: 0.9  0.8  0.8  0.8, and 0.3 falls out

Bytes. 8 d for each pair. The list lies in the device's memory; nearly all rows fail against its last entry, so it is
seldom written.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import cuda

from meddel_kernels.numba_cuda.device import THREADS, blocks_for, on_device, report, rows_at
from meddel_kernels.numba_cuda.exact import clipped, total


@cuda.jit
def top_neighbours_kernel(unit, start, stop, cuts, cosine, position):
    """Write the greatest cosines of each row, and with which rows: one thread a row."""
    j = cuda.grid(1)
    if j < unit.shape[0]:
        m = cosine.shape[1]
        for i in range(start[j], stop[j]):
            if i == j:
                continue
            value = clipped(total(unit, i, unit, j, cuts, False))
            place = m
            while place > 0 and value > cosine[j, place - 1]:
                place -= 1
                if place + 1 < m:
                    cosine[j, place + 1], position[j, place + 1] = cosine[j, place], position[j, place]
            if place < m:
                cosine[j, place], position[j, place] = value, i


def top_neighbours(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, neighbour: np.ndarray,
    threads: int, callback: Callable[[int], None] | None,
) -> None:  # fmt: skip
    """Do what ``cosine.top_neighbours_defined`` does."""
    clusters = on_device(x, order, offsets)
    if len(order):
        best, position = cuda.to_device(cosine[order]), cuda.to_device(neighbour[order])
        top_neighbours_kernel[blocks_for(len(order)), THREADS](
            clusters.unit, clusters.start, clusters.stop, clusters.cuts, best, position
        )
        cosine[order], neighbour[order] = best.copy_to_host(), rows_at(order, position.copy_to_host())
    report(callback, offsets)
