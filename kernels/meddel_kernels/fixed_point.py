"""Sums that do not depend on their order: rows rounded to multiples of a power of two, and added up as whole numbers.

Formula. ``mean_c = 2^-p (sum_{i in c} round(2^p x_i)) / n_c``, with p the largest power at which no sum of n rows
leaves 62 bits: ``p = 62 - ceil(log2 n) - e`` where every ``|x_ij| < 2^e``. Rounding is to the nearest, ties to even.
Whole numbers add up to the same whatever the order, so threads, shards and devices get the same bytes. At n = 10^6 a
value is resolved to 2^-43 of the largest one, and a float32 within 2^-19 of the largest is not rounded at all.

With weights, ``mean_c = 2^-p (sum_{i in c} round(2^p (w_i x_i))) / (sum_{i in c} w_i)``, the product rounded to float64
before, n the number of rows that have a weight, and ``w_i |x_ij| < 2^e``. The sum of the weights is added up in the
order of the rows. A mean is then resolved to 2^-p n_c / W_c: weights a million times lighter than the heaviest lose
twenty bits where they are among themselves.
"""

from __future__ import annotations

import numpy as np

BITS = 62
MOST = 1000  # 2^p must be a float64


def power(n: int, largest: float) -> int:
    """Return p for `n` rows with values, times their weights, up to `largest` in absolute value."""
    return min(MOST, BITS - (n - 1).bit_length() - int(np.frexp(largest)[1]))


def resolution(d: int, p: int, largest: float, sizes: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return how far the mean of equal rows may be from them, for each cluster: float64 [k].

    A row's whole number is off by half a step of 2^-p, and a weighted row by a rounding of float64 before; so is each
    addition to the sum of weights. `sizes` are the clusters' rows that have a weight, `mass` their weights, summed.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.where(mass > 0, np.ldexp(sizes / mass, -p), 0.0)
    return np.sqrt(d) * (steps + (sizes + 4) * 2.0**-52 * largest)


def means(sums: np.ndarray, sizes: np.ndarray, p: int, empty: np.ndarray) -> np.ndarray:
    """Return the mean of each cluster, float64 [k, d], from sums (int64 [k, d]) and sizes, or sums of weights.

    That of one without rows is its row of `empty`.
    """
    some = sizes > 0
    result = sums / np.where(some, sizes, 1)[:, None]
    result *= 2.0**-p  # `power` keeps it a float64 of full precision
    if not some.all():
        result[~some] = empty[~some]
    return result
