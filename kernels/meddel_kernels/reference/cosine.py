"""Cosine to the earlier rows of a cluster: the definition, in float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from meddel_kernels.reference.pairs import (
    blocks,
    by_pairs,
    first_of_equals,
    least_of_each,
    matrix,
    products,
    rounding,
    unit_rows,
)


class RowMax(NamedTuple):
    """Result of `row_max_cosine`, by row of `x`.

    Attributes
    ----------
    cosine : float64 [n]
        The greatest cosine to an earlier row of the same cluster, in [-1, 1]; -inf where there is none.
    partner : int64 [n]
        The row that it is reached with; -1 where there is none.
    """

    cosine: np.ndarray
    partner: np.ndarray


def row_max_cosine(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    *,
    callback: Callable[[int], None] | None = None,
) -> RowMax:
    """Find, for each row, the greatest cosine to an earlier row of its cluster, and which row that is.

    One call takes all clusters (a ragged batch). Not greedy: every earlier row counts. Ties go to the earliest row.
    The cosine with a row of zeros is 0. Memory beyond a cluster's own unit rows is bounded by blocks.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]
    order : int [m]
        Distinct rows of `x`, cluster after cluster, each cluster in its order. Rows left out get -inf and -1.
    offsets : int [c + 1]
        Cluster i is ``order[offsets[i]:offsets[i + 1]]``; from 0 up to m, never falling.
    callback : callable or None
        Called after each cluster with its number of rows.

    Raises
    ------
    ValueError
        `x` has another type or shape, or holds NaN, infinity or a value beyond 1e150; `order` repeats a row or leaves
        the range; `offsets` do not cut `order` into pieces.
    """
    x = matrix(x, "x")
    order, offsets = np.asarray(order, np.int64), np.asarray(offsets, np.int64)
    if order.ndim != 1 or (order.size and not 0 <= order.min() <= order.max() < len(x)):
        raise ValueError(f"order must be one-dimensional with rows from 0 to {len(x) - 1}")
    if order.size and np.bincount(order).max() > 1:
        raise ValueError("order names a row twice")
    if offsets.ndim != 1 or (np.diff(offsets) < 0).any() or [*offsets[:1], *offsets[-1:]] != [0, order.size]:
        raise ValueError(f"offsets must rise from 0 to {order.size}")
    cosine, partner = np.full(len(x), -np.inf), np.full(len(x), -1, np.int64)
    for start, stop in pairwise(offsets):
        rows = order[start:stop]
        if len(rows) > 1:
            cosine[rows[1:]], position = _cluster_row_max(unit_rows(x[rows]))
            partner[rows[1:]] = rows[position]
        if callback is not None:
            callback(len(rows))
    return RowMax(cosine, partner)


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
