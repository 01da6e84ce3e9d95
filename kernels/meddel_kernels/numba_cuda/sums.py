"""The sum of each label's rows, in fixed point, so that the order of the threads does not matter.

Formula. ``S_cj = sum_{i: l_i = c} round(2^p (w_i x_ij))``, rounded to the nearest whole number, ties to even; the
product ``w_i x_ij`` is rounded to float64 first.
Shapes. x float64 [n, d], labels int [n], weights float64 [n]; adds to sums int64 [k, d].
Contract. p is such that no sum leaves 62 bits (``fixed_point``).

Thread (i, j) takes one value, and many threads add to one place. An *atomic* addition is one that nobody interrupts;
who comes first is chance. With floating-point numbers the last bits would be chance too. Whole numbers don't care:

    x, l     # # # #   0     --\\
             # # # #   1     ---)-->    sums   # # # #   0     rows 0 and 2 arrive in any order
             # # # #   0     --/               # # # #   1

Neighbouring threads take neighbouring columns, so that a block reads one stretch of memory, and adds to one.
Bytes. 8 n d read, and n d additions of 8 bytes, which the cache (L2) carries out.
"""

from __future__ import annotations

from numba import cuda

from meddel_kernels.numba_cuda.exact import times


@cuda.jit
def sums(x, labels, weights, scale, out):
    """Add each value, weighted, times `scale` (2^p) and rounded, to the sum of its row's label."""
    index = cuda.grid(1)
    i, j = index // x.shape[1], index % x.shape[1]
    if i < x.shape[0]:
        cuda.atomic.add(out, (labels[i], j), round(times(scale, times(weights[i], x[i, j]))))
