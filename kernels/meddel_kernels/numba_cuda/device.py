"""Where the kernels run: on a GPU or in the simulator, and with how many threads in a block.

A kernel is a function that many *threads* run at once, each with a number of its own. Threads stand in *blocks*; those
of one block share a small fast memory and can wait for each other. Blocks know nothing of each other. So the caller of
a kernel says how many blocks of how many threads there shall be: ``kernel[blocks, threads](arguments)``.

    thread    0 1 2 3 | 0 1 2 3 | 0 1 2 3         cuda.threadIdx.x
    block        0    |    1    |    2            cuda.blockIdx.x
    number    0 1 2 3   4 5 6 7   8 9 . .         cuda.grid(1); with 10 rows, threads 10 and 11 have nothing to do
"""

from __future__ import annotations

from numba import cuda
from numba.core import config

SIMULATED = bool(config.ENABLE_CUDASIM)

THREADS = 8 if SIMULATED else 128
"""Threads of a block where each has a row to itself; the simulator's are threads of Python, and dear."""


def needed() -> None:
    """Refuse to go on where the kernels can't run.

    Raises
    ------
    RuntimeError
        There is neither a GPU that Numba can use nor the simulator.
    """
    if not (SIMULATED or cuda.is_available()):
        raise RuntimeError(
            "the back end numba-cuda needs an NVIDIA GPU with its driver and libNVVM, and finds none: choose another "
            "back end, or set NUMBA_ENABLE_CUDASIM=1 before Python starts to simulate one slowly"
        )


def blocks_for(count: int) -> int:
    """Return how many blocks hold `count` threads."""
    return -(-count // THREADS)
