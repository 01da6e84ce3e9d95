"""A matrix on the device, prepared for K-means: which kernel answers which question, and how many threads it gets."""

from __future__ import annotations

import numpy as np
from numba import cuda

from meddel_kernels.cpu.exact import plan
from meddel_kernels.numba_cuda import distances
from meddel_kernels.numba_cuda.assign import assign_tiled
from meddel_kernels.numba_cuda.device import THREADS, blocks_for, needed
from meddel_kernels.numba_cuda.sums import sums
from meddel_kernels.numba_cuda.tiles import TILE


class NumbaCudaRows:
    """A matrix as `meddel_kernels.backends.Rows` defines it, on the device as float64: 8 n d bytes.

    `threads` are not used: the device has its own.
    """

    def __init__(self, x: np.ndarray, threads: int = 1) -> None:
        needed()
        self.x = np.ascontiguousarray(x, np.float64)
        self.n, self.d = self.x.shape
        self.largest = float(max(self.x.max(), -self.x.min()))
        self._x, self._cuts = cuda.to_device(self.x), cuda.to_device(plan(self.d))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        return self.x[rows]

    def subset(self, rows: np.ndarray) -> NumbaCudaRows:
        """Return some rows as a prepared matrix of their own."""
        return NumbaCudaRows(self.x[rows])

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """Return the nearest of the centroids for each row, int32 [n]; `guess` is not used."""
        labels = cuda.device_array(self.n, np.int32)
        assign_tiled[-(-self.n // TILE), (TILE, TILE)](self._x, cuda.to_device(centroids), self._cuts, labels)
        return labels.copy_to_host()

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]."""
        out = cuda.device_array(self.n, np.float64)
        distances.squares[blocks_for(self.n), THREADS](
            self._x, cuda.to_device(centroids), cuda.to_device(labels), self._cuts, out
        )
        return out.copy_to_host()

    def min_distance(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances by that to row `index` where that is less."""
        held = cuda.to_device(squares)
        distances.min_distance[blocks_for(self.n), THREADS](self._x, index, self._cuts, held)
        held.copy_to_host(squares)

    def sums(self, labels: np.ndarray, k: int, p: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the sum of ``round(2^p (w x))`` over each label's rows, int64 [k, d]; without weights, w = 1."""
        weights = np.ones(self.n) if weights is None else weights
        out = cuda.to_device(np.zeros((k, self.d), np.int64))
        sums[blocks_for(self.n * self.d), THREADS](
            self._x, cuda.to_device(labels), cuda.to_device(weights), 2.0**p, out
        )
        return out.copy_to_host()
