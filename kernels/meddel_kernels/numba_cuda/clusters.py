"""A ragged batch on the device: the unit rows of all clusters, one after another, and where each cluster begins.

    order     4 0 7 | 2 | 5 1 6        rows of x, cluster after cluster
    position  0 1 2 | 3 | 4 5 6        what the kernels count in; the cluster's earlier rows are the positions before
    start     0 0 0 | 3 | 4 4 4        of the cluster that a position lies in
    stop      3 3 3 | 4 | 7 7 7

So one launch takes all clusters, and a thread at position j finds its earlier rows from ``start[j]`` to j.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import cuda

from meddel_kernels.numba_cuda.device import needed
from meddel_kernels.numba_cuda.exact import plan
from meddel_kernels.reference.pairs import unit_rows


class Clusters(NamedTuple):
    """What the kernels on clusters read; all of it lies on the device.

    Attributes
    ----------
    unit : float64 [m, d]
        The rows at length 1, in the order of the clusters.
    start, stop : int64 [m]
        For each position, where its cluster starts and stops.
    cuts : int64 [pieces, 3]
        ``exact.plan(d)``.
    """

    unit: object
    start: object
    stop: object
    cuts: object


def on_device(x: np.ndarray, order: np.ndarray, offsets: np.ndarray) -> Clusters:
    """Put the clusters of `x` [n, d] on the device.

    Raises
    ------
    RuntimeError
        There is no device.
    """
    needed()
    sizes = np.diff(offsets)
    start, stop = np.repeat(offsets[:-1], sizes), np.repeat(offsets[1:], sizes)
    return Clusters(*(cuda.to_device(part) for part in (unit_rows(x)[order], start, stop, plan(x.shape[1]))))


def rows_at(order: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the rows that stand at `positions`, -1 where a position is -1."""
    return np.where(positions >= 0, order[positions], -1)


def tell(callback: Callable[[int], None] | None, offsets: np.ndarray) -> None:
    """Call back for each cluster, after the one launch that took them all."""
    if callback is not None:
        for size in np.diff(offsets):
            callback(int(size))
