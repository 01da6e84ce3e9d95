"""The operations on arrays, one call each, whatever computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from meddel_kernels.backends import Backend, operations_of
from meddel_kernels.clustering import KMeans, Rows, lloyd, plus_plus
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.reference.pairs import matrix, unit_rows


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


def assign(
    x: np.ndarray, centroids: np.ndarray, *, backend: Backend = "auto", threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centroid of each row: the least sum of squared differences, ties to the lowest index.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]
    centroids : float16, float32 or float64 [k, d]
    backend, threads
        As for `kmeans`.

    Returns
    -------
    labels : int32 [n]
    distances : float64 [n]
        Euclidean distances.

    Raises
    ------
    ValueError
        A matrix has another type or shape, the widths differ, or there is NaN, infinity or a value beyond 1e150.
    """
    x, centroids = matrix(x, "x"), np.ascontiguousarray(matrix(centroids, "centroids"), np.float64)
    if x.shape[1] != centroids.shape[1]:
        raise ValueError(f"x has {x.shape[1]} columns but centroids have {centroids.shape[1]}")
    rows = _rows(x, backend, threads)
    labels = rows.assign(centroids, None)
    return labels, np.sqrt(rows.squares(centroids, labels))


def kmeans_plus_plus(
    x: np.ndarray, k: int, *, seed: int, backend: Backend = "auto", threads: int | None = None
) -> np.ndarray:
    """Choose `k` distinct rows to start from: each with probability in proportion to its squared distance to the
    nearest row chosen before (Arthur and Vassilvitskii 2007), the first uniformly.

    Where every row equals a chosen one, the next is drawn uniformly from the rows that were not.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]
    k : int
        From 1 to n.
    seed : int
        Seed of the draws, not negative.
    backend, threads
        As for `kmeans`.

    Returns
    -------
    int64 [k], the rows in the order of their choice.

    Raises
    ------
    ValueError
        As for `kmeans`.
    """
    x = matrix(x, "x")
    _check_k(k, len(x))
    return plus_plus(_rows(x, backend, threads), k, seed)


def kmeans(
    x: np.ndarray,
    k: int,
    *,
    seed: int = 0,
    start: np.ndarray | None = None,
    iterations: int = 50,
    tolerance: float = 0.0,
    spherical: bool = False,
    callback: Callable[[int, float], None] | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> KMeans:
    """Cluster the rows of `x` by Lloyd's iterations from a k-means++ start.

    An iteration assigns each row to its nearest centroid (see `assign`), repairs empty clusters, and moves each
    centroid to the mean of its rows, a fixed-point sum (see ``fixed_point``). Empty clusters are repaired in the order
    of their index: each takes the row that lies farthest from its centroid (ties: the lowest row) among the rows that
    are neither nearer than the sums resolve nor alone in their cluster. Where there is none, that is, where `x` has
    fewer than `k` distinct rows, it stays empty. The iterations end when no label changes, or when the centroids'
    squared movement, summed, is at most `tolerance` times the mean variance of the columns. Labels and distances are
    those of the returned centroids.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]
    k : int
        Number of clusters, from 1 to n.
    seed : int
        Seed of the start, not negative.
    start : float [k, d] or None
        Centroids to start from, instead of k-means++.
    iterations : int
        At most so many, at least 1.
    tolerance : float
    spherical : bool
        Cluster the unit rows by cosine: scale each mean to length 1 (one of length 0 leaves its centroid in place).
    callback : callable or None
        Called after each iteration with its number, from 1, and the inertia before the move.
    backend : {"auto", "cpu", "reference"}
        Who computes; the answer is the same to the last bit. ``auto`` is the fastest one here.
    threads : int or None
        None means ``NUMBA_NUM_THREADS``, by default all cores.

    Raises
    ------
    ValueError
        `x` or `start` is no matrix of finite values up to 1e150, or another parameter is out of range.
    """
    x = unit_rows(x) if spherical else matrix(x, "x")
    _check_k(k, len(x))
    if iterations < 1 or not tolerance >= 0:
        raise ValueError(f"iterations {iterations} must be at least 1 and tolerance {tolerance} at least 0")
    rows = _rows(x, backend, threads)
    if start is None:
        centroids = rows.take(plus_plus(rows, k, seed))
    else:
        centroids = np.ascontiguousarray(matrix(start, "start"), np.float64)
        if centroids.shape != (k, x.shape[1]):
            raise ValueError(f"start has shape {centroids.shape}, not {(k, x.shape[1])}")
    variance = float(x.astype(np.float64).var(axis=0).mean()) if tolerance else 0.0
    return lloyd(
        rows,
        centroids,
        iterations=iterations,
        tolerance=tolerance,
        variance=variance,
        spherical=spherical,
        callback=callback,
    )


def row_max_cosine(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    *,
    callback: Callable[[int], None] | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> RowMax:
    """Find, for each row, the greatest cosine to an earlier row of its cluster, and which row that is.

    One call takes all clusters (a ragged batch). Not greedy: every earlier row counts. Ties go to the earliest row.
    The cosine with a row of zeros is 0.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]
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
    result = RowMax(np.full(len(x), -np.inf), np.full(len(x), -1, np.int64))
    compute = operations_of(backend).row_max
    compute(x, order, offsets, result.cosine, result.partner, thread_count(threads), callback)
    return result


def _rows(x: np.ndarray, backend: Backend, threads: int | None) -> Rows:
    return operations_of(backend).rows(x, thread_count(threads))


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k {k} must lie between 1 and the number of rows, {n}")
