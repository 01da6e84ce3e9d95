"""The nearest centroid of each row, plain and in tiles.

Formula. ``l_i = argmin_c sum_j (x_ij - c_cj)^2``, ties to the lowest c.
Shapes. x float64 [n, d], centroids float64 [k, d]; writes labels int32 [n].
Contract. The label of the float64 definition, bit for bit.

Version 1, `assign_plain`. Thread i takes row i and goes through all centroids, keeping the best so far:

    x      thread 0 ->  ############          centroids   ############ |
           thread 1 ->  ############                      ############ | everybody, from first to last
           thread 2 ->  ############                      ############ v

Bytes. 16 n k d if nothing is cached: as many as a million images times a thousand centroids times 768 columns times
16, 12 TB for one assignment. It is the definition, and hopeless.

Version 2, `assign_tiled`. A block of T x T threads takes T rows and meets the centroids T at a time (``tiles``):

    x      block 0 ->   ============          centroids   ============  T of them: T^2 pairs at once
                        ============                      ============
           block 1 ->   ============                      ------------  then the next T
                        ============                      ------------

After each T, the first thread of each row looks through the row's T distances in order. 16 n k d / T bytes.

What is left to gain, and what the back end ``cuda`` does: nearly all of these distances are far from winning. Low
precision on tensor cores can prove that, and only the two or three of a thousand that can win are computed like this.
"""

from __future__ import annotations

import math

from numba import cuda, float64

from meddel_kernels.numba_cuda.exact import total
from meddel_kernels.numba_cuda.tiles import TILE, tile_total


@cuda.jit
def assign_plain(x, centroids, cuts, labels):
    """Write the index of each row's nearest centroid: one thread a row."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        best, label = math.inf, 0
        for c in range(centroids.shape[0]):
            square = total(x, i, centroids, c, cuts, True)
            if square < best:
                best, label = square, c
        labels[i] = label


@cuda.jit
def assign_tiled(x, centroids, cuts, labels):
    """Write the index of each row's nearest centroid: a block of T x T threads for T rows."""
    found = cuda.shared.array((TILE, TILE), float64)
    n, k = x.shape[0], centroids.shape[0]
    first, row, column = cuda.blockIdx.x * TILE, cuda.threadIdx.y, cuda.threadIdx.x
    best, label = math.inf, 0
    for c in range(0, k, TILE):
        found[row, column] = tile_total(x, first, n, centroids, c, k, cuts, True)
        cuda.syncthreads()
        if column == 0:
            for other in range(min(TILE, k - c)):
                if found[row, other] < best:
                    best, label = found[row, other], c + other
    if column == 0 and first + row < n:
        labels[first + row] = label
