"""K-means on arrays: seeding, Lloyd's iterations, and the nearest centroid, whatever computes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meddel_kernels.backends import Backend, back_end
from meddel_kernels.clustering import KMeans, Rows, lloyd, plus_plus
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.reference.pairs import matrix, unit_rows


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


def _rows(x: np.ndarray, backend: Backend, threads: int | None) -> Rows:
    return back_end(backend).rows(x, thread_count(threads))


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k {k} must lie between 1 and the number of rows, {n}")
