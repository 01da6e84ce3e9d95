"""What the screens see of a matrix: its leading directions in int8, and how wrong that can be.

A row x is centred, ``x' = f (x - m)``, and written as ``x' = V a + x''``: `a` along l orthonormal directions (the
leading principal ones, where V has fewer columns than rows), `x''` across them. `a` is rounded to ``s q`` with whole
numbers q from -127 to 127. Kept are, per row, q, s, and upper bounds of ``|s q|``, ``e >= |a - s q|`` and ``r >=
|x''|``.

Bound. For two rows x and c, by Cauchy and Schwarz,

    |<x', c'> - s_x s_c <q_x, q_c>|  <=  e_x |s_c q_c| + (|s_x q_x| + e_x) e_c + r_x r_c.

`f` is a power of two that brings every centred row to a length of at most 1, so that float32 neither overflows nor
loses anything to the scale of the data. Everything here is computed in float64 and rounded upwards to float32; what
float32 arithmetic adds later, and what V lacks of being orthonormal (some 1e-14), is far below `ROUNDING` times the
lengths that are multiplied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np

from meddel_kernels.cpu.microkernel import ROWS
from meddel_kernels.cpu.principal import principal_directions
from meddel_kernels.cpu.threads import one_blas_thread

ROUNDING = np.float32(2.0**-20)
UPWARDS = 1 + 2.0**-22
SAMPLE = 4096
USUAL = 2.0**20  # rows that are longer than this, or shorter than its inverse, are scaled for float32
_BLOCK = 1 << 21


class Basis(NamedTuple):
    """Centre m (float64 [d]), directions V (float64 [d, l], None for all of them), and the factor f."""

    centre: np.ndarray
    directions: np.ndarray | None
    factor: float


class Lead(NamedTuple):
    """The lead of n rows.

    Attributes
    ----------
    q : int8 [n + 6, l]
        l is a multiple of 4; the six rows more are zeros, for the microkernel's last tile.
    total : int32 [n]
        Sums of the rows of q.
    scale, length, error, residual : float32 [n]
        s, and upper bounds of |s q|, e and r.
    square : float64 [n]
        ``|x'|^2``.
    """

    q: np.ndarray
    total: np.ndarray
    scale: np.ndarray
    length: np.ndarray
    error: np.ndarray
    residual: np.ndarray
    square: np.ndarray


Read = Callable[[slice], np.ndarray]
"""From a slice of the rows to those rows, float64 [m, d], which may be written to."""


def basis(read: Read, n: int, d: int, width: int) -> Basis:
    """Return the basis of n rows of width `d`, of up to `width` directions; all of them where `d` is not larger."""
    sample = read(slice(None, None, -(-n // SAMPLE)))
    centre = sample.mean(axis=0)
    longest = max(float(np.abs(read(rows) - centre).max()) for rows in row_blocks(n, d))
    return basis_of(sample, centre, longest, width)


def basis_of(sample: np.ndarray, centre: np.ndarray, longest: float, width: int) -> Basis:
    """Return the basis for rows like a sample's (float64 [m, d], written to) and of entries up to `longest` about m."""
    d = len(centre)
    # Rows are at most sqrt(d) times their largest entry.
    factor = scale_to_one(longest * np.sqrt(d))
    if d <= width:
        return Basis(centre, None, factor)
    sample -= centre
    sample *= factor
    return Basis(centre, principal_directions(sample, width), factor)


def empty_lead(n: int, width: int) -> Lead:
    """Return the lead of n rows with nothing in it but zero residuals."""
    return Lead(
        q=np.zeros((n + ROWS, -(-width // 4) * 4), np.int8),
        total=np.empty(n, np.int32),
        scale=np.empty(n, np.float32),
        length=np.empty(n, np.float32),
        error=np.empty(n, np.float32),
        residual=np.zeros(n, np.float32),
        square=np.empty(n),
    )


def some_leads(leads: Lead, rows: np.ndarray) -> Lead:
    """Return the leads of some rows (int64 [m])."""
    q = np.zeros((len(rows) + ROWS, leads.q.shape[1]), np.int8)
    q[: len(rows)] = leads.q[rows]
    return Lead(q, *(part[rows] for part in leads[1:]))


def lead(read: Read, n: int, basis: Basis) -> Lead:
    """Return the lead of n rows in a basis."""
    d = len(basis.centre)
    wide = d if basis.directions is None else basis.directions.shape[1]
    result = empty_lead(n, wide)
    slack = 16 * (d + 4) * 2.0**-53
    for part in row_blocks(n, d):
        rows = read(part)
        rows -= basis.centre
        rows *= basis.factor
        square = np.einsum("ij,ij->i", rows, rows)
        result.square[part] = square
        if basis.directions is not None:
            with one_blas_thread():
                rows = rows @ basis.directions
            across = square - np.einsum("ij,ij->i", rows, rows)
            result.residual[part] = np.sqrt(np.maximum(across, 0) + slack * square) * UPWARDS
        quantise(rows, part.start, result)
    return result


def scale_to_one(length: float) -> float:
    """Return the power of two that brings `length` to between 1/2 and 1; 1 for 0, and 2^1000 for what is denormal."""
    return 2.0 ** min(1000, -int(np.frexp(length)[1]))


def vanished(d: int, factor: float) -> float:
    """Return how much a sum of d squares may have lost below the smallest number, times `factor` squared.

    Each square errs by at most 2^-1075 there. More than 2^60, where lengths are about 1, is as good as 2^60.
    """
    return min(2.0**60, d * np.square(factor * 2.0**-537))


def row_blocks(n: int, d: int) -> list[slice]:
    """Cut n rows into slices of some 16 MiB of float64."""
    step = max(1, _BLOCK // d)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


@numba.njit(cache=True, nogil=True, fastmath=True)
def largest(x: np.ndarray, i: int) -> float:
    """Return the largest absolute value of row `i`."""
    most = np.float64(0.0)
    for column in range(x.shape[1]):
        most = max(most, abs(np.float64(x[i, column])))
    return most


@numba.njit(cache=True, nogil=True)
def quantise(rows: np.ndarray, first: int, out: Lead) -> None:
    """Round `rows` (float64 [m, l]) to int8 and write them into `out` from row `first` on."""
    for i in range(rows.shape[0]):
        scale = np.float64(np.float32(largest(rows, i) / 127.0))
        total, length, error = _round(rows[i], scale, 1.0 / scale if scale > 1e-37 else 0.0, out.q[first + i])
        out.total[first + i] = total
        out.scale[first + i] = scale
        out.length[first + i] = np.float32(np.sqrt(length) * UPWARDS) + np.float32(1e-37)
        out.error[first + i] = np.float32(np.sqrt(error) * UPWARDS) + np.float32(1e-37)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _round(row: np.ndarray, scale: float, inverse: float, q: np.ndarray) -> tuple[float, float, float]:
    """Write whole numbers to `q`; return their sum, and the squared lengths of ``scale q`` and of what is missing."""
    total, length, error = 0.0, 0.0, 0.0
    for column in range(row.shape[0]):
        whole = min(max(np.rint(row[column] * inverse), -127.0), 127.0)
        q[column] = np.int8(whole)
        total += whole
        length += (scale * whole) * (scale * whole)
        rest = row[column] - scale * whole
        error += rest * rest
    return total, length, error
