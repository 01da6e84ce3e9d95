"""The view of a cluster for the screens of cosines: its unit rows in int8, and a bound on every cosine from them.

Bound. With the float32 unit rows u of a cluster and any centre m, ``v_i = u_i - m`` and ``o_i = <u_i, m> - |m|^2 / 2``,

    <u_i, u_j> = <v_i, v_j> + o_i + o_j.

v is taken along l orthonormal directions V as ``a = V^T v``, all of them (``a = v``) or the leading ones of a large
cluster, with ``r >= |v - V a|`` for what lies across. `a` is rounded to ``s q`` with whole numbers q from -127 to 127,
and ``e >= |a - s q|``. By Cauchy and Schwarz,

    cos_ij  <=  s_i s_j <q_i, q_j> + e_i |s_j q_j| + (|s_i q_i| + e_i) e_j + r_i r_j + o_i + o_j + b.

b makes good what float32 loses: o and a each err by at most ``g = (d + 16) 2^-24`` for lengths up to 1, where the
terms of a sum may be added up in any order; V is orthonormal to 2^-18, which counts thrice, for lengths up to 2; the
cosine of u errs by 2^-21; and the bound itself is a sum of six terms below 8. Together less than ``4 g + 2^-13``. What
float32 loses of e, of |s q| and of r is added to those.

Contract. As `unit_rows`. Extra memory: 2 l bytes a row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.llvm import ROWS, TILE, njit, njit_raw
from meddel_kernels.cpu.unit_rows import Unit, largest

ROUNDING = np.float32(2.0**-22)
_SAMPLE = 64


class UnitCodes(NamedTuple):
    """f unit rows in int8."""

    position: np.ndarray  # int64 [f]: in the cluster, ascending
    q: np.ndarray  # int8 [f + 6, l]: l is a multiple of 4; six rows more are for `microkernel.multiply`
    shift: np.ndarray  # int32 [f]: 128 times the sums of the rows of q
    scale: np.ndarray  # float32 [f]: s
    length: np.ndarray  # float32 [f]: |s q|
    error: np.ndarray  # float32 [f]: e
    residual: np.ndarray  # float32 [f]: r
    offset: np.ndarray  # float32 [f]: o


class Screen(NamedTuple):
    """A cluster of m rows as its screen sees it."""

    codes: UnitCodes  # of all m rows
    tiles: np.ndarray  # uint8 [ceil(m / 64), l / 4, 64, 4]: the same q, packed as columns for `microkernel.multiply`
    slack: np.ndarray  # float32 [1]: b


@njit_raw()
def cosine_error(d: int) -> float:
    """Return w, the error of a float32 cosine of rows of width `d`."""
    return np.float32((d + 16) * 2.0**-24)


@njit()
def empty_screen(m: int, d: int, width: int) -> Screen:
    """Return an empty screen of a cluster of m rows of width `d` along `width` directions."""
    wide = -(-width // 4) * 4
    codes = UnitCodes(
        np.arange(m), np.zeros((m + ROWS, wide), np.int8), np.empty(m, np.int32), np.empty(m, np.float32),
        np.empty(m, np.float32), np.empty(m, np.float32), np.zeros(m, np.float32), np.empty(m, np.float32),
    )  # fmt: skip
    slack = np.full(1, 4 * cosine_error(d) + np.float32(2.0**-13), np.float32)
    return Screen(codes, np.empty((-(-m // TILE), wide // 4, TILE, 4), np.uint8), slack)


@njit()
def centre_of(u: Unit) -> np.ndarray:
    """Return the mean of some of the unit rows, float32 [d]."""
    m = u.rows.shape[0]
    step = max(1, m // _SAMPLE)
    centre, count = np.zeros(u.x.shape[1], np.float32), 0
    for at in range(0, m, step):
        _add(u.x, u.rows[at], u.inverse[at], centre)
        count += 1
    return centre / np.float32(count)


@njit_raw(fastmath=True)
def _add(x: np.ndarray, i: int, inverse: float, total: np.ndarray) -> None:
    for column in range(total.shape[0]):
        total[column] += np.float32(x[i, column] * inverse)


@njit()
def fill(u: Unit, centre: np.ndarray, basis: np.ndarray, s: Screen, first: int, last: int) -> None:
    """Fill the screen for positions `first`, a multiple of 64, to `last`.

    `basis` is float32 [l, d], directions; l = 0: all of them. Along a basis, with ``g = (d + 16) 2^-24`` and ``|v| <=
    2``, each of the l values of ``a = V^T v`` errs by at most 2 g, so that `a` is wrong by ``2 g sqrt(l)``; and ``|v -
    V a|^2 <= |v|^2 - |a|^2 + z`` with ``z = 8 g (1 + sqrt(l)) + 2^-15``, where 2^-15 is for V, which float32 leaves
    orthonormal to 2^-18 for up to 256 directions.
    """
    wide, along = basis.shape[0], np.empty(basis.shape[0], np.float32)
    row, wrong = np.zeros(max(s.codes.q.shape[1], centre.shape[0]), np.float32), cosine_error(centre.shape[0])
    root, half = np.float32(np.sqrt(wide)), np.float32(0.5) * _dot(centre, centre)
    missing = 8 * wrong * (1 + root) + np.float32(2.0**-15)
    for at in range(first, last):
        _centre(u.x, u.rows[at], u.inverse[at], centre, row)
        s.codes.offset[at] = _dot(row, centre) + half
        if wide == 0:
            _quantize(row, at, s.codes, wrong, ROUNDING)
            continue
        for number in range(wide):
            along[number] = _dot(row, basis[number])
        across = max(np.float32(0), _dot(row, row) - _dot(along, along))
        s.codes.residual[at] = np.sqrt(across + missing)
        _quantize(along, at, s.codes, wrong, 2 * wrong * root)
    _pack(s, first, last)


@njit_raw(fastmath=True)
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """Return the float32 product of two vectors, as long as the second."""
    total = np.float32(0)
    for column in range(b.shape[0]):
        total += a[column] * b[column]
    return total


@njit_raw(fastmath=True)
def _centre(x: np.ndarray, i: int, inverse: float, centre: np.ndarray, row: np.ndarray) -> None:
    """Write v to `row`."""
    for column in range(centre.shape[0]):
        row[column] = np.float32(x[i, column] * inverse) - centre[column]


@njit_raw()
def _quantize(row: np.ndarray, at: int, codes: UnitCodes, wrong: float, error: float) -> None:
    """Round `a` (float32 [l], wrong by `error`) to int8 and write its codes."""
    scale = np.float32(largest(row)) / np.float32(127)
    inverse = np.float32(1) / scale if scale > np.float32(1e-30) else np.float32(0)
    total, square, rest = _round(row, scale, inverse, codes.q[at])
    codes.shift[at] = 128 * total
    codes.scale[at] = scale
    codes.length[at] = scale * np.sqrt(square) * (1 + wrong)
    codes.error[at] = np.sqrt(rest) * (1 + wrong) + error


@njit_raw(fastmath=True)
def _round(row: np.ndarray, scale: float, inverse: float, q: np.ndarray) -> tuple[int, float, float]:
    """Write whole numbers to `q`; return their sum, and the squared lengths of q and of what is missing."""
    total, square, missing = np.int32(0), np.float32(0), np.float32(0)
    for column in range(row.shape[0]):
        whole = np.rint(row[column] * inverse)
        rest = row[column] - scale * whole
        number = np.int32(whole)
        q[column] = np.int8(number)
        total += number
        square += whole * whole
        missing += rest * rest
    return total, square, missing


@njit_raw()
def _pack(s: Screen, first: int, last: int) -> None:
    """Pack q of positions `first`, a multiple of 64, to `last`; what is missing of the last tile is zeros."""
    words, tiles = s.codes.q.view(np.int32), s.tiles.view(np.int32)
    flip = np.int32(-0x7F7F7F80)  # adds 128 to each of four bytes
    for tile in range(first // TILE, -(-last // TILE)):
        stop = min(last - tile * TILE, TILE)
        for column in range(stop):
            for quad in range(words.shape[1]):
                tiles[tile, quad, column, 0] = words[tile * TILE + column, quad] ^ flip
        for column in range(stop, TILE):
            tiles[tile, :, column, 0] = flip


@njit()
def copied(codes: UnitCodes) -> UnitCodes:
    """Return codes which `copy_row` can pack more closely in the same q."""
    return UnitCodes(
        codes.position.copy(), codes.q, codes.shift.copy(), codes.scale.copy(), codes.length.copy(),
        codes.error.copy(), codes.residual.copy(), codes.offset.copy(),
    )  # fmt: skip


@njit_raw()
def copy_row(codes: UnitCodes, at: int, to: UnitCodes, number: int) -> None:
    """Copy row `at` of `codes` to row `number` of `to`."""
    for column in range(codes.q.shape[1]):
        to.q[number, column] = codes.q[at, column]
    to.position[number], to.shift[number], to.scale[number] = codes.position[at], codes.shift[at], codes.scale[at]
    to.length[number], to.error[number] = codes.length[at], codes.error[at]
    to.residual[number], to.offset[number] = codes.residual[at], codes.offset[at]
