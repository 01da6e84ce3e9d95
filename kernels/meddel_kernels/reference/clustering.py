"""K-means: the definition of distances and sums, in float64 NumPy."""

from __future__ import annotations

import numpy as np

from meddel_kernels.reference.pairs import (
    CACHE,
    blocks,
    by_pairs,
    least_of_each,
    rounding,
    squared_differences,
)


class ReferenceRows:
    """A matrix as `meddel_kernels.clustering.Rows` wants it.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d], finite
    threads : int
        Not used: BLAS has its own, and they decide nothing.
    """

    def __init__(self, x: np.ndarray, threads: int = 1) -> None:
        self.x = np.ascontiguousarray(x, np.float64)
        self.n, self.d = self.x.shape
        self.largest = float(max(self.x.max(), -self.x.min()))
        self._lengths = np.sqrt(np.einsum("ij,ij->i", self.x, self.x))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        return self.x[rows]

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """Return the index of the least sum of squared differences of each row, ties to the lowest: int32 [n]."""
        x, labels = self.x, np.empty(self.n, np.int32)
        squared_norms = np.square(centroids).sum(axis=1)
        longest = np.sqrt(squared_norms.max())
        for rows in blocks(self.n, max(len(centroids), self.d)):
            block = x[rows]
            scores = squared_norms - 2.0 * (block @ centroids.T)
            reach = np.square(np.sqrt(np.square(block).sum(axis=1)) + longest)
            # The smallest normal number covers what products of tiny values lose below it.
            margin = 8 * rounding(self.d) * reach + np.finfo(np.float64).tiny
            near = scores <= (scores.min(axis=1) + margin)[:, None]
            row, centroid = np.nonzero(near)
            exact = by_pairs(squared_differences, block, row, centroids, centroid)
            labels[rows] = centroid[least_of_each(row, exact)]
        return labels

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's sum of squared differences to its centroid, float64 [n]."""
        return by_pairs(squared_differences, self.x, np.arange(self.n), centroids, labels)

    def lower(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances by that to row `index` where that is less."""
        x, row = self.x, self.x[index]
        screen = np.square(self._lengths) + self._lengths[index] ** 2 - 2.0 * (x @ row)
        margin = 8 * rounding(self.d) * np.square(self._lengths + self._lengths[index]) + np.finfo(np.float64).tiny
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

    def subset(self, rows: np.ndarray) -> ReferenceRows:
        """Return some rows, prepared."""
        return ReferenceRows(self.x[rows])
