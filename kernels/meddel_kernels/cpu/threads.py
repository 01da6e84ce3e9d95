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


def share_out(work: Callable[[int, int], None], n: int, block: int, threads: int) -> None:
    """Call ``work(start, stop)`` on ranges that cover `n` rows, each a multiple of `block` but the last.

    There are more ranges than threads, so that a slow one holds nobody up. An error in one is raised here.
    """
    if threads == 1 or n <= block:
        work(0, n)
        return
    step = max(block, -(-n // (8 * threads) // block) * block)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda start: work(start, min(start + step, n)), range(0, n, step)))
