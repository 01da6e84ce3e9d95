"""Cosines of the rows of a cluster to one another: the definitions, in float64 NumPy."""

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


def first_above(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    greedy: bool,
    partner: np.ndarray,
    threads: int,
    callback: Callable[[int], None] | None,
) -> None:
    """Fill `partner` (int64 [n]) of the rows in `order`; see ``near_duplicates``. `threads` as for `row_max`."""
    for start, stop in pairwise(offsets):
        rows = order[start:stop]
        if len(rows) > 1:
            position = _cluster_first_above(unit_rows(x[rows]), threshold, greedy)
            partner[rows] = np.where(position >= 0, rows[position], -1)
        if callback is not None:
            callback(len(rows))


def _cluster_first_above(unit: np.ndarray, threshold: float, greedy: bool) -> np.ndarray:
    """Return for every row of a cluster the position of its partner, -1 for none."""
    position, margin = np.full(len(unit), -1, np.int64), 8 * rounding(unit.shape[1])
    for rows in blocks(len(unit), len(unit)):
        product = unit[rows] @ unit[: rows.stop].T
        near = np.abs(product - threshold) <= margin
        row, column = np.nonzero(near)
        product[row, column] = np.clip(by_pairs(products, unit, rows.start + row, unit, column), -1.0, 1.0)
        above = np.tril(product > threshold, rows.start - 1)
        for row in range(rows.start, rows.stop):
            earlier = above[row - rows.start]
            if greedy:
                earlier &= position[: rows.stop] < 0
            if earlier.any():
                position[row] = earlier.argmax()
    return position


def top(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    cosine: np.ndarray,
    neighbour: np.ndarray,
    threads: int,
    callback: Callable[[int], None] | None,
) -> None:
    """Fill `cosine` (float64 [n, m]) and `neighbour` (int64 [n, m]) of the rows in `order`; see ``top_neighbours``.

    `threads` as for `row_max`.
    """
    for start, stop in pairwise(offsets):
        rows = order[start:stop]
        m = min(cosine.shape[1], len(rows) - 1)
        if m > 0:
            cosine[rows, :m], position = _cluster_top(unit_rows(x[rows]), m)
            neighbour[rows, :m] = rows[position]
        if callback is not None:
            callback(len(rows))


def _cluster_top(unit: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the m greatest cosines of every row of a cluster to others, and their positions."""
    cosine, position = np.empty((len(unit), m)), np.empty((len(unit), m), np.int64)
    for rows in blocks(len(unit), len(unit)):
        product = unit[rows] @ unit.T
        product[np.arange(len(product)), np.arange(rows.start, rows.stop)] = -np.inf
        least = np.partition(product, len(unit) - m, axis=1)[:, len(unit) - m, None]
        row, column = np.nonzero(product >= least - 8 * rounding(unit.shape[1]))
        exact = np.clip(by_pairs(products, unit, rows.start + row, unit, column), -1.0, 1.0)
        best = np.lexsort((column, -exact, row))
        # Sorted by row, each row's greatest first: the first m of each are those asked for.
        first = np.searchsorted(row, np.arange(len(product)))[:, None] + np.arange(m)
        cosine[rows], position[rows] = exact[best[first]], column[best[first]]
    return cosine, position
