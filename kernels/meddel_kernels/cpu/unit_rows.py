"""The unit rows of a matrix: in float64 as the reference has them, in float32 for a first look; neither is stored.

Formula. ``u_i = (x_i / max_j |x_ij|) / |x_i / max_j |x_ij||``, a row of zeros stays one. The cosine of two rows is
the exact product of their unit rows, clipped to [-1, 1]; in float32 it errs by at most ``(d + 16) 2^-24``.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from meddel_kernels.cpu.exact import DEPTH, plan, product
from meddel_kernels.cpu.lead import USUAL, row_blocks
from meddel_kernels.cpu.threads import share_out

_BLOCK = 1024


class Unit(NamedTuple):
    """The unit rows of a matrix, in float64 as numbers to divide by, in float32 as numbers to multiply with.

    Attributes
    ----------
    x : float32 or float64 [n, d]
    peak, norm : float64 [n]
        The unit row is ``(x / peak) / norm``; both are 1 for a row of zeros.
    rounded : float32 [n, d]
    inverse : float32 [n]
        The float32 unit row is ``rounded * inverse``.
    cuts : int64 [m, 3]
        ``exact.plan(d)``.
    """

    x: np.ndarray
    peak: np.ndarray
    norm: np.ndarray
    rounded: np.ndarray
    inverse: np.ndarray
    cuts: np.ndarray


def unit_of(x: np.ndarray, threads: int) -> Unit:
    """Return the unit rows of a finite matrix, float16, float32 or float64 [n, d]."""
    x = np.ascontiguousarray(x, np.float32 if x.dtype == np.float16 else None)
    cuts, peak, norm = plan(x.shape[1]), np.empty(len(x)), np.empty(len(x))
    share_out(lambda start, stop: _measure(x, cuts, peak, norm, start, stop), len(x), _BLOCK, threads)
    length = peak * norm
    if x.dtype == np.float32 and length.max() < USUAL and length.min() > 1 / USUAL:
        return Unit(x, peak, norm, x, (1 / length).astype(np.float32), cuts)
    rounded = np.empty(x.shape, np.float32)
    for rows in row_blocks(*x.shape):
        rounded[rows] = x[rows] / peak[rows, None] / norm[rows, None]
    return Unit(x, peak, norm, rounded, np.ones(len(x), np.float32), cuts)


def read_units(u: Unit, rows: slice) -> np.ndarray:
    """Return some unit rows, float64 [m, d]."""
    return u.x[rows].astype(np.float64) / u.peak[rows, None] / u.norm[rows, None]


@numba.njit(cache=True, nogil=True)
def _measure(x: np.ndarray, cuts: np.ndarray, peak: np.ndarray, norm: np.ndarray, start: int, stop: int) -> None:
    """Fill `peak` and `norm` of rows `start` to `stop`, as ``unit_rows`` computes them."""
    row, stack = np.empty((1, x.shape[1])), np.empty(DEPTH)
    for i in range(start, stop):
        most = 0.0
        for j in range(x.shape[1]):
            most = max(most, abs(np.float64(x[i, j])))
        peak[i] = most if most > 0 else 1.0
        for j in range(x.shape[1]):
            row[0, j] = np.float64(x[i, j]) / peak[i]
        length = np.sqrt(product(row, 0, row, 0, cuts, stack))
        norm[i] = length if length > 0 else 1.0


@numba.njit(cache=True, nogil=True, fastmath=True)
def cosine32(u: Unit, i: int, j: int) -> float:
    """Return the float32 cosine of two rows, added up in whatever order is fastest."""
    total = np.float32(0)
    for column in range(u.rounded.shape[1]):
        total += u.rounded[i, column] * u.rounded[j, column]
    return total * u.inverse[i] * u.inverse[j]


@numba.njit(cache=True, nogil=True)
def cosine64(u: Unit, i: int, j: int, pair: np.ndarray, stack: np.ndarray) -> float:
    """Return the exact cosine of two rows; `pair` is room for them, float64 [2, d], `stack` for ``exact``'s sums."""
    for column in range(pair.shape[1]):
        pair[0, column] = (np.float64(u.x[i, column]) / u.peak[i]) / u.norm[i]
        pair[1, column] = (np.float64(u.x[j, column]) / u.peak[j]) / u.norm[j]
    return min(1.0, max(-1.0, product(pair, 0, pair, 1, u.cuts, stack)))
