"""K-means: the definition, in float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from meddel_kernels.reference.pairs import (
    CACHE,
    blocks,
    by_pairs,
    least_of_each,
    matrix,
    rounding,
    squared_differences,
    unit_rows,
)


class KMeans(NamedTuple):
    """Result of `kmeans`.

    Attributes
    ----------
    centroids : float64 [k, d]
    labels : int32 [n]
        The nearest centroid of each row.
    distances : float64 [n]
        Euclidean distance of each row (of its unit row, where spherical) to that centroid.
    iterations : int
        How often the centroids were moved.
    inertia : float
        Sum of the squared distances.
    """

    centroids: np.ndarray
    labels: np.ndarray
    distances: np.ndarray
    iterations: int
    inertia: float


def assign(x: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centroid of each row: the least sum of squared differences, ties to the lowest index.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]
    centroids : float16, float32 or float64 [k, d]

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
    x, centroids = _float64(x, "x"), _float64(centroids, "centroids")
    if x.shape[1] != centroids.shape[1]:
        raise ValueError(f"x has {x.shape[1]} columns but centroids have {centroids.shape[1]}")
    return _assign(x, centroids)


def kmeans_plus_plus(x: np.ndarray, k: int, *, seed: int) -> np.ndarray:
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

    Returns
    -------
    int64 [k], the rows in the order of their choice.

    Raises
    ------
    ValueError
        As for `kmeans`.
    """
    x = _float64(x, "x")
    _check_k(k, len(x))
    rng = np.random.default_rng(seed)
    chosen = np.empty(k, np.int64)
    chosen[0] = rng.integers(len(x))
    squares = np.full(len(x), np.inf)
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    for step in range(1, k):
        _lower(squares, x, lengths, chosen[step - 1])
        weights = squares
        if not squares.any():
            weights = np.ones(len(x))
            weights[chosen[:step]] = 0.0
        total = np.cumsum(weights)
        drawn = np.searchsorted(total, rng.random() * total[-1], side="right")
        chosen[step] = min(drawn, np.flatnonzero(weights)[-1])
    return chosen


def kmeans(
    x: np.ndarray,
    k: int,
    *,
    seed: int,
    iterations: int = 50,
    tolerance: float = 0.0,
    spherical: bool = False,
    callback: Callable[[int, float], None] | None = None,
) -> KMeans:
    """Cluster the rows of `x` by Lloyd's iterations from a k-means++ start.

    An iteration assigns each row to its nearest centroid (see `assign`), repairs empty clusters, and moves each
    centroid to the mean of its rows. Empty clusters are repaired in the order of their index: each takes the row that
    lies farthest from its centroid (ties: the lowest row) among the rows that are neither at distance 0 nor alone in
    their cluster. Where there is none, that is, where `x` has fewer than `k` distinct rows, it stays empty.
    The iterations end when no label changes, or when the centroids' squared movement, summed, is at most `tolerance`
    times the mean variance of the columns. Labels and distances are those of the returned centroids.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]
    k : int
        Number of clusters, from 1 to n.
    seed : int
        Seed of the start, not negative.
    iterations : int
        At most so many, at least 1.
    tolerance : float
    spherical : bool
        Cluster the unit rows by cosine: scale each mean to length 1 (one of length 0 leaves its centroid in place).
    callback : callable or None
        Called after each iteration with its number, from 1, and the inertia before the move.

    Raises
    ------
    ValueError
        `x` is no matrix of finite values up to 1e150, or `k`, `iterations` or `tolerance` is out of range.
    """
    x = unit_rows(x) if spherical else _float64(x, "x")
    _check_k(k, len(x))
    if iterations < 1 or not tolerance >= 0:
        raise ValueError(f"iterations {iterations} must be at least 1 and tolerance {tolerance} at least 0")
    centroids = x[kmeans_plus_plus(x, k, seed=seed)]
    allowed = tolerance * float(x.var(axis=0).mean()) if tolerance else 0.0
    previous, moves = np.full(len(x), -1, np.int32), 0
    while moves < iterations:
        labels, distances = _assign(x, centroids)
        labels = _repaired(labels, distances, k)
        if np.array_equal(labels, previous):
            break
        moved = _means(x, labels, centroids, spherical)
        shift = float(np.square(moved - centroids).sum())
        centroids, previous, moves = moved, labels, moves + 1
        if callback is not None:
            callback(moves, float(np.square(distances).sum()))
        if shift <= allowed:
            break
    labels, distances = _assign(x, centroids)
    return KMeans(centroids, labels, distances, moves, float(np.square(distances).sum()))


def _lower(squares: np.ndarray, x: np.ndarray, lengths: np.ndarray, row: int) -> None:
    """Lower each row's squared distance to the nearest chosen row, now that `row` is chosen."""
    screen = np.square(lengths) + lengths[row] ** 2 - 2.0 * (x @ x[row])
    margin = 8 * rounding(x.shape[1]) * np.square(lengths + lengths[row]) + np.finfo(np.float64).tiny
    near = np.flatnonzero(screen - margin < squares)
    for part in blocks(len(near), x.shape[1], CACHE):
        rows = near[part]
        squares[rows] = np.minimum(squares[rows], squared_differences(x[rows], x[row]))


def _assign(x: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Do what `assign` does, without its checks."""
    labels, squares = np.empty(len(x), np.int32), np.empty(len(x))
    squared_norms = np.square(centroids).sum(axis=1)
    longest = np.sqrt(squared_norms.max())
    for rows in blocks(len(x), max(len(centroids), x.shape[1])):
        block = x[rows]
        scores = squared_norms - 2.0 * (block @ centroids.T)
        reach = np.square(np.sqrt(np.square(block).sum(axis=1)) + longest)
        # The smallest normal number covers what products of tiny values lose below it.
        margin = 8 * rounding(x.shape[1]) * reach + np.finfo(np.float64).tiny
        near = scores <= (scores.min(axis=1) + margin)[:, None]
        row, centroid = np.nonzero(near)
        exact = by_pairs(squared_differences, block, row, centroids, centroid)
        best = least_of_each(row, exact)
        labels[rows], squares[rows] = centroid[best], exact[best]
    return labels, np.sqrt(squares)


def _repaired(labels: np.ndarray, distances: np.ndarray, k: int) -> np.ndarray:
    """Give each empty cluster a row, by the rule that `kmeans` states."""
    sizes = np.bincount(labels, minlength=k)
    empty = np.flatnonzero(sizes == 0)
    if not empty.size:
        return labels
    labels, farthest = labels.copy(), iter(np.argsort(-distances, kind="stable"))
    for cluster in empty:
        row = next((row for row in farthest if sizes[labels[row]] > 1 and distances[row] > 0), None)
        if row is None:
            break
        sizes[labels[row]] -= 1
        labels[row], sizes[cluster] = cluster, 1
    return labels


def _means(x: np.ndarray, labels: np.ndarray, centroids: np.ndarray, spherical: bool) -> np.ndarray:
    """Return the mean of each cluster's rows, added up in the order of the rows; an empty cluster's stays."""
    means = centroids.copy()
    order = np.argsort(labels, kind="stable")
    stops = np.cumsum(np.bincount(labels, minlength=len(centroids)))
    for cluster, rows in enumerate(np.split(order, stops[:-1])):
        if rows.size:
            # Added up as differences to the first row, so that the mean of equal rows is that row.
            mean = x[rows[0]] + (x[rows] - x[rows[0]]).mean(axis=0)
            if spherical:
                mean = unit_rows(mean[None])[0]
            if not spherical or mean.any():
                means[cluster] = mean
    return means


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k {k} must lie between 1 and the number of rows, {n}")


def _float64(values: np.ndarray, name: str) -> np.ndarray:
    return np.ascontiguousarray(matrix(values, name), np.float64)
