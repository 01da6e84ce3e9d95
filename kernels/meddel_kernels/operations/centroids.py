"""The two halves of an iteration of K-means, each by itself: rows to their centroids, centroids to their rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.backends import Backend
from meddel_kernels.clustering import mass_of, means_of, power
from meddel_kernels.operations.inputs import matrix, prepared, weights_of, whole


def assign(
    x: ArrayLike, centroids: ArrayLike, *, backend: Backend = "auto", threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centroid of each row: the least sum of squared differences, ties to the lowest index.

    Parameters
    ----------
    x : matrix [n, d]
        As for `kmeans`.
    centroids : matrix [k, d]
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
    x, centroids = matrix(x, "x", backend, threads), _centroids(centroids, "centroids")
    if x.shape[1] != centroids.shape[1]:
        raise ValueError(f"x has {x.shape[1]} columns but centroids have {centroids.shape[1]}")
    rows = prepared(x, backend, threads)
    labels = rows.assign(centroids, None)
    return labels, np.sqrt(rows.squares(centroids, labels))


def update(
    x: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    weights: ArrayLike | None = None,
    previous: ArrayLike | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """Return the mean of each label's rows, a fixed-point sum (see ``fixed_point``): the same bytes in any order.

    Parameters
    ----------
    x : matrix [n, d]
        As for `kmeans`.
    labels : int [n]
        From 0 to k - 1.
    k : int
        At least 1.
    weights : float [n] or None
        As for `kmeans`.
    previous : matrix [k, d] or None
        What a label without rows, or without weight, gets. None: there must be no such label.
    backend, threads
        As for `kmeans`.

    Returns
    -------
    float64 [k, d]

    Raises
    ------
    ValueError
        `x` or `previous` is no matrix of finite values up to 1e150 of that shape, a label or a weight is out of range,
        or a label is empty and there is no `previous`.
    """
    x = matrix(x, "x", backend, threads)
    n, d = x.shape
    if k < 1:
        raise ValueError(f"k {k} must be at least 1")
    given, checked = whole(labels, k, "labels").astype(np.int32), weights_of(weights, n)
    if given.shape != (n,):
        raise ValueError(f"labels must be {n}, one for each row, not {len(given)}")
    if previous is None:
        empty = np.flatnonzero(mass_of(given, k, checked) == 0)
        if empty.size:
            raise ValueError(f"label {empty[0]} has no rows or no weight: give the previous centroids")
    before = np.zeros((k, d)) if previous is None else _centroids(previous, "previous")
    if before.shape != (k, d):
        raise ValueError(f"previous has shape {before.shape}, not {(k, d)}")
    rows = prepared(x, backend, threads)
    return means_of(rows, given, before, power(rows, checked), checked)


def _centroids(values: ArrayLike, name: str) -> np.ndarray:
    return np.ascontiguousarray(matrix(values, name), np.float64)
