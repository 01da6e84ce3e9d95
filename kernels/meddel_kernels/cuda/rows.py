"""A matrix prepared for K-means on the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from meddel_kernels.cpu.lead import scale_to_one
from meddel_kernels.cuda import device as gpu
from meddel_kernels.cuda.device import Array, grid, is_on_device
from meddel_kernels.cuda.leads import Basis, cuts_of, empty_lead, fill, lead_of, slack_of
from meddel_kernels.cuda.screen import nothing_passed, rectangle

SAMPLE = 4096
BLOCK = 1 << 20  # rows whose lists are in memory at a time: 280 bytes each
LEAST = 2.0**-80  # of a slack: beyond what float32 loses below its smallest numbers, up to 65,536 columns
KEPT = 0.5  # of the free memory: a larger matrix stays on the host


class CudaRows:
    """A matrix as `meddel_kernels.clustering.Rows` wants it.

    Where it takes more than half of the free memory it stays on the host, and every operation sends it over in blocks;
    its int8 leads, a quarter of float32, are on the device always.

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
        self._step = BLOCK
        if not self.resident:
            self._step = min(BLOCK, max(1, int(KEPT * self._device.memory()) // (self._x[:1].nbytes + 300)))
        self._prepare(basis)
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

    def _blocks(self) -> Iterator[tuple[int, int, Array]]:
        """Cut the matrix into rows from, to, and those rows on the device."""
        for start in range(0, self.n, self._step):
            stop = min(start + self._step, self.n)
            yield start, stop, self._device.upload(self._x[start:stop])

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
        device, rows, factor = self._device, self._lead, self._basis.factor
        exact = device.upload(np.ascontiguousarray(centroids, np.float64))
        k, columns = len(centroids), lead_of(device, exact, self._basis)
        slack = slack_of(device, rows, columns.most, rows.square, self._tiny)
        labels, l = np.empty(self.n, np.int32), rows.q.shape[1]  # noqa: E741
        for start, stop, x in self._blocks():
            n, part = stop - start, slice(start, stop)
            work, passed = rectangle(n, k), nothing_passed(device, n)
            device.launch(
                "assign.screen", len(work), rows.q[part], rows.scale[part], slack[part], columns.q, columns.scale,
                columns.offset, device.upload(work), l, *passed,
            )  # fmt: skip
            out = device.empty(n, np.int32)
            device.launch(
                "assign.decide", grid(n), x, exact, rows.q[part], rows.scale[part], slack[part], rows.square[part],
                columns.q, columns.scale, columns.offset, *passed, factor, self._vanished, self._cuts,
                len(self._cuts), n, self.d, l, k, out,
            )  # fmt: skip
            labels[part] = device.download(out)
        return labels

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]; see ``squares.cu``."""
        device, out = self._device, np.empty(self.n)
        exact = device.upload(np.ascontiguousarray(centroids, np.float64))
        for start, stop, x in self._blocks():
            n, values = stop - start, device.empty(stop - start, np.float64)
            own = device.upload(np.ascontiguousarray(labels[start:stop], np.int32))
            device.launch(
                "squares.squares", grid(n), x, exact, own, self._cuts, len(self._cuts), n, self.d, values
            )  # fmt: skip
            out[start:stop] = device.download(values)
        return out

    def lower(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances by that to row `index` where that is less; see ``lower.cu``."""
        device, rows, own = self._device, self._lead, slice(index, index + 1)
        chosen = device.upload(self._x[own])
        for start, stop, x in self._blocks():
            n, part = stop - start, slice(start, stop)
            values = device.upload(squares[part])
            device.launch(
                "lower.lower", grid(n), x, chosen, rows.q[part], rows.scale[part], rows.length[part], rows.error[part],
                rows.square[part], rows.q[own], rows.scale[own], rows.length[own], rows.error[own], rows.square[own],
                self._basis.factor, self._tiny, self._cuts, len(self._cuts), n, self.d, rows.q.shape[1], values,
            )  # fmt: skip
            squares[part] = device.download(values)

    def sums(self, labels: np.ndarray, k: int, p: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the sum of ``round(2^p (w x))`` over each label's rows, int64 [k, d]; see ``sums.cu``.

        Only rows whose label changed since the last call with the same k, p and weights are read.
        """
        device = self._device
        if self._sums is None or len(self._sums) != k or not self._same(p, weights):
            self._sums, self._labels = device.full((k, self.d), 0, np.uint64), device.full(self.n, -1, np.int32)
            self._summed = (p, None if weights is None else weights.copy())
        after = device.upload(np.ascontiguousarray(labels, np.int32))
        heavy = None if weights is None else device.upload(np.ascontiguousarray(weights, np.float64))
        for start, stop, x in self._blocks():
            part = slice(start, stop)
            device.launch(
                "sums.sums", grid(stop - start), x, heavy if heavy is None else heavy[part], self._labels[part],
                after[part], 2.0**p, stop - start, self.d, self._sums,
            )  # fmt: skip
        self._labels = after
        return device.download(self._sums).view(np.int64)

    def _same(self, p: int, weights: np.ndarray | None) -> bool:
        """Return whether the sums were added up with this power and these weights."""
        before = self._summed[1]
        if weights is None or before is None:
            return p == self._summed[0] and weights is before
        return p == self._summed[0] and np.array_equal(weights, before)
