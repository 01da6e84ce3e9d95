"""The unit rows of a cluster: in float64 as the reference has them, in float32 for a first look; neither is stored.

Formula. ``u_i = (x_i / max_j |x_ij|) / |x_i / max_j |x_ij||``, a row of zeros stays one. The cosine of two rows is
the exact product of their unit rows, clipped to [-1, 1]. In float32 a unit row is ``x_i / |x_i|``, each value wrong
by at most 2^-22 of itself, and the cosine of two errs by at most ``w = (d + 16) 2^-24``, whatever the order of its sum.

Division. The float64 rows need two divisions a value, by numbers that a row has in common. With ``y = 1 / b`` rounded
and ``q = a y``, one step ``q + (a - q b) y`` in fused arithmetic brings q to within one unit in the last place of
a / b, and by Markstein's theorem (1990) a second one gives the rounded quotient itself: five instructions of full
speed instead of one that takes ten times as long. It needs that nothing underflows, which holds for quotients of
float32 values (0, or at least 2^-277); float64 rows are divided.

Contract. x float32 with rows of length 0 or 2^-60 to 2^60, or float64 with rows of length 0 or at least 2^-500,
contiguous, finite; `regular` makes such rows of others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.exact import DEPTH, total
from meddel_kernels.cpu.llvm import FEATURES, SUMS, TILE, njit, njit_raw, quotients

HAS_FMA = "fma" in FEATURES
SHORTEST = {np.dtype(np.float32): 2.0**-60, np.dtype(np.float64): 2.0**-500}  # of lengths beside 0, by the contract


class Unit(NamedTuple):
    """The unit rows of one cluster of m rows, as numbers to multiply and to divide by; row i is at *position* i."""

    x: np.ndarray  # float32 or float64 [n, d]
    rows: np.ndarray  # int64 [m]: rows of x, in the cluster's order
    inverse: np.ndarray  # as x, [m]: the float32 unit row is x * inverse
    peak: np.ndarray  # float64 [m]: the float64 unit row is (x / peak) / norm
    norm: np.ndarray  # float64 [m]: 0 until it is needed
    cuts: np.ndarray  # `exact.plan(d)`


class Exact(NamedTuple):
    """Float64 unit rows that are kept for the pairs to come: of 64 columns and of one row."""

    columns: np.ndarray  # float64 [64, d]
    row: np.ndarray  # float64 [1, d]
    held: np.ndarray  # int64 [65]: their positions, the row's last; -1 for none
    stack: np.ndarray  # float64 [DEPTH]: for `exact`


def regular(x: np.ndarray) -> np.ndarray:
    """Return rows (float32 or float64 [m, d]) as float64 rows of lengths that the contract allows.

    Tiny rows are multiplied by a power of two, which neither rounds nor changes a unit row.
    """
    wide = np.array(x, np.float64)
    wide[np.abs(wide).max(axis=1) < 2.0**-400] *= 2.0**500
    return wide


@njit()
def empty_unit(x: np.ndarray, rows: np.ndarray, cuts: np.ndarray) -> Unit:
    """Return the unit rows of a cluster, for `lengths` to fill."""
    m = len(rows)
    return Unit(x, rows, np.empty(m, x.dtype), np.empty(m), np.zeros(m), cuts)


@njit()
def new_exact(d: int) -> Exact:
    """Return a workspace for exact cosines of rows of width `d`."""
    return Exact(np.empty((TILE, d)), np.empty((1, d)), np.full(TILE + 1, -1, np.int64), np.empty(DEPTH))


@njit()
def lengths(u: Unit, first: int, last: int, least: float) -> bool:
    """Fill `inverse` for positions `first` to `last`; return whether the contract holds (`least` from SHORTEST)."""
    good = True
    for at in range(first, last):
        length = np.sqrt(_square(u.x, u.rows[at]))
        good = good and length <= 1 / least and (length >= least or not u.x[u.rows[at]].any())
        u.inverse[at] = 1 / length if length >= least else 0.0
    return good


@njit_raw(fastmath=True)
def _square(x: np.ndarray, i: int) -> float:
    total = 0.0
    for column in range(x.shape[1]):
        value = np.float64(x[i, column])
        total += value * value
    return total


@njit_raw(fastmath=True)
def cosine32(u: Unit, i: int, j: int) -> float:
    """Return the float32 cosine of two positions, added up in whatever order is fastest."""
    total = np.float32(0)
    a, b, left, right = u.rows[i], u.rows[j], u.inverse[i], u.inverse[j]
    for column in range(u.x.shape[1]):
        total += np.float32(u.x[a, column] * left) * np.float32(u.x[b, column] * right)
    return total


@njit_raw()
def cosine64(u: Unit, e: Exact, i: int, j: int) -> float:
    """Return the exact cosine of two positions; the unit row of `j` is kept in its tile's place, that of `i` too."""
    slot = j % TILE
    if e.held[slot] != j:
        _unit_row(u, j, e.columns, slot, e.stack)
        e.held[slot] = j
    if e.held[i % TILE] == i:
        return min(1.0, max(-1.0, total(e.columns, i % TILE, e.columns, slot, u.cuts, e.stack, False)))
    if e.held[TILE] != i:
        _unit_row(u, i, e.row, 0, e.stack)
        e.held[TILE] = i
    return min(1.0, max(-1.0, total(e.row, 0, e.columns, slot, u.cuts, e.stack, False)))


@njit_raw()
def _unit_row(u: Unit, at: int, out: np.ndarray, slot: int, stack: np.ndarray) -> None:
    """Write the float64 unit row of a position into row `slot` of `out`."""
    row = u.rows[at]
    if u.norm[at] == 0:
        most = largest(u.x[row])
        peak = most if most > 0 else 1.0
        _divide(u.x, row, peak, out, slot, u.x.itemsize == 4)
        norm = np.sqrt(total(out, slot, out, slot, u.cuts, stack, False))
        u.peak[at] = peak
        u.norm[at] = norm if norm > 0 else 1.0
    else:
        _divide(u.x, row, u.peak[at], out, slot, u.x.itemsize == 4)
    _divide(out, slot, u.norm[at], out, slot, u.x.itemsize == 4)


@njit_raw()
def largest(row: np.ndarray) -> float:
    """Return the largest absolute value of a row; for float32 found on the bits, which LLVM does in vectors."""
    if row.itemsize == 4:
        bits = np.int32(_greatest(row.view(np.int32)))
        return np.float64(bits.view(np.float32))
    most = np.float64(0)
    for column in range(row.shape[0]):
        most = max(most, np.float64(abs(row[column])))
    return most


@njit_raw()
def _greatest(bits: np.ndarray) -> int:
    most = np.int32(0)
    for column in range(bits.shape[0]):
        value = np.int32(bits[column] & np.int32(0x7FFFFFFF))
        most = value if value > most else most
    return most


@njit_raw()
def _divide(x: np.ndarray, i: int, by: float, out: np.ndarray, slot: int, safe: bool) -> None:
    """Write row `i` of `x` divided by a number into row `slot` of `out`; `safe` from underflow: by the theorem."""
    start = 0
    if safe and HAS_FMA and x.shape[1] >= SUMS:
        start = x.shape[1] // SUMS * SUMS
        quotients(x[i], out[slot], by, 1.0 / by, start)
    for column in range(start, x.shape[1]):
        out[slot, column] = np.float64(x[i, column]) / by


@njit()
def norms(u: Unit, first: int, last: int) -> None:
    """Fill `peak` and `norm` for positions `first` to `last`, for threads that share a cluster."""
    e = new_exact(u.x.shape[1])
    for at in range(first, last):
        _unit_row(u, at, e.row, 0, e.stack)
