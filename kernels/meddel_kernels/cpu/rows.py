"""A matrix prepared for K-means on the processor: its lead in int8, and the float32 rows of the second tier."""

from __future__ import annotations

import copy

import numpy as np

from meddel_kernels.cpu import bounds, distances, lower, nearest, update
from meddel_kernels.cpu.afresh import CHANGING, MOST, assign_afresh
from meddel_kernels.cpu.centroids import Centroids, chosen, prepare
from meddel_kernels.cpu.exact import DEPTH, plan
from meddel_kernels.cpu.extent import extent
from meddel_kernels.cpu.lead import SAMPLE, USUAL, Basis, basis_of, lead, row_blocks, scale_to_one, some_leads, vanished
from meddel_kernels.cpu.projection import leads_of
from meddel_kernels.cpu.threads import share_out
from meddel_kernels.cpu.tiers import BLOCK, Table, room_for

WIDTH = 96
NEAR = 64  # where the centre is farther from zero than this times the spread, float32 would lose too much
_COLUMNS = 64
_BLOCK = 1024
_NO_SUMS = np.zeros((0, 0), np.int64)


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
        self._cuts = plan(d)
        sample = self.x[:: -(-n // SAMPLE)].astype(np.float64)
        self._centre, lengths = sample.mean(axis=0), np.empty(n)
        self.largest, self._apart = extent(self.x, self._centre, lengths, threads)
        longest = self.largest * np.sqrt(d)
        self._unit = 1.0 if 1 / USUAL < longest < USUAL else scale_to_one(longest)
        self._rounded = self.x
        if self._unit != 1 or self.x.dtype != np.float32:
            self._rounded = np.empty(self.x.shape, np.float32)
            for part in row_blocks(n, d):
                self._rounded[part] = self.x[part] * self._unit
        self._norm = (lengths * (self._unit * (1 + 2.0**-20))).astype(np.float32)
        self._seen: dict[int, tuple[Basis, Table]] = {}
        self._begin()

    def _begin(self) -> None:
        """Forget what assignments and sums have left."""
        self.n, self.d = self.x.shape
        self.counts = np.zeros(4, np.int64)
        self._bounds, self._before, self._margin, self._changed = None, None, np.zeros(1, np.float32), 1.0
        self._labels, self._sums, self._power = np.full(self.n, -1, np.int32), _NO_SUMS, 0

    def _prepared(self, width: int) -> tuple[Basis, Table]:
        """Return a basis of up to `width` directions, and the matrix as the tiers want it; made when asked for."""
        width = min(width, self.d)
        if width not in self._seen:
            sample = self.x[:: -(-self.n // SAMPLE)].astype(np.float64)
            basis = basis_of(sample, self._centre, self._apart, width)
            near = np.abs(self._centre).max() < NEAR * self._apart
            leads = leads_of(self.x, basis, self.threads) if near else lead(self._read, self.n, basis)
            self._seen[width] = basis, Table(
                self.x, self._rounded, self._norm, leads, basis.factor / self._unit, self._cuts,
                np.float32(np.sqrt(self.d) * 2.0**-60 + 2 * np.sqrt(vanished(self.d, self._unit))),
                np.float32((self.d / 2 + 8) * 2.0**-24), np.float32(vanished(self.d, basis.factor)),
            )  # fmt: skip
        return self._seen[width]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        return self.x[rows].astype(np.float64)

    def subset(self, rows: np.ndarray) -> CpuRows:
        """Return some rows (int64 [m]), prepared: what has been prepared of them is copied."""
        part = copy.copy(self)
        part.x, part._norm = np.ascontiguousarray(self.x[rows]), self._norm[rows]
        part._rounded = part.x if self._rounded is self.x else np.ascontiguousarray(self._rounded[rows])
        part._seen = {
            width: (
                basis,
                t._replace(x=part.x, rounded=part._rounded, norm=part._norm, leads=some_leads(t.leads, rows)),
            )
            for width, (basis, t) in self._seen.items()
        }
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
        afresh = len(centroids) <= MOST or (self.d <= WIDTH and self._changed > CHANGING)
        basis, table = self._prepared(self.d if afresh else WIDTH)
        if np.abs(centroids - basis.centre).max() * basis.factor > USUAL:
            share_out(
                lambda start, stop: distances.assign_exactly(self.x, centroids, table.cuts, start, stop, labels),
                self.n, BLOCK, self.threads,
            )  # fmt: skip
            return labels
        prepared = prepare(centroids, basis, self._unit)
        if afresh:
            self._assign_afresh(table, prepared, labels)
        else:
            self._assign_by_bounds(table, prepared, before, labels)
            self._before = centroids.copy()
        self._changed = 1.0 if guess is None else np.count_nonzero(labels != guess) / self.n
        return labels

    def _assign_afresh(self, table: Table, centroids: Centroids, labels: np.ndarray) -> None:
        def work(start: int, stop: int) -> None:
            counts = np.zeros(4, np.int64)
            assign_afresh(table, centroids, start, stop, labels, counts, room_for(table, centroids))
            self.counts += counts

        share_out(work, self.n, BLOCK, self.threads)

    def _assign_by_bounds(
        self, table: Table, centroids: Centroids, before: np.ndarray | None, labels: np.ndarray
    ) -> None:
        if self._bounds is None:
            self._bounds = bounds.no_bounds(self.n)
        kept, moved = self._bounds, bounds.NOT_MOVED
        if before is not None and len(before) == len(centroids.exact):
            moved = bounds.moved(before, centroids.exact, self._unit)
        movers, late = chosen(centroids, moved.movers), before is not None or self.d <= WIDTH

        def work(start: int, stop: int) -> None:
            counts, margin = np.zeros(4, np.int64), self._margin.copy()
            room = room_for(table, centroids)
            nearest.assign_rows(table, centroids, movers, moved, kept, margin, start, stop, labels, counts, room, late)
            self.counts += counts
            self._margin = margin

        share_out(work, self.n, BLOCK, self.threads)

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]."""
        out = np.empty(self.n)
        share_out(
            lambda start, stop: distances.squares(self.x, centroids, labels, self._cuts, start, stop, out),
            self.n, _BLOCK, self.threads,
        )  # fmt: skip
        return out

    def lower(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances by that to row `index` where that is less."""
        (basis, t), stack = self._prepared(WIDTH), np.empty(DEPTH)
        lost = 2 * vanished(self.d, basis.factor)
        share_out(
            lambda start, stop: lower.lower(
                t.x, t.leads, basis.factor, lost, index, t.cuts, squares, start, stop, stack.copy()
            ),
            self.n, _BLOCK, self.threads,
        )  # fmt: skip

    def sums(self, labels: np.ndarray, k: int, p: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the sum of ``round(2^p x)``, or ``round(2^p (w x))``, over each label's rows, int64 [k, d].

        Without weights only rows whose label changed since the last such call are read.
        """
        wide = -(-self.d // (_COLUMNS * self.threads)) * _COLUMNS  # a thread reads long pieces of rows
        if weights is not None:
            sums = np.zeros((k, self.d), np.int64)
            share_out(
                lambda first, last: update.weigh(self.x, weights, labels, 2.0**p, sums, first, last),
                self.d, wide, self.threads,
            )  # fmt: skip
            return sums
        sums, before = self._sums, self._labels
        if sums.shape[0] != k or self._power != p:
            sums, before = np.zeros((k, self.d), np.int64), np.full(self.n, -1, np.int32)
        self._sums, self._power = _NO_SUMS, p  # sums that were left half-done by an interruption are no sums
        moved = np.flatnonzero(labels != before)
        share_out(
            lambda first, last: update.move(self.x, moved, before, labels, 2.0**p, sums, first, last),
            self.d, wide, self.threads,
        )  # fmt: skip
        self._sums, self._labels = sums, labels.copy()
        return sums
