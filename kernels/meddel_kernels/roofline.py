"""Measure the limits of this machine and how near the operations come to them: a roofline, measured in some seconds.

Model (Williams, Waterman and Patterson 2009). A program that does I operations for each byte it moves to or from
memory does at most ``min(peak, I * bandwidth)`` operations a second. Peak is that of the arithmetic it uses.

Useful operations of an assignment are ``2 n k d``: a multiplication and an addition for each row, centroid and column,
whatever is in fact computed. So what avoids work, or does it in int8, may be above the peak of float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from meddel_kernels.backends import back_end
from meddel_kernels.cpu.llvm import ROWS, TILE
from meddel_kernels.cpu.microkernel import multiply
from meddel_kernels.cpu.threads import share_out, thread_count

_READ = 1 << 28  # bytes, more than caches hold
_SIDE = 1024
_PAUSE = 0.03  # seconds, after which threads of BLAS stop spinning
_BLOCK, _COLUMNS, _TIMES = 96, 512, 100
_DIFFERENCES = 1 << 22  # values, in the way that needs memory for all of them
_ROUNDS = 5


class Ceilings(NamedTuple):
    """The rates that the machine reaches with `threads` threads."""

    bandwidth: float  # bytes read from memory a second
    float32: float  # operations a second in the float32 matrix product of NumPy's BLAS
    int8: float  # and in the kernels' product of int8
    threads: int


class Point(NamedTuple):
    """An operation: its name, useful operations for each byte moved, and useful operations a second."""

    name: str
    intensity: float
    rate: float


def measure(x: np.ndarray, centroids: np.ndarray, threads: int | None = None) -> tuple[Ceilings, list[Point]]:
    """Measure the machine, and three ways to find the nearest centroid of each row; some seconds.

    All take turns, so that other load on the machine slows all alike. The bytes are counted. Three lines of NumPy
    write, read, write and read all differences in float64: 32 n k d bytes (timed on some of the rows, for they need 8 n
    k d bytes of memory). The float32 product reads rows and centroids once and passes five times over the n k scores.
    The certified screen reads each row twice, in int8 and as it is, and the centroids.

    `x` is float32 [n, d], `centroids` float32 [k, d]. The points are returned slowest first.
    """
    (n, d), k, threads = x.shape, len(centroids), thread_count(threads)
    wide, some = centroids.astype(np.float64), x[: max(1, _DIFFERENCES // (k * d))].astype(np.float64)
    squared_norms = np.square(centroids).sum(axis=1)
    rows = back_end("cpu").rows(x, threads)
    # A tall matrix: threads that others hold up then wait less for each other.
    tall, square = np.ones((4 * _SIDE, _SIDE // 2), np.float32), np.ones((_SIDE // 2, _SIDE // 2), np.float32)

    def lines() -> np.ndarray:
        return np.square(some[:, None] - wide[None]).sum(axis=2).argmin(axis=1)

    def product() -> np.ndarray:
        with threadpool_limits(threads):
            return (squared_norms - 2 * (x @ centroids.T)).argmin(axis=1)

    def certified() -> np.ndarray:
        return rows.assign(wide, None)

    def float32() -> np.ndarray:
        with threadpool_limits(threads):
            return tall @ square

    works = (_reader(threads), float32, _int8_product(threads), lines, product, certified)
    read, peak, peak8, slow, fast, fastest = _seconds(works)
    useful, cube = 2.0 * n * k * d, 2.0 * _SIDE**3
    return Ceilings(_READ / read, cube / peak, threads * 2.0 * _TIMES * _BLOCK * _COLUMNS * _SIDE / peak8, threads), [
        Point("three lines of NumPy, float64", 1 / 16, useful * len(some) / n / slow),
        Point("matrix product, float32", useful / (4.0 * (n * d + k * d + 5 * n * k)), useful / fast),
        Point("certified screen, float64's answer", useful / (5.0 * (n * d + k * d)), useful / fastest),
    ]


def _reader(threads: int) -> Callable[[], None]:
    """Return what reads `_READ` bytes from memory."""
    values = np.ones(_READ // 4, np.float32)

    def read(start: int, stop: int) -> None:
        np.dot(values[start:stop], values[start:stop])

    return lambda: share_out(read, len(values), 1 << 16, threads)


def _int8_product(threads: int) -> Callable[[], None]:
    """Return what multiplies two int8 matrices on each thread `_TIMES` times, in blocks that stay in its cache."""
    rows = np.zeros((_BLOCK + ROWS, _SIDE), np.int8)
    tiles = np.zeros((_COLUMNS // TILE, _SIDE // 4, TILE, 4), np.uint8)
    out = np.empty((threads, _BLOCK + ROWS, _COLUMNS), np.int32)

    def work(thread: int, _: int) -> None:
        for _ in range(_TIMES):
            multiply(rows, 0, _BLOCK, tiles, 0, len(tiles), out[thread])

    return lambda: share_out(work, threads, 1, threads)


def _seconds(works: Sequence[Callable[[], object]]) -> list[float]:
    """Return the least time that each took in some rounds; the first round, which may compile, does not count."""
    times = np.empty((_ROUNDS + 1, len(works)))
    for took in times:
        for place, work in enumerate(works):
            time.sleep(_PAUSE)
            start = time.perf_counter()
            work()
            took[place] = time.perf_counter() - start
    return times[1:].min(axis=0).tolist()
