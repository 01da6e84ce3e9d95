"""The earliest row of its cluster that a row is a near duplicate of, in the order of the cluster; greedy or not.

Formula. ``partner_j = min {i < j: u_i . u_j > threshold}``; greedy, only over those i that have no partner themselves.
Shapes. unit float64 [m, d], offsets int64 [c + 1]; writes position int64 [m], which comes filled with -1.
Contract. Strictly greater; the cosine is the float64 definition's, clipped, bit for bit.

Greedy is a chain: whether row 7 may remove row 9 depends on whether row 3 has removed row 7. So one block takes one
cluster, and its threads go through the earlier rows *together*, each looking after some of the later ones:

    step i = 0      0 --> 1 2 3 4 5 6 7     threads compare 1..7 with 0 at once;   2 and 5 are removed
    wait
    step i = 1      1 -->   . 3 4 . 6 7     what is removed is not compared again;  3 is removed
    wait
    step i = 2      (greedy: removed, removes nobody)

The steps come in the order of i and the first to remove a row is kept, so the partner is the earliest one.

Bytes. 8 d for each pair that is looked at; pairs of rows that are out are not. One large cluster keeps one block busy
and the rest of the device idle: the order of decisions is what costs here, and the back end ``cuda`` computes the
cosines of many steps beforehand.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import cuda

from meddel_kernels.numba_cuda.device import THREADS, on_device, report, rows_at
from meddel_kernels.numba_cuda.exact import clipped, total


@cuda.jit
def near_duplicates_kernel(unit, offsets, threshold, greedy, cuts, position):
    """Write the position of the earliest row above the threshold: one block a cluster."""
    start, stop = offsets[cuda.blockIdx.x], offsets[cuda.blockIdx.x + 1]
    for i in range(start, stop):
        if not greedy or position[i] < 0:
            for j in range(i + 1 + cuda.threadIdx.x, stop, cuda.blockDim.x):
                if position[j] < 0 and clipped(total(unit, i, unit, j, cuts, False)) > threshold:
                    position[j] = i
        cuda.syncthreads()


def near_duplicates(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, threshold: float, greedy: bool, partner: np.ndarray,
    threads: int, callback: Callable[[int], None] | None,
) -> None:  # fmt: skip
    """Do what ``cosine.near_duplicates_defined`` does."""
    clusters = on_device(x, order, offsets)
    if len(order):
        position = cuda.to_device(np.full(len(order), -1, np.int64))
        near_duplicates_kernel[len(offsets) - 1, THREADS](
            clusters.unit, cuda.to_device(offsets), float(threshold), greedy, clusters.cuts, position
        )
        partner[order] = rows_at(order, position.copy_to_host())
    report(callback, offsets)
