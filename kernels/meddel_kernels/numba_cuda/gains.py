"""What each row would add to a facility-location selection, summed over its cluster.

Formula. ``g_j = sum_i round(2^p max(0, u_i . u_j - best_i))`` over the rows i of j's cluster, j itself included.
Shapes. unit float64 [m, d], start and stop int64 [m], best float64 [m]; writes gains int64 [m].
Contract. Whole numbers, so that the order of the sum does not matter; p as ``fixed_point.power`` has it.

Thread j, the candidate, asks every row i of its cluster how much nearer it would come than what it has:

    best_i    0.9   0.2   0.7        cos(i, j)    0.5   0.6   0.8        gain    0  + 0.4 + 0.1

The cosine is the same both ways, since products commute and the order of the sum is the same.
Bytes. 8 d for each pair, 8 for best_i.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import cuda

from meddel_kernels.numba_cuda.clusters import on_device, tell
from meddel_kernels.numba_cuda.device import THREADS, blocks_for
from meddel_kernels.numba_cuda.exact import clipped, times, total


@cuda.jit
def gains_kernel(unit, start, stop, best, scale, cuts, out):
    """Write the gain of each row, times `scale` (2^p): one thread a candidate."""
    j = cuda.grid(1)
    if j < unit.shape[0]:
        gain = 0
        for i in range(start[j], stop[j]):
            more = clipped(total(unit, i, unit, j, cuts, False)) - best[i]
            if more > 0:
                gain += round(times(scale, more))
        out[j] = gain


def gains(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    best: np.ndarray,
    p: int,
    gains: np.ndarray,
    threads: int,
    callback: Callable[[int], None] | None,
) -> None:
    """Fill `gains` (int64 [n]) of the rows in `order`, given `best` (float64 [n]); see ``facility_location_gains``.

    `threads` is not used: the device has its own.
    """
    clusters = on_device(x, order, offsets)
    if len(order):
        out = cuda.device_array(len(order), np.int64)
        gains_kernel[blocks_for(len(order)), THREADS](
            clusters.unit, clusters.start, clusters.stop, cuda.to_device(best[order]), 2.0**p, clusters.cuts, out
        )
        gains[order] = out.copy_to_host()
    tell(callback, offsets)
