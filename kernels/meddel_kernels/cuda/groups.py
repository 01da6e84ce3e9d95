"""Clusters on the device: as many as fit at a time, their unit rows in float64 and in int8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from meddel_kernels.cuda import device as gpu
from meddel_kernels.cuda.device import Array, Device, grid, is_on_device
from meddel_kernels.cuda.leads import Basis, cuts_of, lead_of, slack_of

FACTOR = 0.5  # a centred unit row is at most 2 long
SAMPLE = 2048
KEPT = 0.5  # of the free memory
LISTS = 400  # bytes a row for its numbers, and for what passes a screen
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
    slack : float32 [m]
    start, stop : int32 [m]
        Where each row's cluster starts and stops.
    """

    def __init__(self, device: Device, x: Array, rows: np.ndarray, offsets: np.ndarray) -> None:
        self.device, self.rows, self.offsets = device, rows, offsets
        self.m, self.d = (int(size) for size in x.shape)
        self.cuts = cuts_of(device, self.d)
        self.unit = device.empty((self.m, self.d), np.float64)
        self._hashes = device.empty(self.m, np.uint64)
        device.launch("unit.unit", grid(self.m), x, *self.plan, self.m, self.d, self.unit, self._hashes)
        sample = device.download(device.upload(self.unit[:: -(-self.m // SAMPLE)]))
        basis = Basis(device.upload(sample.mean(axis=0)), FACTOR)
        self.lead = lead_of(device, self.unit, basis, cosine=True)
        self.slack = slack_of(device, self.lead, self.lead.most, None, LEAST)
        sizes = np.diff(offsets)
        self.start, self.stop = (
            device.upload(np.repeat(ends, sizes).astype(np.int32)) for ends in (offsets[:-1], offsets[1:])
        )

    @property
    def plan(self) -> tuple[Array, int]:
        """What the exact sums need: the cuts and their number."""
        return self.cuts, len(self.cuts)

    @cached_property
    def first_offset(self) -> Array:
        """The leads' offsets, -infinity for rows that equal an earlier one of their cluster: float32 [m]."""
        hashes = self.device.download(self._hashes)
        cluster = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        by_hash = np.lexsort((hashes, cluster))
        new = np.ones(self.m, bool)
        new[1:] = (np.diff(hashes[by_hash]) != 0) | (np.diff(cluster[by_hash]) != 0)
        earliest = np.empty(self.m, np.int32)
        earliest[by_hash] = by_hash[new][np.cumsum(new) - 1]
        offset = self.lead.offset.copy()
        self.device.launch("equal.equal", grid(self.m), self.unit, self.device.upload(earliest), self.m, self.d, offset)
        return offset

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
    row = x[:1].nbytes + 9 * x.shape[1] + LISTS + more
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
