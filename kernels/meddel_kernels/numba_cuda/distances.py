"""Each row's squared distance to its centroid, and to the nearest of a growing set of rows.

Formula. ``s_i = sum_j (x_ij - c_(l_i)j)^2``.
Shapes. x float64 [n, d], centroids float64 [k, d], labels int [n]; writes squares float64 [n].
Contract. Equal to NumPy's sum, bit for bit (``exact``).

Thread i takes row i. It reads that row and one centroid from the GPU's memory, and writes one number:

    x          thread 0 ->  ############        centroids    ############ <- threads 0, 2   (l_0 = l_2 = 0)
               thread 1 ->  ############                     ############ <- thread 1       (l_1 = 1)
               thread 2 ->  ############

Bytes. 8 n d of x, as much of the centroids (from the cache, if they fit there), 8 n written: for 3 d operations a row,
0.2 to 0.4 operations a byte. The memory is the limit, however fast the arithmetic.

`min_distance` is a step of k-means++: ``s_i = min(s_i, sum_j (x_ij - x_rj)^2)`` when row r has been chosen. Everybody
reads row r at the same time, which the cache serves once for all of a warp.
"""

from __future__ import annotations

from numba import cuda

from meddel_kernels.numba_cuda.exact import total


@cuda.jit
def squares(x, centroids, labels, cuts, out):
    """Write each row's squared distance to the centroid of its label."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        out[i] = total(x, i, centroids, labels[i], cuts, True)


@cuda.jit
def min_distance(x, index, cuts, squares):
    """Replace each row's squared distance by that to row `index` where that is less."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        squares[i] = min(squares[i], total(x, i, x, index, cuts, True))
