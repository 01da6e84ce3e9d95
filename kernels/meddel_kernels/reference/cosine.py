"""Cosine to the earlier rows of a cluster: the definition, in float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from meddel_kernels.reference.pairs import (
    blocks,
    by_pairs,
    first_of_equals,
    least_of_each,
    products,
    rounding,
    unit_rows,
)


def row_max(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    cosine: np.ndarray,
    partner: np.ndarray,
    threads: int,
    callback: Callable[[int], None] | None,
) -> None:
    """Fill `cosine` (float64 [n]) and `partner` (int64 [n]) of the rows in `order`; see ``row_max_cosine``.

    `threads` is not used: BLAS has its own, and they decide nothing. Memory beyond a cluster's unit rows is bounded.
    """
    for start, stop in pairwise(offsets):
        rows = order[start:stop]
        if len(rows) > 1:
            cosine[rows[1:]], position = _cluster_row_max(unit_rows(x[rows]))
            partner[rows[1:]] = rows[position]
        if callback is not None:
            callback(len(rows))


def _cluster_row_max(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the greatest cosine and its position, for every row of a cluster but the first."""
    cosine, position = np.empty(len(unit) - 1), np.empty(len(unit) - 1, np.int64)
    # Of equal rows only the first can be a partner: a thousand black frames cost no more than one.
    first = first_of_equals(unit)
    for rows in blocks(len(unit) - 1, len(first)):
        later = np.arange(rows.start + 1, rows.stop + 1)
        earlier = first[first < rows.stop]
        product = unit[later] @ unit[earlier].T
        product[earlier >= later[:, None]] = -np.inf
        near = product >= product.max(axis=1, keepdims=True) - 8 * rounding(unit.shape[1])
        row, column = np.nonzero(near)
        exact = np.clip(by_pairs(products, unit, later[row], unit, earlier[column]), -1.0, 1.0)
        best = least_of_each(row, -exact)
        cosine[rows], position[rows] = exact[best], earlier[column[best]]
    return cosine, position
