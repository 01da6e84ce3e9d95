"""A matrix prepared for K-means on the processor: its lead in int8, and the float32 rows of the second tier."""

from __future__ import annotations

import copy

import numpy as np

from meddel_kernels.cpu import bounds, distances, lower, nearest, update
from meddel_kernels.cpu.centroids import chosen, prepare
from meddel_kernels.cpu.exact import DEPTH, plan
from meddel_kernels.cpu.extent import extent
from meddel_kernels.cpu.lead import SAMPLE, USUAL, basis_of, lead, row_blocks, scale_to_one, some_leads
from meddel_kernels.cpu.projection import leads_of
from meddel_kernels.cpu.threads import share_out

WIDTH = 96
NEAR = 64  # where the centre is farther from zero than this times the spread, float32 would lose too much
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
    counts : int64 [4]
        What the tiers have done so far; see ``nearest.assign_rows``.
    """

    def __init__(self, x: np.ndarray, threads: int) -> None:
        self.x = np.ascontiguousarray(x, np.float32 if x.dtype == np.float16 else None)
        self.threads = threads
        n, d = self.x.shape
        sample = self.x[:: -(-n // SAMPLE)].astype(np.float64)
        centre, lengths = sample.mean(axis=0), np.empty(n)
        self.largest, apart = extent(self.x, centre, lengths, threads)
        self._basis = basis_of(sample, centre, apart, WIDTH)
        near = np.abs(centre).max() < NEAR * apart
        leads = leads_of(self.x, self._basis, threads) if near else lead(self._read, n, self._basis)
        longest = self.largest * np.sqrt(d)
        self._unit = 1.0 if 1 / USUAL < longest < USUAL else scale_to_one(longest)
        rounded = self.x
        if self._unit != 1 or self.x.dtype != np.float32:
            rounded = np.empty(self.x.shape, np.float32)
            for part in row_blocks(n, d):
                rounded[part] = self.x[part] * self._unit
        self._table = nearest.Table(
            self.x, rounded, (lengths * (self._unit * (1 + 2.0**-20))).astype(np.float32), leads,
            self._basis.factor / self._unit, plan(d), np.float32(np.sqrt(d) * 2.0**-60),
            np.float32((d / 2 + 8) * 2.0**-24),
        )  # fmt: skip
        self._begin()

    def _begin(self) -> None:
        """Forget what assignments and sums have left."""
        self.n, self.d = self.x.shape
        self.counts = np.zeros(4, np.int64)
        self._bounds, self._before, self._margin = bounds.no_bounds(self.n), None, np.zeros(1, np.float32)
        self._labels, self._sums, self._power = np.full(self.n, -1, np.int32), np.zeros((0, self.d), np.int64), 0

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        return self.x[rows].astype(np.float64)

    def subset(self, rows: np.ndarray) -> CpuRows:
        """Return some rows (int64 [m]), prepared: what has been prepared of them is copied."""
        part, t = copy.copy(self), self._table
        part.x = np.ascontiguousarray(t.x[rows])
        rounded = part.x if t.rounded is t.x else np.ascontiguousarray(t.rounded[rows])
        part._table = t._replace(x=part.x, rounded=rounded, norm=t.norm[rows], leads=some_leads(t.leads, rows))
        part._begin()
        return part

    def _read(self, rows: slice) -> np.ndarray:
        return self.x[rows].astype(np.float64)

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """Return the nearest of the centroids for each row, int32 [n]; see ``nearest``.

        What it finds out on the way helps the next call, if its centroids are as many.
        """
        labels = np.full(self.n, -1, np.int32) if guess is None else guess.copy()
        before, self._before = self._before, None  # bounds that were left half-done by an interruption are no bounds
        if np.abs(centroids - self._basis.centre).max() * self._basis.factor > USUAL:
            share_out(
                lambda start, stop: distances.assign_exactly(self.x, centroids, self._table.cuts, start, stop, labels),
                self.n, nearest.BLOCK, self.threads,
            )  # fmt: skip
            return labels
        prepared = prepare(centroids, self._basis, self._unit)
        moved = bounds.NOT_MOVED
        if before is not None and len(before) == len(centroids):
            moved = bounds.moved(before, centroids, self._unit)
        movers = chosen(prepared, moved.movers)

        def work(start: int, stop: int) -> None:
            counts, margin = np.zeros(4, np.int64), self._margin.copy()
            room = nearest.room_for(self._table, prepared)
            nearest.assign_rows(
                self._table, prepared, movers, moved, self._bounds, margin, start, stop, labels, counts, room
            )
            self.counts += counts
            self._margin = margin

        share_out(work, self.n, nearest.BLOCK, self.threads)
        self._before = centroids.copy()
        return labels

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]."""
        out = np.empty(self.n)
        share_out(
            lambda start, stop: distances.squares(self.x, centroids, labels, self._table.cuts, start, stop, out),
            self.n, _BLOCK, self.threads,
        )  # fmt: skip
        return out

    def lower(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances by that to row `index` where that is less."""
        t, factor, stack = self._table, self._basis.factor, np.empty(DEPTH)
        share_out(
            lambda start, stop: lower.lower(t.x, t.leads, factor, index, t.cuts, squares, start, stop, stack.copy()),
            self.n, _BLOCK, self.threads,
        )  # fmt: skip

    def sums(self, labels: np.ndarray, k: int, p: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the sum of ``round(2^p x)``, or ``round(2^p (w x))``, over each label's rows, int64 [k, d].

        Without weights only rows whose label changed since the last such call are read.
        """
        if weights is not None:
            sums = np.zeros((k, self.d), np.int64)
            share_out(
                lambda first, last: update.weigh(self.x, weights, labels, 2.0**p, sums, first, last),
                self.d, _COLUMNS, self.threads,
            )  # fmt: skip
            return sums
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
