"""The view of a matrix for the screens of K-means: its leading directions in int8, and how wrong that can be.

A row x is centred, ``x' = f (x - m)``, and written as ``x' = V a + x''``: `a` along l orthonormal directions (the
leading principal ones, where V has fewer columns than rows), `x''` across them. `a` is rounded to ``s q`` with whole
numbers q from -127 to 127. Kept are, per row, q, s, and upper bounds of ``|s q|``, ``e >= |a - s q|`` and ``r >=
|x''|``.

Bound. For two rows x and c, by Cauchy and Schwarz,

    |<x', c'> - s_x s_c <q_x, q_c>|  <=  e_x |s_c q_c| + (|s_x q_x| + e_x) e_c + r_x r_c.

`f` is a power of two that brings every centred row to a length of at most 1, so that float32 neither overflows nor
loses anything to the scale of the data. Numbers are computed in float64 and rounded upwards to float32; what float32
arithmetic adds later, and what V lacks of being orthonormal (some 1e-14), is far below `ROUNDING` times the lengths
that are multiplied.

`quantize_fast` projects in float32, at four times the speed. With u = 2^-24 the product of d terms errs by at most
``(d + 8) u |x'|`` in each of the l columns (V is rounded too), so the whole of a by ``g = sqrt(l) (d + 8) u |x'| +
u |x'|``, which is added to e. As ``|V a|^2 + r^2 = |x'|^2``, ``r^2 <= |x'|^2 - (|a~| - g)^2`` for the a~ that was
computed. (g is 5e-4 of |x'|; rounding to int8 costs some 1e-2.) Bytes moved: 4 or 8 d a row, read once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.llvm import ROWS, TILE, magnitude, njit, njit_raw
from meddel_kernels.cpu.pca import principal_directions
from meddel_kernels.cpu.threads import one_blas_thread, share_out
from meddel_kernels.pairs import blocks

ROUNDING = np.float32(2.0**-20)
UPWARDS = 1 + 2.0**-22
SAMPLE = 4096
USUAL = 2.0**20  # rows that are longer than this, or shorter than its inverse, are scaled for float32
SLICE = 1 << 21  # values
_BLOCK = 512  # rows, which stay in the second-level cache
_LEAST = np.float32(1e-37)


class Basis(NamedTuple):
    """Centre m (float64 [d]), directions V (float64 [d, l], None for all of them), and the factor f."""

    centre: np.ndarray
    directions: np.ndarray | None
    factor: float


class Codes(NamedTuple):
    """n rows in int8."""

    q: np.ndarray  # int8 [n + 6, l]: l is a multiple of 4; six rows more are for `microkernel.multiply`
    total: np.ndarray  # int32 [n]: sums of the rows of q
    scale: np.ndarray  # float32 [n]: s
    length: np.ndarray  # float32 [n]: an upper bound of |s q|
    error: np.ndarray  # float32 [n]: e
    residual: np.ndarray  # float32 [n]: r
    square: np.ndarray  # float64 [n]: |x'|^2


def basis_of(sample: np.ndarray, centre: np.ndarray, longest: float, width: int) -> Basis:
    """Return the basis of up to `width` directions, all where there are no more, for rows like those of a sample.

    `sample` is float64 [m, d], written to; entries of the rows are at most `longest` from the centre.
    """
    d = len(centre)
    # Rows are at most sqrt(d) times their largest entry.
    factor = scale_to_one(longest * np.sqrt(d))
    if d <= width:
        return Basis(centre, None, factor)
    sample -= centre
    sample *= factor
    return Basis(centre, principal_directions(sample, width), factor)


def quantize(x: np.ndarray, basis: Basis) -> Codes:
    """Return the codes of the rows of x, float32 or float64 [n, d], computed in float64."""
    (n, d), directions = x.shape, basis.directions
    result, slack = _empty_codes(n, basis), 16 * (d + 4) * 2.0**-53
    for part in blocks(n, d, SLICE):
        rows = x[part].astype(np.float64)
        rows -= basis.centre
        rows *= basis.factor
        square = result.square[part] = np.einsum("ij,ij->i", rows, rows)
        if directions is not None:
            with one_blas_thread():
                rows = rows @ directions
            across = square - np.einsum("ij,ij->i", rows, rows)
            result.residual[part] = np.sqrt(np.maximum(across, 0) + slack * square) * UPWARDS
        _fill(rows, part.start, result)
    return result


def quantize_fast(x: np.ndarray, basis: Basis, threads: int) -> Codes:
    """Return the codes of the rows of x, float32 or float64 [n, d], projected in float32."""
    n, d = x.shape
    result = _empty_codes(n, basis)
    directions = None if basis.directions is None else basis.directions.astype(np.float32)
    wrong = 2.0**-24 if directions is None else (np.sqrt(directions.shape[1]) * (d + 8) + 1) * 2.0**-24

    def work(start: int, stop: int) -> None:
        centred, length = np.empty((_BLOCK, d), np.float32), np.empty(_BLOCK)
        for first in range(start, stop, _BLOCK):
            rows = min(_BLOCK, stop - first)
            _centre(x, first, rows, basis.centre, basis.factor, centred, length, result.square)
            along = centred[:rows] if directions is None else centred[:rows] @ directions
            _fill(along, first, result)
            _allow(result, first, along, length, wrong, directions is not None)

    share_out(work, n, _BLOCK, threads)
    return result


def extent(x: np.ndarray, centre: np.ndarray, lengths: np.ndarray, threads: int) -> tuple[float, float]:
    """Return the largest absolute value of x and of x - centre; fill `lengths` (float64 [n]) with the rows' lengths."""
    parts: list[np.ndarray] = []

    def work(start: int, stop: int) -> None:
        most = np.zeros(2, np.int64)
        _extent(x, centre, start, stop, lengths, most)
        parts.append(most)

    share_out(work, len(x), _BLOCK, threads)
    largest, apart = np.max(parts, axis=0).view(np.float64)
    return float(largest), float(apart)


def scale_to_one(length: float) -> float:
    """Return the power of two that brings `length` to between 1/2 and 1; 1 for 0, and 2^1000 for what is denormal."""
    return 2.0 ** min(1000, -int(np.frexp(length)[1]))


def vanished(d: int, factor: float) -> float:
    """Return how much a sum of d squares may have lost below the smallest number, times `factor` squared.

    Each square errs by at most 2^-1075 there. More than 2^60, where lengths are about 1, is as good as 2^60.
    """
    return min(2.0**60, d * np.square(factor * 2.0**-537))


def pack(q: np.ndarray) -> np.ndarray:
    """Return rows of whole numbers (int8 [m, l]) in tiles, uint8 [ceil(m / 64), l / 4, 64, 4]; missing rows are 0."""
    tiles = np.full((-(-len(q) // TILE), TILE, q.shape[1] // 4, 4), 128, np.uint8)
    tiles.reshape(-1, q.shape[1])[: len(q)] = q.view(np.uint8) ^ 128
    return np.ascontiguousarray(tiles.transpose(0, 2, 1, 3))


def _empty_codes(n: int, basis: Basis) -> Codes:
    width = len(basis.centre) if basis.directions is None else basis.directions.shape[1]
    q, total = np.zeros((n + ROWS, -(-width // 4) * 4), np.int8), np.empty(n, np.int32)
    return Codes(q, total, *(np.zeros(n, np.float32) for _ in range(4)), np.empty(n))


@njit(fastmath=True)
def _largest(x: np.ndarray, i: int) -> float:
    most = np.float64(0.0)
    for column in range(x.shape[1]):
        most = max(most, abs(np.float64(x[i, column])))
    return most


@njit()
def _fill(rows: np.ndarray, first: int, out: Codes) -> None:
    """Round `rows` (float32 or float64 [m, l]) to int8 and write them into `out` from row `first` on."""
    for i in range(rows.shape[0]):
        scale = np.float64(np.float32(_largest(rows, i) / 127.0))
        total, length, error = _round(rows[i], scale, 1.0 / scale if scale > 1e-37 else 0.0, out.q[first + i])
        out.total[first + i] = total
        out.scale[first + i] = scale
        out.length[first + i] = np.float32(np.sqrt(length) * UPWARDS) + _LEAST
        out.error[first + i] = np.float32(np.sqrt(error) * UPWARDS) + _LEAST


@njit(fastmath=True)
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


@njit_raw(fastmath=True)
def _centre(
    x: np.ndarray, first: int, rows: int, centre: np.ndarray, factor: float, out: np.ndarray, length: np.ndarray,
    square: np.ndarray,
) -> None:  # fmt: skip
    for i in range(rows):
        total = 0.0
        for column in range(x.shape[1]):
            value = factor * (x[first + i, column] - centre[column])
            total += value * value
            out[i, column] = value
        square[first + i] = total
        length[i] = np.sqrt(total)


@njit_raw(fastmath=True)
def _allow(out: Codes, first: int, projected: np.ndarray, length: np.ndarray, wrong: float, across: bool) -> None:
    """Add what float32 may have lost to the errors, and bound the part outside the leading directions."""
    for i in range(projected.shape[0]):
        row, lost, along = first + i, wrong * length[i], 0.0
        out.error[row] = np.float32((out.error[row] + lost) * UPWARDS) + _LEAST
        if across:
            for column in range(projected.shape[1]):
                along += np.float64(projected[i, column]) * np.float64(projected[i, column])
            along = max(0.0, np.sqrt(along) * (1 - 2.0**-36) - lost)
            rest = max(0.0, out.square[row] * (1 + 2.0**-36) - along * along)
            out.residual[row] = np.float32(np.sqrt(rest) * UPWARDS) + _LEAST


@njit_raw(fastmath=True)
def _extent(x: np.ndarray, centre: np.ndarray, start: int, stop: int, lengths: np.ndarray, most: np.ndarray) -> None:
    largest, apart = np.int64(0), np.int64(0)
    for i in range(start, stop):
        total = 0.0
        for column in range(x.shape[1]):
            value = np.float64(x[i, column])
            total += value * value
            largest = max(largest, magnitude(value))
            apart = max(apart, magnitude(value - centre[column]))
        lengths[i] = np.sqrt(total)
    most[0], most[1] = max(most[0], largest), max(most[1], apart)
