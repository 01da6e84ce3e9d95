"""Clusters on the device: as many as fit at a time, their unit rows in float64 and in float16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from meddel_kernels.cuda import device as gpu
from meddel_kernels.cuda.device import Array, Device, grid, is_on_device
from meddel_kernels.cuda.leads import STEP, Basis, cuts_of, lead_of

FACTOR = 0.5  # a centred unit row is at most 2 long
SAMPLE = 1024
KEPT = 0.5  # of the free memory
NUMBERS = 100  # bytes a row beside its unit row and its lead
LEAST = 2.0**-80

Told = Callable[[int], None] | None


class Group:
    """Some clusters of a ragged batch, their rows one after another.

    Parameters
    ----------
    device : Device
    x : array on the device [m, d]
        The rows of the clusters.
    rows : int64 [m]
        Which rows of the matrix they are.
    offsets : int64 [c + 1]
        Cluster i is rows ``offsets[i]`` to ``offsets[i + 1]`` of these.

    Attributes
    ----------
    unit : float64 [m, d]
        The unit rows, exact.
    lead : Lead
        Of the unit rows, centred, with the factor `FACTOR`.
    start, stop : int32 [m]
        Where each row's cluster starts and stops.
    """

    def __init__(self, device: Device, x: Array, rows: np.ndarray, offsets: np.ndarray) -> None:
        self.device, self.rows, self.offsets = device, rows, offsets
        self.m, self.d = (int(size) for size in x.shape)
        self.cuts = cuts_of(device, self.d)
        self.unit = device.empty((self.m, self.d), np.float64)
        self._hashes, self._room = device.empty(self.m, np.uint64), None
        device.launch("unit.unit", grid(self.m), x, *self.plan, self.m, self.d, self.unit, self._hashes)
        sample = device.download(device.upload(self.unit[:: -(-self.m // SAMPLE)]))
        basis = Basis(device.upload(sample.mean(axis=0)), FACTOR)
        self.lead = lead_of(device, self.unit, basis, cosine=True)
        sizes = np.diff(offsets)
        self.start, self.stop = (
            device.upload(np.repeat(ends, sizes).astype(np.int32)) for ends in (offsets[:-1], offsets[1:])
        )

    @property
    def plan(self) -> tuple[Array, int]:
        """Return the input of the exact sums: the cuts and their number."""
        return self.cuts, len(self.cuts)

    @cached_property
    def twin(self) -> Array:
        """Which rows equal an earlier one of their cluster: int8 [m]."""
        device, hashes = self.device, self.device.download(self._hashes)
        twin = device.full(self.m, 0, np.int8)
        ordered = np.sort(hashes)
        suspects = np.flatnonzero(np.isin(hashes, ordered[1:][ordered[1:] == ordered[:-1]]))
        if len(suspects):
            cluster = np.searchsorted(self.offsets, suspects, side="right")
            by_hash = np.lexsort((hashes[suspects], cluster))
            new = np.ones(len(suspects), bool)
            new[1:] = (np.diff(hashes[suspects][by_hash]) != 0) | (np.diff(cluster[by_hash]) != 0)
            rows = suspects[by_hash].astype(np.int32)
            earliest = rows[new][np.cumsum(new) - 1]
            rows, earliest = (device.upload(part[~new]) for part in (rows, earliest))
            device.launch("equal.equal", grid(len(rows)), self.unit, rows, earliest, len(rows), self.d, twin)
        return twin

    def products(self, rows: slice, columns: slice) -> tuple[Array, int]:
        """Return the products of some rows with others, float32 [rows, pitch], and the pitch; see ``scores.cuh``.

        They are overwritten by the next call.
        """
        n, k = rows.stop - rows.start, columns.stop - columns.start
        pitch = -(-k // 8) * 8
        if self._room is None or len(self._room) < n * pitch:
            self._room = self.device.empty(n * pitch, np.float32)
        out = self._room[: n * pitch].reshape(n, pitch)
        self.device.gemm(self.lead.h[rows], self.lead.h[columns], out)
        return out, pitch

    def named(self, positions: np.ndarray) -> np.ndarray:
        """Return the matrix's rows for positions among these; -1 stays."""
        return np.where(positions >= 0, self.rows[positions], -1)


def groups(x: Array, order: np.ndarray, offsets: np.ndarray, callback: Told, more: int = 0) -> Iterator[Group]:
    """Cut the clusters of a matrix into groups that fit the memory; a cluster that does not is a group of its own.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]
        On the host or on the device.
    order, offsets
        As for ``row_max_cosine``.
    callback : callable or None
        Called after each cluster of a group, when the group is done, with its number of rows.
    more : int
        Bytes that each row needs beside what every operation needs.
    """
    device = gpu.current()
    on_device = is_on_device(x)
    if on_device:
        x = device.upload(x)
    row = x[:1].nbytes + 10 * (x.shape[1] + STEP) + NUMBERS + more
    most = max(1, int(KEPT * device.memory()) // row)
    first = 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
        last = min(max(last, first + 1), len(offsets) - 1)
        rows = np.ascontiguousarray(order[offsets[first] : offsets[last]], np.int64)
        if len(rows):
            yield Group(device, _taken(device, x, rows, on_device), rows, offsets[first : last + 1] - offsets[first])
        for size in np.diff(offsets[first : last + 1]).tolist() if callback is not None else ():
            callback(size)
        first = last


def _taken(device: Device, x: Array, rows: np.ndarray, on_device: bool) -> Array:
    if not on_device:
        return device.upload(x[rows])
    out = device.empty((len(rows), int(x.shape[1])), x.dtype)
    device.launch("take.subset", grid(len(rows)), x, device.upload(rows), len(rows), int(x.shape[1]), out)
    return out
