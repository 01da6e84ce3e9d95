"""What the cosines' screens see of a cluster: its unit rows in int8, and a bound on every cosine from them.

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

import numba
import numpy as np

from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import PANEL, ROWS
from meddel_kernels.cpu.unit_rows import Unit, largest

ROUNDING = np.float32(2.0**-22)
_SAMPLE = 64


class Lead(NamedTuple):
    """The leads of f rows.

    Attributes
    ----------
    position : int64 [f]
        Where they stand in the cluster, ascending.
    q : int8 [f + 6, l]
        l is a multiple of 4; the six rows more are for the microkernel's last tile.
    shift : int32 [f]
        128 times the sums of the rows of q.
    scale, length, error, residual, offset : float32 [f]
        s, ``|s q|``, e, r and o.
    """

    position: np.ndarray
    q: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    length: np.ndarray
    error: np.ndarray
    residual: np.ndarray
    offset: np.ndarray


class Screen(NamedTuple):
    """A cluster of m rows as its screen sees it.

    Attributes
    ----------
    leads : Lead
        Of all m rows.
    panels : uint8 [ceil(m / 64), l / 4, 64, 4]
        The same q as the microkernel wants its columns.
    slack : float32 [1]
        b.
    """

    leads: Lead
    panels: np.ndarray
    slack: np.ndarray


@lean()
def wrong_by(d: int) -> float:
    """Return w, the error of a float32 cosine of rows of width `d`."""
    return np.float32((d + 16) * 2.0**-24)


@numba.njit(cache=True, nogil=True)
def empty_screen(m: int, d: int, width: int) -> Screen:
    """Return the screen of a cluster of m rows of width `d` along `width` directions, for `fill` to fill."""
    wide = -(-width // 4) * 4
    leads = Lead(
        np.arange(m), np.zeros((m + ROWS, wide), np.int8), np.empty(m, np.int32), np.empty(m, np.float32),
        np.empty(m, np.float32), np.empty(m, np.float32), np.zeros(m, np.float32), np.empty(m, np.float32),
    )  # fmt: skip
    slack = np.full(1, 4 * wrong_by(d) + np.float32(2.0**-13), np.float32)
    return Screen(leads, np.empty((-(-m // PANEL), wide // 4, PANEL, 4), np.uint8), slack)


@numba.njit(cache=True, nogil=True)
def centre_of(u: Unit) -> np.ndarray:
    """Return the mean of some of the unit rows, float32 [d]."""
    m = u.rows.shape[0]
    step = max(1, m // _SAMPLE)
    centre, count = np.zeros(u.x.shape[1], np.float32), 0
    for at in range(0, m, step):
        _add(u.x, u.rows[at], u.inverse[at], centre)
        count += 1
    return centre / np.float32(count)


@lean(fastmath=True)
def _add(x: np.ndarray, i: int, inverse: float, total: np.ndarray) -> None:
    for column in range(total.shape[0]):
        total[column] += np.float32(x[i, column] * inverse)


@numba.njit(cache=True, nogil=True)
def fill(u: Unit, centre: np.ndarray, s: Screen, first: int, last: int) -> None:
    """Fill the screen for positions `first`, a multiple of 64, to `last`, along all directions."""
    row, wrong = np.zeros(s.leads.q.shape[1], np.float32), wrong_by(centre.shape[0])
    half = np.float32(0.5) * dot(centre, centre)
    for at in range(first, last):
        centred(u.x, u.rows[at], u.inverse[at], centre, row)
        s.leads.offset[at] = dot(row, centre) + half
        quantise(row, at, s.leads, wrong, ROUNDING)
    pack(s, first, last)


@lean(fastmath=True)
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Return the float32 product of two vectors, as long as the second."""
    total = np.float32(0)
    for column in range(b.shape[0]):
        total += a[column] * b[column]
    return total


@lean(fastmath=True)
def centred(x: np.ndarray, i: int, inverse: float, centre: np.ndarray, row: np.ndarray) -> None:
    """Write v to `row`."""
    for column in range(centre.shape[0]):
        row[column] = np.float32(x[i, column] * inverse) - centre[column]


@lean()
def quantise(row: np.ndarray, at: int, leads: Lead, wrong: float, error: float) -> None:
    """Round `a` (float32 [l], wrong by `error`) to int8 and write its lead."""
    scale = np.float32(largest(row)) / np.float32(127)
    inverse = np.float32(1) / scale if scale > np.float32(1e-30) else np.float32(0)
    total, square, rest = _round(row, scale, inverse, leads.q[at])
    leads.shift[at] = 128 * total
    leads.scale[at] = scale
    leads.length[at] = scale * np.sqrt(square) * (1 + wrong)
    leads.error[at] = np.sqrt(rest) * (1 + wrong) + error


@lean(fastmath=True)
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


@lean()
def pack(s: Screen, first: int, last: int) -> None:
    """Pack q of positions `first`, a multiple of 64, to `last`; what is missing of the last panel is zeros."""
    words, panels = s.leads.q.view(np.int32), s.panels.view(np.int32)
    flip = np.int32(-0x7F7F7F80)  # adds 128 to each of four bytes
    for panel in range(first // PANEL, -(-last // PANEL)):
        stop = min(last - panel * PANEL, PANEL)
        for column in range(stop):
            for quad in range(words.shape[1]):
                panels[panel, quad, column, 0] = words[panel * PANEL + column, quad] ^ flip
        for column in range(stop, PANEL):
            panels[panel, :, column, 0] = flip


@numba.njit(cache=True, nogil=True)
def apart(leads: Lead) -> Lead:
    """Return leads that `move` can pack more closely in the same q."""
    return Lead(
        leads.position.copy(), leads.q, leads.shift.copy(), leads.scale.copy(), leads.length.copy(),
        leads.error.copy(), leads.residual.copy(), leads.offset.copy(),
    )  # fmt: skip


@lean()
def move(leads: Lead, at: int, to: Lead, number: int) -> None:
    """Copy row `at` of `leads` to row `number` of `to`."""
    for column in range(leads.q.shape[1]):
        to.q[number, column] = leads.q[at, column]
    to.position[number], to.shift[number], to.scale[number] = leads.position[at], leads.shift[at], leads.scale[at]
    to.length[number], to.error[number] = leads.length[at], leads.error[at]
    to.residual[number], to.offset[number] = leads.residual[at], leads.offset[at]
