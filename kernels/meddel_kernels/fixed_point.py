"""Sums that do not depend on their order: rows rounded to multiples of a power of two, and added up as whole numbers.

Formula. ``mean_c = 2^-p (sum_{i in c} round(2^p x_i)) / n_c``, with p the largest power at which no sum of n rows
leaves 62 bits: ``p = 62 - ceil(log2 n) - e`` where every ``|x_ij| < 2^e``. Rounding is to the nearest, ties to even.
Whole numbers add up to the same whatever the order, so threads, shards and devices get the same bytes. At n = 10^6 a
value is resolved to 2^-43 of the largest one, and a float32 within 2^-19 of the largest is not rounded at all.
"""

from __future__ import annotations

import numpy as np

BITS = 62
MOST = 1000  # 2^p must be a float64


def power(n: int, largest: float) -> int:
    """Return p for `n` rows with values up to `largest` in absolute value."""
    return min(MOST, BITS - (n - 1).bit_length() - int(np.frexp(largest)[1]))


def resolution(d: int, p: int) -> float:
    """Return how far the mean of equal rows of width `d` may lie from them: sqrt(d) times one step."""
    return float(np.sqrt(d) * np.ldexp(1.0, -p))


def means(sums: np.ndarray, sizes: np.ndarray, p: int, empty: np.ndarray) -> np.ndarray:
    """Return the mean of each cluster; that of one without rows is its row of `empty`.

    Parameters
    ----------
    sums : int64 [k, d]
    sizes : int64 [k]
    p : int
    empty : float64 [k, d]

    Returns
    -------
    float64 [k, d]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        result = np.ldexp(sums / sizes[:, None], -p)
    return np.where(sizes[:, None] > 0, result, empty)
