"""Work on ranges of rows, shared out among threads that release the GIL; BLAS has one thread meanwhile."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import numba
from threadpoolctl import ThreadpoolController, threadpool_limits


def thread_count(threads: int | None) -> int:
    """Return the asked number of threads, at least 1, or that of Numba (``NUMBA_NUM_THREADS``)."""
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

    There are more ranges than threads, so that a slow one delays no other. `done` is called with each finished range,
    in their order and in this thread. An error in a range is raised here.
    """
    step = n if threads == 1 and done is None else max(block, -(-n // (8 * threads) // block) * block)
    ranges = [(start, min(start + step, n)) for start in range(0, n, max(1, step))]
    alone = threads == 1 or len(ranges) == 1
    with one_blas_thread():
        calls = [] if alone else [_pool(threads).submit(work, *part) for part in ranges]
        try:
            for number, part in enumerate(ranges):
                work(*part) if alone else calls[number].result()
                if done is not None:
                    done(*part)
        finally:  # after an error or an interrupt, no thread goes on with the caller's arrays
            for call in calls:
                call.cancel()
            wait(calls)


def one_blas_thread() -> threadpool_limits:
    """Return a context in which BLAS has one thread.

    Its threads go on spinning for some milliseconds after each product, on the cores that ours are to work on.
    """
    return _controller().limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> ThreadpoolController:
    """Return what limits BLAS; finding its libraries takes a millisecond."""
    return ThreadpoolController()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return threads that stay, as starting them takes longer than a step of k-means++."""
    return ThreadPoolExecutor(threads, thread_name_prefix="meddel_kernels")


if hasattr(os, "register_at_fork"):  # a child process has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
