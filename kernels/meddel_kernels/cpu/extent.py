"""How large the values of a matrix are: its largest value, its largest distance from a centre, its rows' lengths.

Of floating-point numbers without their sign, the larger has the larger bits. So a maximum is one of whole numbers,
which LLVM turns into vector instructions (that of floating-point numbers it leaves scalar, at a quarter of the speed).

Bytes moved: 4 or 8 d a row, read once.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.threads import share_out

_BLOCK = 1024


@intrinsic
def _bits(typing, value):
    """Return the bits of a float64 without its sign, as a whole number."""

    def generate(context, builder, signature, arguments):
        whole = builder.bitcast(arguments[0], ir.IntType(64))
        return builder.and_(whole, ir.Constant(ir.IntType(64), 2**63 - 1))

    return types.int64(types.float64), generate


@lean(fastmath=True)
def _extent(x: np.ndarray, centre: np.ndarray, start: int, stop: int, lengths: np.ndarray, most: np.ndarray) -> None:
    largest, apart = np.int64(0), np.int64(0)
    for i in range(start, stop):
        total = 0.0
        for column in range(x.shape[1]):
            value = np.float64(x[i, column])
            total += value * value
            largest = max(largest, _bits(value))
            apart = max(apart, _bits(value - centre[column]))
        lengths[i] = np.sqrt(total)
    most[0], most[1] = max(most[0], largest), max(most[1], apart)


def extent(x: np.ndarray, centre: np.ndarray, lengths: np.ndarray, threads: int) -> tuple[float, float]:
    """Return the largest absolute value of x and of x - centre; fill `lengths` (float64 [n]) with the rows' lengths.

    Parameters
    ----------
    x : float32 or float64 [n, d]
        Finite, values up to 1e150.
    centre : float64 [d]
    """
    parts: list[np.ndarray] = []

    def work(start: int, stop: int) -> None:
        most = np.zeros(2, np.int64)
        _extent(x, centre, start, stop, lengths, most)
        parts.append(most)

    share_out(work, len(x), _BLOCK, threads)
    largest, apart = np.max(parts, axis=0).view(np.float64)
    return float(largest), float(apart)
