"""Cosines inside the clusters of a ragged batch, all clusters in one call: contract, definition, dispatch.

The definitions (`row_max`, `near_duplicates_defined`, `top_neighbours_defined`) are what every back end computes to the
last bit. Of their arguments, `x` is a checked matrix [n, d], `order` int64 [m] names distinct rows of it, and cluster i
is ``order[offsets[i]:offsets[i + 1]]``. What they fill in comes filled with what holds for rows that are in no cluster.
`threads` are not used here: BLAS has its own, and they decide nothing. A cosine is the product of two unit rows in
float64, clipped to [-1, 1]; a matrix product only screens (see ``pairs``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.backends import Backend, back_end
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.inputs import matrix
from meddel_kernels.pairs import blocks, by_pairs, first_of_equals, least_of_each, products, rounding
from meddel_kernels.unit_rows import scaled

Callback = Callable[[int], None] | None


class RowMax(NamedTuple):
    """Result of `row_max_cosine`, by row of `x`.

    Attributes
    ----------
    cosine : float64 [n]
        The greatest cosine to an earlier row of the same cluster, in [-1, 1]; -inf where there is none.
    partner : int64 [n]
        The row which reaches it; -1 where there is none.
    """

    cosine: np.ndarray
    partner: np.ndarray


class TopNeighbours(NamedTuple):
    """Result of `top_neighbours`, by row of `x`.

    Attributes
    ----------
    cosine : float64 [n, m]
        The greatest cosines to other rows of the same cluster, in [-1, 1], falling; -inf where there are no more.
    neighbour : int64 [n, m]
        The rows which reach them; -1 where there are no more.
    """

    cosine: np.ndarray
    neighbour: np.ndarray


def row_max_cosine(
    x: ArrayLike,
    order: np.ndarray,
    offsets: np.ndarray,
    *,
    callback: Callback = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> RowMax:
    """Find, for each row, the greatest cosine to an earlier row of its cluster, and which row that is.

    One call takes all clusters (a ragged batch). Not greedy: every earlier row counts. Ties go to the earliest row.
    The cosine with a row of zeros is 0.

    Parameters
    ----------
    x : matrix [n, d]
        As for `kmeans`.
    order : int [m]
        Distinct rows of `x`, cluster after cluster, each cluster in its order. Rows left out get -inf and -1.
    offsets : int [c + 1]
        Cluster i is ``order[offsets[i]:offsets[i + 1]]``; from 0 up to m, never falling.
    callback : callable or None
        Called after each cluster with its number of rows.
    backend, threads
        As for `kmeans`.

    Raises
    ------
    ValueError
        `x` is no matrix of finite values up to 1e150; `order` repeats a row or leaves the range; `offsets` do not cut
        `order` into pieces.
    """
    x, order, offsets = _batch(x, order, offsets, backend, threads)
    result = RowMax(np.full(len(x), -np.inf), np.full(len(x), -1, np.int64))
    compute = back_end(backend).row_max
    compute(x, order, offsets, result.cosine, result.partner, thread_count(threads), callback)
    return result


def near_duplicates(
    x: ArrayLike,
    order: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    *,
    greedy: bool = False,
    callback: Callback = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """Find, for each row, the earliest row before it in its cluster that is more alike than `threshold` allows.

    Rows without one are what deduplication keeps. It may stop as soon as that is known, so that it costs less than
    `row_max_cosine`, the more so the more duplicates there are. SemDeDup's rule (Abbas et al. 2023) is the plain one:
    every earlier row counts, also one that has a partner itself. Of a chain a-b-c with only neighbours alike it drops b
    and c; the greedy rule drops b alone.

    Parameters
    ----------
    x, order, offsets, callback, backend, threads
        As for `row_max_cosine`.
    threshold : float
        From -1 to 1. A cosine has to be greater (strictly), so that 1 finds nothing.
    greedy : bool
        Only rows without a partner count.

    Returns
    -------
    int64 [n]. The partner; -1 for rows without one, and for rows that `order` leaves out.

    Raises
    ------
    ValueError
        `threshold` is out of range, or as for `row_max_cosine`.
    """
    if not -1 <= threshold <= 1:
        raise ValueError(f"threshold {threshold} must lie between -1 and 1")
    x, order, offsets = _batch(x, order, offsets, backend, threads)
    partner = np.full(len(x), -1, np.int64)
    compute = back_end(backend).near_duplicates
    compute(x, order, offsets, float(threshold), bool(greedy), partner, thread_count(threads), callback)
    return partner


def top_neighbours(
    x: ArrayLike,
    order: np.ndarray,
    offsets: np.ndarray,
    m: int,
    *,
    callback: Callback = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> TopNeighbours:
    """Find, for each row, the `m` greatest cosines to other rows of its cluster, earlier or later, and which rows.

    Falling; ties to the row that is earlier in the cluster's order. The cosine with a row of zeros is 0.

    Parameters
    ----------
    x, order, offsets, callback, backend, threads
        As for `row_max_cosine`.
    m : int
        At least 1; meant for some tens.

    Raises
    ------
    ValueError
        `m` is below 1, or as for `row_max_cosine`.
    """
    if m < 1:
        raise ValueError(f"m {m} must be at least 1")
    x, order, offsets = _batch(x, order, offsets, backend, threads)
    result = TopNeighbours(np.full((len(x), m), -np.inf), np.full((len(x), m), -1, np.int64))
    compute = back_end(backend).top_neighbours
    compute(x, order, offsets, result.cosine, result.neighbour, thread_count(threads), callback)
    return result


def _batch(
    x: ArrayLike, order: np.ndarray, offsets: np.ndarray, backend: Backend, threads: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a ragged batch of clusters, checked as `row_max_cosine` states."""
    x = matrix(x, "x", backend, threads)
    order, offsets = np.ascontiguousarray(order, np.int64), np.ascontiguousarray(offsets, np.int64)
    if order.ndim != 1 or (order.size and not 0 <= order.min() <= order.max() < len(x)):
        raise ValueError(f"order must be one-dimensional with rows from 0 to {len(x) - 1}")
    if order.size and np.bincount(order).max() > 1:
        raise ValueError("order names a row twice")
    if offsets.ndim != 1 or (np.diff(offsets) < 0).any() or [*offsets[:1], *offsets[-1:]] != [0, order.size]:
        raise ValueError(f"offsets must rise from 0 to {order.size}")
    return x, order, offsets


def row_max(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, partner: np.ndarray, threads: int,
    callback: Callback,
) -> None:  # fmt: skip
    """Fill `cosine` (float64 [n], -inf) and `partner` (int64 [n], -1): the greatest cosine to an earlier row."""
    for of_cluster, unit in _clusters(x, order, offsets, callback):
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
            cosine[of_cluster[later]], partner[of_cluster[later]] = exact[best], of_cluster[earlier[column[best]]]


def near_duplicates_defined(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, threshold: float, greedy: bool, partner: np.ndarray,
    threads: int, callback: Callback,
) -> None:  # fmt: skip
    """Fill `partner` (int64 [n], -1): the earliest row before each whose cosine to it is above `threshold`."""
    for of_cluster, unit in _clusters(x, order, offsets, callback):
        for rows in blocks(len(unit), len(unit)):
            product = unit[rows] @ unit[: rows.stop].T
            near = np.abs(product - threshold) <= 8 * rounding(unit.shape[1])
            row, column = np.nonzero(near)
            product[row, column] = np.clip(by_pairs(products, unit, rows.start + row, unit, column), -1.0, 1.0)
            above = np.tril(product > threshold, rows.start - 1)
            for row in range(rows.start, rows.stop):
                earlier = above[row - rows.start]
                if greedy:
                    earlier &= partner[of_cluster[: rows.stop]] < 0
                if earlier.any():
                    partner[of_cluster[row]] = of_cluster[earlier.argmax()]


def top_neighbours_defined(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, neighbour: np.ndarray,
    threads: int, callback: Callback,
) -> None:  # fmt: skip
    """Fill `cosine` (float64 [n, m], -inf) and `neighbour` (int64 [n, m], -1): the greatest cosines, falling."""
    for of_cluster, unit in _clusters(x, order, offsets, callback):
        m = min(cosine.shape[1], len(unit) - 1)
        for rows in blocks(len(unit), len(unit)):
            product = unit[rows] @ unit.T
            product[np.arange(len(product)), np.arange(rows.start, rows.stop)] = -np.inf
            least = np.partition(product, len(unit) - m, axis=1)[:, len(unit) - m, None]
            row, column = np.nonzero(product >= least - 8 * rounding(unit.shape[1]))
            exact = np.clip(by_pairs(products, unit, rows.start + row, unit, column), -1.0, 1.0)
            best = np.lexsort((column, -exact, row))
            # Sorted by row, each row's greatest first: the first m of each are those asked for.
            found = best[np.searchsorted(row, np.arange(len(product)))[:, None] + np.arange(m)]
            cosine[of_cluster[rows], :m], neighbour[of_cluster[rows], :m] = exact[found], of_cluster[column[found]]


def _clusters(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, callback: Callback
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of each cluster of two or more, and their unit rows; call back after each cluster."""
    for start, stop in pairwise(offsets):
        if stop - start > 1:
            yield order[start:stop], scaled(x[order[start:stop]])
        if callback is not None:
            callback(int(stop - start))
