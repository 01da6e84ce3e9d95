"""Facility location: the definition of what a row would add, in float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from meddel_kernels.reference.pairs import blocks, by_pairs, products, rounding, unit_rows


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
    """Fill `gains` (int64 [n]) of the rows in `order`; see ``facility_location_gains``.

    `best` is float64 [n]. `threads` is not used: BLAS has its own, and they decide nothing.
    """
    for start, stop in pairwise(offsets):
        rows = order[start:stop]
        if len(rows):
            gains[rows] = _cluster_gains(unit_rows(x[rows]), best[rows], 2.0**p)
        if callback is not None:
            callback(len(rows))


def _cluster_gains(unit: np.ndarray, best: np.ndarray, scale: float) -> np.ndarray:
    """Return what every row of a cluster would add, as multiples of 1 / `scale`."""
    total = np.empty(len(unit), np.int64)
    for rows in blocks(len(unit), len(unit)):
        product = unit[rows] @ unit.T
        row, column = np.nonzero(product > best - 8 * rounding(unit.shape[1]))
        exact = np.clip(by_pairs(products, unit, rows.start + row, unit, column), -1.0, 1.0)
        more = np.zeros(product.shape, np.int64)
        more[row, column] = np.rint(scale * np.maximum(0.0, exact - best[column]))
        total[rows] = more.sum(axis=1)
    return total
