"""The numbers that decide, bit for bit as the reference has them: one pair of rows, float64, NumPy's order of sums.

Formula. ``sum_j (a_j - b_j)^2`` and ``sum_j a_j b_j``, each term rounded to float64, added up as NumPy adds up a
contiguous row: up to 128 terms in eight running sums, joined as ``((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))``, then
what is left over of eight; longer rows in two halves, the first a multiple of eight.

The eight running sums are one AVX-512 register (two of AVX2, four of Neon), so that the exact number costs what any
other float64 number costs (see ``llvm``). Nothing is fused or reordered: that would change the last bit.

Contract. Matrices with contiguous rows, float32 or float64, finite. Reads d values of each row. Ladder, d = 768,
float32 against float64: eight scalars 1.5 us, eight lanes 0.5 us (two busy cores).
"""

from __future__ import annotations

import numpy as np

from meddel_kernels.cpu.llvm import SUMS, njit_raw, sum_of_products, sum_of_squares

BLOCK = 128
DEPTH = 64


def plan(d: int) -> np.ndarray:
    """Return how a row of d values is cut, int64 [m, 3]: where a piece starts and stops, and how many sums it ends.

    (Numba can't cache a function that calls itself, so the halving is written down beforehand.)
    """
    pieces: list[list[int]] = []

    def cut(start: int, stop: int) -> None:
        if stop - start <= BLOCK:
            pieces.append([start, stop, 0])
            return
        half = start + (stop - start) // 2 // SUMS * SUMS
        cut(start, half)
        cut(half, stop)
        pieces[-1][2] += 1

    cut(0, d)
    return np.array(pieces, np.int64)


@njit_raw()
def total(
    a: np.ndarray, i: int, b: np.ndarray, j: int, cuts: np.ndarray, stack: np.ndarray, difference: bool
) -> float:  # fmt: skip
    """Return the squared distance (`difference`) or the product of row `i` of `a` [n, d] and row `j` of `b` [m, d].

    `cuts` is ``plan(d)``, `stack` a workspace for its sums: float64 [DEPTH].
    """
    top = 0
    for piece in range(cuts.shape[0]):
        start, stop = cuts[piece, 0], cuts[piece, 1]
        whole = (stop - start) // SUMS * SUMS
        value = 0.0
        if whole and difference:
            value = sum_of_squares(a, i, b, j, start, whole)
        elif whole:
            value = sum_of_products(a, i, b, j, start, whole)
        for column in range(start + whole, stop):
            x, y = np.float64(a[i, column]), np.float64(b[j, column])
            value += (x - y) * (x - y) if difference else x * y
        for _ in range(cuts[piece, 2]):
            top -= 1
            value = stack[top] + value
        stack[top] = value
        top += 1
    return stack[0]
