"""A matrix prepared for K-means on the processor: its lead in int8, and the float32 rows of the second tier."""

from __future__ import annotations

import numba
import numpy as np

from meddel_kernels.cpu import nearest, update
from meddel_kernels.cpu.exact import DEPTH, plan, squared_difference
from meddel_kernels.cpu.lead import ROUNDING, USUAL, Lead, basis, lead, row_blocks, scale_to_one
from meddel_kernels.cpu.threads import share_out

WIDTH = 64
_COLUMNS = 64
_BLOCK = 1024


class CpuRows:
    """A matrix as `meddel_kernels.clustering.Rows` wants it.

    Beside `x` it holds an int8 lead of up to `WIDTH` columns, and float32 rows where `x` is something else.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d], finite
        Read in place where it is float32 or float64 with contiguous rows, memory maps too.
    threads : int
        At least 1.

    Attributes
    ----------
    counts : int64 [2]
        How many centroids have passed the screen so far, and how many rows only float64 could decide.
    """

    def __init__(self, x: np.ndarray, threads: int) -> None:
        self.x = np.ascontiguousarray(x, np.float32 if x.dtype == np.float16 else None)
        self.n, self.d = self.x.shape
        self.threads = threads
        self.largest = max(float(np.abs(self.x[part]).max()) for part in row_blocks(self.n, self.d))
        self.counts = np.zeros(2, np.int64)
        self._cuts = plan(self.d)
        self._basis = basis(self._read, self.n, self.d, WIDTH)
        self._lead = lead(self._read, self.n, self._basis)
        longest = self.largest * np.sqrt(self.d)
        self._unit = 1.0 if 1 / USUAL < longest < USUAL else scale_to_one(longest)
        self._rounded = self.x
        if self._unit != 1 or self.x.dtype != np.float32:
            self._rounded = np.empty(self.x.shape, np.float32)
            for part in row_blocks(self.n, self.d):
                self._rounded[part] = self.x[part] * self._unit
        self._norm = np.sqrt(np.einsum("ij,ij->i", self._rounded, self._rounded)) * np.float32(1 + self.d * 2.0**-23)
        self._labels = np.full(self.n, -1, np.int32)
        self._sums = np.zeros((0, self.d), np.int64)
        self._power = 0

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        return self.x[rows].astype(np.float64)

    def _read(self, rows: slice) -> np.ndarray:
        return self.x[rows].astype(np.float64)

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """Return the nearest of the centroids for each row, int32 [n]; see ``nearest``."""
        labels = np.full(self.n, -1, np.int32) if guess is None else guess.copy()
        if np.abs(centroids - self._basis.centre).max() * self._basis.factor > USUAL:
            share_out(
                lambda start, stop: nearest.assign_exactly(self.x, centroids, self._cuts, start, stop, labels),
                self.n, nearest.BLOCK, self.threads,
            )  # fmt: skip
            return labels
        prepared = nearest.prepare(centroids, self._basis, self._unit)
        factor = self._basis.factor / self._unit

        def work(start: int, stop: int) -> None:
            counts = np.zeros(2, np.int64)
            nearest.assign_rows(
                self.x, self._rounded, self._norm, self._lead, factor, prepared, self._cuts, start, stop, labels, counts
            )
            self.counts += counts

        share_out(work, self.n, nearest.BLOCK, self.threads)
        return labels

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]."""
        out = np.empty(self.n)
        share_out(
            lambda start, stop: nearest.squares(self.x, centroids, labels, self._cuts, start, stop, out),
            self.n, _BLOCK, self.threads,
        )  # fmt: skip
        return out

    def lower(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances by that to row `index` where that is less."""
        factor = self._basis.factor
        share_out(
            lambda start, stop: _lower(self.x, self._lead, factor, index, self._cuts, squares, start, stop),
            self.n, _BLOCK, self.threads,
        )  # fmt: skip

    def sums(self, labels: np.ndarray, k: int, p: int) -> np.ndarray:
        """Return the sum of ``round(2^p x)`` over each label's rows, int64 [k, d].

        Only rows whose label changed since the last call are read.
        """
        if self._sums.shape[0] != k or self._power != p:
            self._sums, self._power = np.zeros((k, self.d), np.int64), p
            self._labels = np.full(self.n, -1, np.int32)
        moved = np.flatnonzero(labels != self._labels)
        share_out(
            lambda first, last: update.move(self.x, moved, self._labels, labels, 2.0**p, self._sums, first, last),
            self.d, _COLUMNS, self.threads,
        )  # fmt: skip
        self._labels = labels.copy()
        return self._sums


@numba.njit(cache=True, nogil=True)
def _lower(
    x: np.ndarray, leads: Lead, factor: float, index: int, cuts: np.ndarray, squares: np.ndarray, start: int, stop: int
) -> None:
    """Do what `CpuRows.lower` does for rows `start` to `stop`, with the bound of ``lead`` as a screen."""
    own, stack = leads.q[index], np.empty(DEPTH)
    for i in range(start, stop):
        if squares[i] < np.inf:
            product = _whole_product(leads.q[i], own)
            half = np.float64(leads.scale[i]) * leads.scale[index] * product
            slack = np.float64(leads.error[i]) * leads.length[index]
            slack += np.float64(leads.length[i] + leads.error[i]) * leads.error[index]
            slack += np.float64(leads.residual[i]) * leads.residual[index]
            both = leads.square[i] + leads.square[index]
            if both * (1 - ROUNDING) - 2.0 * (half + slack) > squares[i] * factor * factor:
                continue
        squares[i] = min(squares[i], squared_difference(x, i, x, index, cuts, stack))


@numba.njit(cache=True, nogil=True, fastmath=True)
def _whole_product(a: np.ndarray, b: np.ndarray) -> int:
    total = np.int32(0)
    for column in range(a.shape[0]):
        total += np.int32(a[column]) * np.int32(b[column])
    return total
