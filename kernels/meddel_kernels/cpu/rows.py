"""A matrix prepared for K-means on the processor: its codes in int8, and the float32 rows of the second tier."""

from __future__ import annotations

import numpy as np

from meddel_kernels.cpu import assign, bounds, distances, sums
from meddel_kernels.cpu.exact import DEPTH, plan
from meddel_kernels.cpu.quantize import (
    SAMPLE,
    SLICE,
    USUAL,
    Basis,
    basis_of,
    extent,
    quantize,
    quantize_fast,
    scale_to_one,
    vanished,
)
from meddel_kernels.cpu.refine import BLOCK, Table, new_workspace, prepare, some_centroids
from meddel_kernels.cpu.threads import share_out
from meddel_kernels.pairs import blocks

WIDTH = 96
NEAR = 64  # where the centre is farther from zero than this times the spread, float32 would lose too much
_COLUMNS = 64
_BLOCK = 1024
_NO_SUMS = np.zeros((0, 0), np.int64)


class CpuRows:
    """A matrix as `meddel_kernels.backends.Rows` defines it.

    Beside `x` it holds codes of up to `WIDTH` columns, and float32 rows where `x` is something else.

    float32 and float64 with contiguous rows are read in place, memory maps too. `counts` (int64 [4]) is what the tiers
    have done so far; see ``assign.assign_by_bounds``.
    """

    def __init__(self, x: np.ndarray, threads: int) -> None:
        self.x = np.ascontiguousarray(x, np.float32 if x.dtype == np.float16 else None)
        self.threads, (self.n, self.d) = threads, self.x.shape
        self._cuts = plan(self.d)
        self._centre, lengths = self._sample().mean(axis=0), np.empty(self.n)
        self.largest, self._apart = extent(self.x, self._centre, lengths, threads)
        longest = self.largest * np.sqrt(self.d)
        self._unit = 1.0 if 1 / USUAL < longest < USUAL else scale_to_one(longest)
        self._rounded = self.x
        if self._unit != 1 or self.x.dtype != np.float32:
            self._rounded = np.empty(self.x.shape, np.float32)
            for part in blocks(self.n, self.d, SLICE):
                self._rounded[part] = self.x[part] * self._unit
        self._norm = (lengths * (self._unit * (1 + 2.0**-20))).astype(np.float32)
        self._seen: dict[int, tuple[Basis, Table]] = {}
        self.counts = np.zeros(4, np.int64)
        self._bounds, self._before, self._margin, self._changed = None, None, np.zeros(1, np.float32), 1.0
        self._labels, self._sums, self._power = np.full(self.n, -1, np.int32), _NO_SUMS, 0

    def _sample(self) -> np.ndarray:
        return self.x[:: -(-len(self.x) // SAMPLE)].astype(np.float64)

    def _prepared(self, width: int) -> tuple[Basis, Table]:
        """Return a basis of up to `width` directions, and the matrix in it; made when asked for."""
        width = min(width, self.d)
        if width not in self._seen:
            basis = basis_of(self._sample(), self._centre, self._apart, width)
            near = np.abs(self._centre).max() < NEAR * self._apart
            codes = quantize_fast(self.x, basis, self.threads) if near else quantize(self.x, basis)
            self._seen[width] = basis, Table(
                self.x, self._rounded, self._norm, codes, basis.factor / self._unit, self._cuts,
                np.float32(np.sqrt(self.d) * 2.0**-60 + 2 * np.sqrt(vanished(self.d, self._unit))),
                np.float32((self.d / 2 + 8) * 2.0**-24), np.float32(vanished(self.d, basis.factor)),
            )  # fmt: skip
        return self._seen[width]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        return self.x[rows].astype(np.float64)

    def subset(self, rows: np.ndarray) -> CpuRows:
        """Return some rows, prepared."""
        return CpuRows(self.x[rows], self.threads)

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """Return the nearest of the centroids for each row, int32 [n]; see ``assign``.

        What it finds out on the way helps the next call, if its centroids are as many.
        """
        labels = np.full(self.n, -1, np.int32) if guess is None else guess.copy()
        before, self._before = self._before, None  # bounds that were left half-done by an interruption are no bounds
        brute_force = len(centroids) <= assign.MOST or (self.d <= WIDTH and self._changed > assign.CHANGING)
        basis, table = self._prepared(self.d if brute_force else WIDTH)
        if np.abs(centroids - basis.centre).max() * basis.factor > USUAL:
            share_out(
                lambda start, stop: assign.assign_exactly(self.x, centroids, self._cuts, start, stop, labels),
                self.n, BLOCK, self.threads,
            )  # fmt: skip
            return labels
        prepared, kept, moved = prepare(centroids, basis, self._unit), self._bounds, bounds.NOT_MOVED
        if not brute_force and kept is None:
            kept = self._bounds = bounds.no_bounds(self.n)
        if before is not None and len(before) == len(centroids):
            moved = bounds.moved(before, centroids, self._unit)
        movers, late = some_centroids(prepared, moved.movers), before is not None or self.d <= WIDTH

        def work(start: int, stop: int) -> None:
            counts, margin, space = np.zeros(4, np.int64), self._margin.copy(), new_workspace(table, prepared)
            if brute_force:
                assign.assign_brute_force(table, prepared, start, stop, labels, counts, space)
            else:
                assign.assign_by_bounds(
                    table, prepared, movers, moved, kept, margin, start, stop, labels, counts, space, late
                )  # fmt: skip
            self.counts += counts
            self._margin = margin

        share_out(work, self.n, BLOCK, self.threads)
        self._before = None if brute_force else centroids.copy()
        self._changed = 1.0 if guess is None else np.count_nonzero(labels != guess) / self.n
        return labels

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]."""
        out = np.empty(self.n)
        share_out(
            lambda start, stop: distances.squares(self.x, centroids, labels, self._cuts, start, stop, out),
            self.n, _BLOCK, self.threads,
        )  # fmt: skip
        return out

    def min_distance(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances by that to row `index` where that is less."""
        basis, table = self._prepared(WIDTH)
        lost = 2 * vanished(self.d, basis.factor)
        share_out(
            lambda start, stop: distances.min_distance(
                table, basis.factor, lost, index, squares, start, stop, np.empty(DEPTH)
            ),
            self.n, _BLOCK, self.threads,
        )  # fmt: skip

    def sums(self, labels: np.ndarray, k: int, p: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the sum of ``round(2^p x)``, or ``round(2^p (w x))``, over each label's rows, int64 [k, d].

        Without weights only rows whose label changed since the last such call are read.
        """
        wide = -(-self.d // (_COLUMNS * self.threads)) * _COLUMNS  # a thread reads long pieces of rows
        if weights is not None:
            result = np.zeros((k, self.d), np.int64)
            share_out(
                lambda first, last: sums.weigh(self.x, weights, labels, 2.0**p, result, first, last),
                self.d, wide, self.threads,
            )  # fmt: skip
            return result
        result, before = self._sums, self._labels
        if result.shape[0] != k or self._power != p:
            result, before = np.zeros((k, self.d), np.int64), np.full(self.n, -1, np.int32)
        self._sums, self._power = _NO_SUMS, p  # sums that were left half-done by an interruption are no sums
        moved = np.flatnonzero(labels != before)
        share_out(
            lambda first, last: sums.move(self.x, moved, before, labels, 2.0**p, result, first, last),
            self.d, wide, self.threads,
        )  # fmt: skip
        self._sums, self._labels = result, labels.copy()
        return result
