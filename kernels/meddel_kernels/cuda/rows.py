"""A matrix prepared for K-means on the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from meddel_kernels.cpu.quantize import scale_to_one
from meddel_kernels.cuda import device as gpu
from meddel_kernels.cuda.device import THREADS, Array, grid, is_on_device
from meddel_kernels.cuda.leads import SCORES, Basis, cuts_of, empty_lead, fill, lead_of

SAMPLE = 1024
LEAST = 2.0**-80  # of a slack: beyond what float32 loses below its smallest numbers, up to 65,536 columns
KEPT = 0.5  # of the free memory: a larger matrix stays on the host


class CudaRows:
    """A matrix as `meddel_kernels.clustering.Rows` wants it.

    Where it takes more than half of the free memory it stays on the host, and every operation sends it over in blocks;
    its float16 leads, half of float32, are on the device always.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d], finite
        On the host, or on the device, where it is used in place.
    threads : int
        Not used.
    basis : Basis or None
        Of a matrix that these rows are of; None: their own.
    """

    def __init__(self, x: Array, threads: int = 1, basis: Basis | None = None) -> None:
        self._device = gpu.current()
        on_device = is_on_device(x)
        if not on_device:
            x = np.ascontiguousarray(x)
        self.resident = on_device or x.nbytes <= KEPT * self._device.memory()
        self._x = self._device.upload(x) if self.resident else x
        self.n, self.d = (int(size) for size in self._x.shape)
        self._cuts = cuts_of(self._device, self.d)
        self._step = self.n
        if not self.resident:
            self._step = min(self.n, max(1, int(KEPT * self._device.memory()) // (self._x[:1].nbytes + 300)))
        self._prepare(basis)
        self._named: tuple[np.ndarray | None, Array] = (None, None)
        self._labels: Array | None = None
        self._sums: Array | None = None
        self._summed: tuple[int, np.ndarray | None] = (0, None)

    def _prepare(self, basis: Basis | None) -> None:
        device = self._device
        if basis is None:
            sample = self.take(np.arange(0, self.n, -(-self.n // SAMPLE)))
            basis = Basis(device.upload(sample.mean(axis=0)), 1.0)
        largest = device.full(2, 0, np.float64)
        for start, stop, x in self._blocks():
            device.launch("lead.extent", grid(stop - start), x, basis.centre, stop - start, self.d, largest)
        from_centre, self.largest = (float(value) for value in device.download(largest))
        # Entries are at most `from_centre`, rows at most sqrt(d) times that.
        self._basis = Basis(basis.centre, scale_to_one(from_centre * np.sqrt(self.d)))
        self._lead = empty_lead(device, self.n, self.d)
        for start, _, x in self._blocks():
            fill(device, self._lead, start, x, self._basis)
        # Squared distances below the smallest number vanish; the square root of what d of them may add up to.
        self._vanished = float(np.sqrt(self.d)) * 2.0**-536
        with np.errstate(over="ignore"):
            self._tiny = max(LEAST, float(np.square(np.float64(self._vanished * self._basis.factor))))

    def _blocks(self, most: int | None = None) -> Iterator[tuple[int, int, Array]]:
        """Cut the matrix, `most` rows at a time at most, into rows from, to, and those rows on the device."""
        step = self._step if most is None else min(most, self._step)
        for start in range(0, self.n, step):
            stop = min(start + step, self.n)
            yield start, stop, self._device.upload(self._x[start:stop])

    def _on_device(self, labels: np.ndarray) -> Array:
        """Return labels, int32 [n], on the device; those of the last `assign` are there already."""
        if labels is self._named[0]:
            return self._named[1]
        return self._device.upload(np.ascontiguousarray(labels, np.int32))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        rows = np.asarray(rows, np.int64)
        if not self.resident:
            return self._x[rows].astype(np.float64)
        out = self._device.empty((len(rows), self.d), np.float64)
        self._device.launch(
            "take.take", grid(len(rows)), self._x, self._device.upload(rows), len(rows), self.d, out
        )  # fmt: skip
        return self._device.download(out)

    def subset(self, rows: np.ndarray) -> CudaRows:
        """Return some rows (int64 [m]), prepared, with the same centre."""
        rows = np.asarray(rows, np.int64)
        if not self.resident:
            return CudaRows(self._x[rows], basis=self._basis)
        device = self._device
        x = device.empty((len(rows), self.d), self._x.dtype)
        device.launch("take.subset", grid(len(rows)), self._x, device.upload(rows), len(rows), self.d, x)
        return CudaRows(x, basis=self._basis)

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """Return the nearest of the centroids for each row, int32 [n]; see ``assign.cu``. The guess is not used."""
        out = self._nearest(self._device.upload(np.ascontiguousarray(centroids, np.float64)))
        labels = self._device.download(out)
        self._named = (labels, out)
        return labels

    def _nearest(self, centroids: Array) -> Array:
        device, lead, k = self._device, self._lead, len(centroids)
        columns, pitch = lead_of(device, centroids, self._basis), -(-k // 8) * 8
        most = min(self.n, max(1, SCORES // pitch))
        products, labels = device.empty((most, pitch), np.float32), device.empty(self.n, np.int32)
        for start, stop, x in self._blocks(most):
            n, part = stop - start, lead.part(slice(start, stop))
            device.gemm(part.h, columns.h, products[:n])
            device.launch(
                "assign.assign", grid(n), x, centroids, products[:n], pitch, part.terms, part.square, columns.terms,
                self._basis.factor, self._vanished, self._tiny, self._cuts, len(self._cuts), n, self.d, k,
                labels[start:stop],
            )  # fmt: skip
        return labels

    def advance(
        self, centroids: np.ndarray, previous: np.ndarray | None, p: int, iterations: int
    ) -> tuple[np.ndarray, np.ndarray | None, int]:
        """Move the centroids by Lloyd's iterations on the device, before one that finds an empty cluster or no change.

        `previous` are the labels of the last move, None where there was none. Returns the centroids, the labels that
        they are the means of, and how many moves were made.
        """
        device, k, moves = self._device, len(centroids), 0
        now = device.upload(np.ascontiguousarray(centroids, np.float64))
        before = None if previous is None else self._on_device(previous)
        while moves < iterations:
            after, sizes = self._nearest(now), device.full(k + 1, 0, np.int32)
            device.launch("sums.sizes", grid(self.n, THREADS), before, after, self.n, k, sizes)
            if not device.download(sizes).all():
                break
            sums, now = self._added(after, k, p, None), device.empty((k, self.d), np.float64)
            device.launch("sums.means", grid(k), sums, sizes, 2.0**-p, k, self.d, now)
            before, moves = after, moves + 1
        if not moves:
            return centroids, previous, 0
        labels = device.download(before)
        self._named = (labels, before)
        return device.download(now), labels, moves

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]; see ``squares.cu``."""
        device, own = self._device, self._on_device(labels)
        exact, out = device.upload(np.ascontiguousarray(centroids, np.float64)), device.empty(self.n, np.float64)
        for start, stop, x in self._blocks():
            n, part = stop - start, slice(start, stop)
            device.launch(
                "squares.squares", grid(n), x, exact, own[part], self._cuts, len(self._cuts), n, self.d, out[part]
            )  # fmt: skip
        return device.download(out)

    def min_distance(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances by that to row `index` where that is less; see ``min_distance.cu``."""
        device, rows, own = self._device, self._lead, slice(index, index + 1)
        chosen = device.upload(self._x[own])
        for start, stop, x in self._blocks():
            n, part = stop - start, slice(start, stop)
            values = device.upload(squares[part])
            device.launch(
                "min_distance.min_distance", grid(n), x, chosen, *rows.part(part), *rows.part(own), self._basis.factor,
                self._tiny, self._cuts, len(self._cuts), n, self.d, rows.h.shape[1], values,
            )  # fmt: skip
            squares[part] = device.download(values)

    def sums(self, labels: np.ndarray, k: int, p: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the sum of ``round(2^p (w x))`` over each label's rows, int64 [k, d]; see ``sums.cu``.

        Only rows whose label changed since the last call with the same k, p and weights are read.
        """
        return self._device.download(self._added(self._on_device(labels), k, p, weights)).view(np.int64)

    def _added(self, after: Array, k: int, p: int, weights: np.ndarray | None) -> Array:
        device = self._device
        if self._sums is None or len(self._sums) != k or not self._same(p, weights):
            self._sums, self._labels = device.full((k, self.d), 0, np.uint64), device.full(self.n, -1, np.int32)
            self._summed = (p, None if weights is None else weights.copy())
        heavy = None if weights is None else device.upload(np.ascontiguousarray(weights, np.float64))
        for start, stop, x in self._blocks():
            part = slice(start, stop)
            device.launch(
                "sums.sums", grid(stop - start), x, heavy if heavy is None else heavy[part], self._labels[part],
                after[part], 2.0**p, stop - start, self.d, self._sums,
            )  # fmt: skip
        self._labels = after
        return self._sums

    def _same(self, p: int, weights: np.ndarray | None) -> bool:
        """Return whether the sums were added up with this power and these weights."""
        before = self._summed[1]
        if weights is None or before is None:
            return p == self._summed[0] and weights is before
        return p == self._summed[0] and np.array_equal(weights, before)


def largest(x: Array) -> float:
    """Return the largest absolute value of a matrix on the device; infinity where one is NaN. One pass over it."""
    device, (n, d) = gpu.current(), (int(size) for size in x.shape)
    found = device.full(2, 0, np.float64)
    device.launch("lead.extent", grid(n), device.upload(x), None, n, d, found)
    return float(device.download(found)[1])
