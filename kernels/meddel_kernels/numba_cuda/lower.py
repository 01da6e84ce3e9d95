"""The squared distance to the nearest of the rows chosen so far, one more row being chosen.

Formula. ``s_i <- min(s_i, sum_j (x_ij - x_rj)^2)`` for the chosen row r: a step of k-means++ and of farthest-point.
Shapes. x float64 [n, d], squares float64 [n], read and written.
Contract. Equal to NumPy's, bit for bit.

Thread i takes row i; all threads read row r, which comes from memory once and from the cache ever after:

    x      thread 0 ->  ############
           thread 1 ->  ############
           row r    ->  ############ <- everybody
           thread 3 ->  ############

Bytes. 8 n d read, 16 n for the distances.
"""

from __future__ import annotations

from numba import cuda

from meddel_kernels.numba_cuda.exact import total


@cuda.jit
def lower(x, index, cuts, squares):
    """Replace each of `squares` by the squared distance to row `index` where that is less."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        squares[i] = min(squares[i], total(x, i, x, index, cuts, True))
