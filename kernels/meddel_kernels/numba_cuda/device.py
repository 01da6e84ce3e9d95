"""Where the kernels run, with how many threads in a block, and how a ragged batch of clusters is put there.

A kernel is a function that many *threads* run at once, each with a number of its own. Threads form *blocks*; those
of one block share a small fast memory and can wait for each other. Blocks know nothing of each other. So the caller of
a kernel says how many blocks of how many threads run: ``kernel[blocks, threads](arguments)``.

    thread    0 1 2 3 | 0 1 2 3 | 0 1 2 3         cuda.threadIdx.x
    block        0    |    1    |    2            cuda.blockIdx.x
    number    0 1 2 3   4 5 6 7   8 9 . .         cuda.grid(1); with 10 rows, threads 10 and 11 have nothing to do

A batch is the unit rows of all clusters, one after another, and where each cluster begins:

    order     4 0 7 | 2 | 5 1 6        rows of x, cluster after cluster
    position  0 1 2 | 3 | 4 5 6        what the kernels count in; the cluster's earlier rows are the positions before
    start     0 0 0 | 3 | 4 4 4        of the cluster which holds a position
    stop      3 3 3 | 4 | 7 7 7

So one launch takes all clusters, and a thread at position j finds its earlier rows from ``start[j]`` to j.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import cuda
from numba.core import config

from meddel_kernels.cpu.exact import plan
from meddel_kernels.unit_rows import scaled

SIMULATED = bool(config.ENABLE_CUDASIM)

THREADS = 8 if SIMULATED else 128
"""Threads of a block where each has a row to itself; the simulator's are threads of Python, and dear."""


def needed() -> None:
    """Refuse to go on where there is neither a GPU which Numba can use nor the simulator."""
    if not (SIMULATED or cuda.is_available()):
        raise RuntimeError(
            "the back end numba-cuda needs an NVIDIA GPU with its driver and libNVVM, and finds none: choose another "
            "back end, or set NUMBA_ENABLE_CUDASIM=1 before Python starts to simulate one slowly"
        )


def blocks_for(count: int) -> int:
    """Return how many blocks hold `count` threads."""
    return -(-count // THREADS)


class Clusters(NamedTuple):
    """The input of the kernels on clusters, on the device."""

    unit: object  # float64 [m, d]: the rows at length 1, in the order of the clusters
    start: object  # int64 [m]: for each position, where its cluster starts,
    stop: object  # int64 [m]: and where it stops
    cuts: object  # int64 [pieces, 3]: `exact.plan(d)`


def on_device(x: np.ndarray, order: np.ndarray, offsets: np.ndarray) -> Clusters:
    """Put the clusters of `x` [n, d] on the device."""
    needed()
    sizes = np.diff(offsets)
    start, stop = np.repeat(offsets[:-1], sizes), np.repeat(offsets[1:], sizes)
    return Clusters(*(cuda.to_device(part) for part in (scaled(x)[order], start, stop, plan(x.shape[1]))))


def rows_at(order: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the rows at `positions`, -1 where a position is -1."""
    return np.where(positions >= 0, order[positions], -1)


def report(callback: Callable[[int], None] | None, offsets: np.ndarray) -> None:
    """Call back for each cluster, after the one launch that took them all."""
    if callback is not None:
        for size in np.diff(offsets):
            callback(int(size))
