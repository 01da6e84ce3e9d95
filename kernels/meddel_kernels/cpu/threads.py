"""Work on ranges of rows, shared out among threads. The functions release the GIL; none calls BLAS."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba


def thread_count(threads: int | None) -> int:
    """Return the asked number of threads, or that of Numba (``NUMBA_NUM_THREADS``).

    Raises
    ------
    ValueError
        It is below 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads {threads} must be at least 1")
    return numba.config.NUMBA_NUM_THREADS if threads is None else threads


def share_out(
    work: Callable[[int, int], None],
    n: int,
    block: int,
    threads: int,
    done: Callable[[int, int], None] | None = None,
) -> None:
    """Call ``work(start, stop)`` on ranges that cover `n` rows, each a multiple of `block` but the last.

    There are more ranges than threads, so that a slow one holds nobody up. `done` is called with each finished range,
    in their order and in this thread. An error in a range is raised here.
    """
    step = n if threads == 1 and done is None else max(block, -(-n // (8 * threads) // block) * block)
    ranges = [(start, min(start + step, n)) for start in range(0, n, max(1, step))]
    if threads == 1 or len(ranges) == 1:
        for part in ranges:
            work(*part)
            if done is not None:
                done(*part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for part, _ in zip(ranges, pool.map(lambda part: work(*part), ranges), strict=True):
            if done is not None:
                done(*part)
