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

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from meddel_kernels.cpu.exact import DEPTH, LANES, product
from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import PANEL
from meddel_kernels.cpu.processor import FEATURES

HAS_FMA = "fma" in FEATURES
_FUSED = f"llvm.fma.v{LANES}f64"
_LEAST = {np.dtype(np.float32): 2.0**-60, np.dtype(np.float64): 2.0**-500}


class Unit(NamedTuple):
    """The unit rows of one cluster of m rows, as numbers to multiply and to divide by.

    Attributes
    ----------
    x : float32 or float64 [n, d]
    rows : int64 [m]
        Rows of x, in the cluster's order; what is called a position is one in here.
    inverse : as x, [m]
        The float32 unit row is ``x * inverse``.
    peak, norm : float64 [m]
        The float64 unit row is ``(x / peak) / norm``; norm is 0 until somebody needs it.
    cuts : int64 [c, 3]
        ``exact.plan(d)``.
    """

    x: np.ndarray
    rows: np.ndarray
    inverse: np.ndarray
    peak: np.ndarray
    norm: np.ndarray
    cuts: np.ndarray


class Exact(NamedTuple):
    """Float64 unit rows that are kept for the pairs to come: of 64 columns and of one row.

    Attributes
    ----------
    columns, row : float64 [64, d], [1, d]
    held : int64 [65]
        Their positions, the row's last; -1 for none.
    stack : float64 [DEPTH]
        Room for ``exact``'s sums.
    """

    columns: np.ndarray
    row: np.ndarray
    held: np.ndarray
    stack: np.ndarray


def regular(x: np.ndarray) -> np.ndarray:
    """Return rows (float32 or float64 [m, d]) as float64 rows of lengths that the contract allows.

    Tiny rows are multiplied by a power of two, which neither rounds nor changes a unit row.
    """
    wide = np.array(x, np.float64)
    wide[np.abs(wide).max(axis=1) < 2.0**-400] *= 2.0**500
    return wide


def least_length(x: np.ndarray) -> float:
    """Return the least length that rows of x may have beside 0."""
    return _LEAST[x.dtype]


@numba.njit(cache=True, nogil=True)
def empty_unit(x: np.ndarray, rows: np.ndarray, cuts: np.ndarray) -> Unit:
    """Return the unit rows of a cluster, for `lengths` to fill."""
    m = len(rows)
    return Unit(x, rows, np.empty(m, x.dtype), np.empty(m), np.zeros(m), cuts)


@numba.njit(cache=True, nogil=True)
def new_exact(d: int) -> Exact:
    """Return room for exact cosines of rows of width `d`."""
    return Exact(np.empty((PANEL, d)), np.empty((1, d)), np.full(PANEL + 1, -1, np.int64), np.empty(DEPTH))


@numba.njit(cache=True, nogil=True)
def lengths(u: Unit, first: int, last: int, least: float) -> bool:
    """Fill `inverse` for positions `first` to `last`; return whether the contract holds (`least` as by its name)."""
    good = True
    for at in range(first, last):
        length = np.sqrt(_square(u.x, u.rows[at]))
        good = good and length <= 1 / least and (length >= least or not u.x[u.rows[at]].any())
        u.inverse[at] = 1 / length if length >= least else 0.0
    return good


@lean(fastmath=True)
def _square(x: np.ndarray, i: int) -> float:
    total = 0.0
    for column in range(x.shape[1]):
        value = np.float64(x[i, column])
        total += value * value
    return total


@lean(fastmath=True)
def cosine32(u: Unit, i: int, j: int) -> float:
    """Return the float32 cosine of two positions, added up in whatever order is fastest."""
    total = np.float32(0)
    a, b, left, right = u.rows[i], u.rows[j], u.inverse[i], u.inverse[j]
    for column in range(u.x.shape[1]):
        total += np.float32(u.x[a, column] * left) * np.float32(u.x[b, column] * right)
    return total


@lean()
def cosine64(u: Unit, e: Exact, i: int, j: int) -> float:
    """Return the exact cosine of two positions; the unit row of `j` is kept in its panel's place, that of `i` too."""
    slot = j % PANEL
    if e.held[slot] != j:
        _unit_row(u, j, e.columns, slot, e.stack)
        e.held[slot] = j
    if e.held[i % PANEL] == i:
        return min(1.0, max(-1.0, product(e.columns, i % PANEL, e.columns, slot, u.cuts, e.stack)))
    if e.held[PANEL] != i:
        _unit_row(u, i, e.row, 0, e.stack)
        e.held[PANEL] = i
    return min(1.0, max(-1.0, product(e.row, 0, e.columns, slot, u.cuts, e.stack)))


@lean()
def _unit_row(u: Unit, at: int, out: np.ndarray, slot: int, stack: np.ndarray) -> None:
    """Write the float64 unit row of a position into row `slot` of `out`."""
    row = u.rows[at]
    if u.norm[at] == 0:
        most = largest(u.x[row])
        peak = most if most > 0 else 1.0
        _divide(u.x, row, peak, out, slot, u.x.itemsize == 4)
        norm = np.sqrt(product(out, slot, out, slot, u.cuts, stack))
        u.peak[at] = peak
        u.norm[at] = norm if norm > 0 else 1.0
    else:
        _divide(u.x, row, u.peak[at], out, slot, u.x.itemsize == 4)
    _divide(out, slot, u.norm[at], out, slot, u.x.itemsize == 4)


@lean()
def largest(row: np.ndarray) -> float:
    """Return the largest absolute value of a row; for float32 found on the bits, which LLVM does in vectors."""
    if row.itemsize == 4:
        bits = np.int32(_greatest(row.view(np.int32)))
        return np.float64(bits.view(np.float32))
    most = np.float64(0)
    for column in range(row.shape[0]):
        most = max(most, np.float64(abs(row[column])))
    return most


@lean()
def _greatest(bits: np.ndarray) -> int:
    most = np.int32(0)
    for column in range(bits.shape[0]):
        value = np.int32(bits[column] & np.int32(0x7FFFFFFF))
        most = value if value > most else most
    return most


@intrinsic
def _quotients(typing, source, target, by, inverse, count):
    """Divide the first multiple of 8 of `count` values at address `source` by a number, by the theorem of the head."""
    narrow = source.dtype == types.float32
    signature = types.void(source, target, types.float64, types.float64, types.intp)

    def generate(context, builder, signature, arguments):
        double, index = ir.DoubleType(), ir.IntType(64)
        wide = ir.VectorType(double, LANES)
        kind = ir.VectorType(ir.FloatType(), LANES) if narrow else wide
        data = [context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in range(2)]
        fused = builder.module.globals.get(_FUSED) or ir.Function(
            builder.module, ir.FunctionType(wide, [wide, wide, wide]), _FUSED
        )

        def spread(value: ir.Value) -> ir.Value:
            single = builder.insert_element(ir.Constant(wide, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(
                single, single, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            )

        by, inverse = spread(arguments[2]), spread(arguments[3])
        entry, loop = builder.block, builder.append_basic_block("lanes")
        done = builder.append_basic_block("divided")
        builder.branch(loop)
        builder.position_at_end(loop)
        at = builder.phi(index)
        at.add_incoming(ir.Constant(index, 0), entry)
        value = builder.load(builder.bitcast(builder.gep(data[0], [at]), kind.as_pointer()))
        value.align = 1
        value = builder.fpext(value, wide) if narrow else value
        quotient = builder.fmul(value, inverse)
        for _ in range(2):
            rest = builder.call(fused, [builder.fneg(quotient), by, value])
            quotient = builder.call(fused, [rest, inverse, quotient])
        builder.store(quotient, builder.bitcast(builder.gep(data[1], [at]), wide.as_pointer())).align = 1
        following = builder.add(at, ir.Constant(index, LANES))
        at.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, arguments[4]), loop, done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return signature, generate


@lean()
def _divide(x: np.ndarray, i: int, by: float, out: np.ndarray, slot: int, safe: bool) -> None:
    """Write row `i` of `x` divided by a number into row `slot` of `out`; `safe` from underflow: by the theorem."""
    start = 0
    if safe and HAS_FMA and x.shape[1] >= LANES:
        start = x.shape[1] // LANES * LANES
        _quotients(x[i], out[slot], by, 1.0 / by, start)
    for column in range(start, x.shape[1]):
        out[slot, column] = np.float64(x[i, column]) / by


@numba.njit(cache=True, nogil=True)
def norms(u: Unit, first: int, last: int) -> None:
    """Fill `peak` and `norm` for positions `first` to `last`, for threads that share a cluster."""
    e = new_exact(u.x.shape[1])
    for at in range(first, last):
        _unit_row(u, at, e.row, 0, e.stack)
