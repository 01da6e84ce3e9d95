"""The nearest centroid of each row: contract, definition in float64 NumPy, and dispatch to a back end."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.backends import Backend
from meddel_kernels.inputs import float64, matrix, prepared
from meddel_kernels.pairs import CACHE, blocks, by_pairs, least_of_each, rounding, squared_differences

TINY = np.finfo(np.float64).tiny  # covers what products of tiny values lose below the smallest normal number


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
    x, centroids = matrix(x, "x", backend, threads), float64(centroids, "centroids")
    if x.shape[1] != centroids.shape[1]:
        raise ValueError(f"x has {x.shape[1]} columns but centroids have {centroids.shape[1]}")
    rows = prepared(x, backend, threads)
    labels = rows.assign(centroids, None)
    return labels, np.sqrt(rows.squares(centroids, labels))


class ReferenceRows:
    """The definition of `meddel_kernels.backends.Rows`, for a matrix float16, float32 or float64 [n, d].

    `threads` are not used: BLAS has its own, and they decide nothing.
    """

    def __init__(self, x: np.ndarray, threads: int = 1) -> None:
        self.x = np.ascontiguousarray(x, np.float64)
        self.n, self.d = self.x.shape
        self.largest = float(max(self.x.max(), -self.x.min()))
        self._lengths = np.sqrt(np.einsum("ij,ij->i", self.x, self.x))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        return self.x[rows]

    def subset(self, rows: np.ndarray) -> ReferenceRows:
        """Return some rows, prepared."""
        return ReferenceRows(self.x[rows])

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """Return the index of the least sum of squared differences of each row, ties to the lowest: int32 [n]."""
        x, labels = self.x, np.empty(self.n, np.int32)
        squared_norms = np.square(centroids).sum(axis=1)
        longest = np.sqrt(squared_norms.max())
        for rows in blocks(self.n, max(len(centroids), self.d)):
            block = x[rows]
            scores = squared_norms - 2.0 * (block @ centroids.T)
            reach = np.square(np.sqrt(np.square(block).sum(axis=1)) + longest)
            margin = 8 * rounding(self.d) * reach + TINY
            near = scores <= (scores.min(axis=1) + margin)[:, None]
            row, centroid = np.nonzero(near)
            exact = by_pairs(squared_differences, block, row, centroids, centroid)
            labels[rows] = centroid[least_of_each(row, exact)]
        return labels

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's sum of squared differences to its centroid, float64 [n]."""
        return by_pairs(squared_differences, self.x, np.arange(self.n), centroids, labels)

    def min_distance(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances by that to row `index` where that is less."""
        x, row = self.x, self.x[index]
        screen = np.square(self._lengths) + self._lengths[index] ** 2 - 2.0 * (x @ row)
        margin = 8 * rounding(self.d) * np.square(self._lengths + self._lengths[index]) + TINY
        near = np.flatnonzero(screen - margin < squares)
        for part in blocks(len(near), self.d, CACHE):
            rows = near[part]
            squares[rows] = np.minimum(squares[rows], squared_differences(x[rows], row))

    def sums(self, labels: np.ndarray, k: int, p: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the sum of ``round(2^p x)``, or ``round(2^p (w x))``, over each label's rows, int64 [k, d]."""
        sums = np.zeros((k, self.d), np.int64)
        for rows in blocks(self.n, self.d):
            block = self.x[rows] if weights is None else weights[rows, None] * self.x[rows]
            np.add.at(sums, labels[rows], np.rint(block * 2.0**p).astype(np.int64))
        return sums
