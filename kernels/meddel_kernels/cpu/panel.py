"""A panel of 64 columns of a cluster while its rows pass by: which bounds reach what they have to.

Formula. The bounds of ``screen``, compared with what each column asks for, sixteen columns at a time; a row's answer is
64 bits, one for each column. ``e_i |s_j q_j| + (|s_i q_i| + e_i) e_j`` is taken with the panel's largest ``|s_j q_j|``
and e_j, which leaves one number for the row and one multiplication for each column.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import PANEL, ROWS
from meddel_kernels.cpu.screen import Lead, Screen, centre_of, empty_screen, fill
from meddel_kernels.cpu.unit_rows import Exact, Unit, empty_unit, lengths, new_exact

NEVER = np.float32(3e38)
CHUNK = 96
_VECTOR = 16


class Columns(NamedTuple):
    """A panel of 64 columns while rows pass by.

    Attributes
    ----------
    scale, residual, offset : float32 [64]
        s, r and o.
    least : float32 [64]
        What a bound has to reach for its pair to matter.
    most : float32 [2]
        The largest ``|s q|`` and e.
    """

    scale: np.ndarray
    residual: np.ndarray
    offset: np.ndarray
    least: np.ndarray
    most: np.ndarray


class Room(NamedTuple):
    """What one thread needs, whatever the cluster.

    Attributes
    ----------
    columns : Columns
    products : int32 [chunk + 6, 64]
    exact : Exact
    """

    columns: Columns
    products: np.ndarray
    exact: Exact


@numba.njit(cache=True, nogil=True)
def new_room(d: int, chunk: int) -> Room:
    """Return room for rows of width `d`, in chunks."""
    columns = Columns(
        np.empty(PANEL, np.float32), np.empty(PANEL, np.float32), np.empty(PANEL, np.float32),
        np.empty(PANEL, np.float32), np.empty(2, np.float32),
    )  # fmt: skip
    return Room(columns, np.empty((chunk + ROWS, PANEL), np.int32), new_exact(d))


@numba.njit(cache=True, nogil=True)
def small_cluster(
    x: np.ndarray, rows: np.ndarray, cuts: np.ndarray, least: float, room: Room
) -> tuple[bool, Unit, Screen]:
    """Return a cluster's unit rows and its screen along all directions, and whether it keeps the contract."""
    u, s = empty_unit(x, rows, cuts), empty_screen(len(rows), x.shape[1], x.shape[1])
    good = lengths(u, 0, len(rows), least)
    if good:
        fill(u, centre_of(u), s, 0, len(rows))
    room.exact.held[:] = -1
    return good, u, s


@lean()
def open_panel(s: Screen, panel: int, least: float, columns: Columns) -> int:
    """Begin a panel whose bounds have to reach `least`; return how many columns it has."""
    start = panel * PANEL
    wide = min(PANEL, s.leads.scale.shape[0] - start)
    columns.most[:] = 0
    for column in range(PANEL):
        inside = column < wide
        at = start + column if inside else start
        columns.scale[column] = s.leads.scale[at] if inside else np.float32(0)
        columns.residual[column], columns.offset[column] = s.leads.residual[at], s.leads.offset[at]
        columns.least[column] = least if inside else NEVER
        columns.most[0] = max(columns.most[0], s.leads.length[at])
        columns.most[1] = max(columns.most[1], s.leads.error[at])
    return wide


@lean()
def own(rows: Lead, at: int, s: Screen, columns: Columns) -> float:
    """Return what belongs to row number `at` of `rows` alone in its bounds with a panel's columns."""
    error = rows.error[at] * columns.most[0] + (rows.length[at] + rows.error[at]) * columns.most[1]
    return error + rows.offset[at] + s.slack[0]


@lean()
def reaching(products: np.ndarray, number: int, rows: Lead, at: int, alone: float, columns: Columns) -> int:
    """Return which columns' bounds with a row reach what they have to, as 64 bits.

    `products` (int32 [r, 64]) holds the row's in its row `number`, and `alone` is what `own` gave.
    """
    return _mask(
        products[number], columns.scale, columns.residual, columns.offset, columns.least, rows.shift[at],
        rows.scale[at], rows.residual[at], alone,
    )  # fmt: skip


@intrinsic
def _mask(typing, products, scales, residuals, offsets, least, shift, scale, residual, alone):
    """Compare 64 bounds with `least`; the loop over columns is written as vector instructions, 16 at a time."""
    real, whole = types.float32, types.int32
    signature = types.uint64(products, scales, residuals, offsets, least, whole, real, real, real)
    return signature, _mask_code


def _mask_code(context, builder, signature, arguments):
    word, real, long = ir.IntType(32), ir.FloatType(), ir.IntType(64)
    words, reals = ir.VectorType(word, _VECTOR), ir.VectorType(real, _VECTOR)
    data = [context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in range(5)]

    def load(array: int, part: int, kind: ir.Type) -> ir.Value:
        at = builder.gep(data[array], [ir.Constant(long, part * _VECTOR)])
        value = builder.load(builder.bitcast(at, kind.as_pointer()))
        value.align = 4
        return value

    def spread(value: ir.Value, kind: ir.Type) -> ir.Value:
        single = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(word, 0))
        return builder.shuffle_vector(single, single, ir.Constant(words, [0] * _VECTOR))

    shift = spread(arguments[5], words)
    scale, residual, alone = (spread(argument, reals) for argument in arguments[6:])
    mask = ir.Constant(long, 0)
    for part in range(PANEL // _VECTOR):
        product = builder.sitofp(builder.sub(load(0, part, words), shift), reals)
        bound = builder.fadd(load(3, part, reals), alone)
        bound = builder.fadd(
            bound, builder.fmul(residual, load(2, part, reals), flags=["contract"]), flags=["contract"]
        )
        factor = builder.fmul(scale, load(1, part, reals))
        bound = builder.fadd(bound, builder.fmul(product, factor, flags=["contract"]), flags=["contract"])
        reached = builder.fcmp_ordered(">=", bound, load(4, part, reals))
        bits = builder.zext(builder.bitcast(reached, ir.IntType(_VECTOR)), long)
        mask = builder.or_(mask, builder.shl(bits, ir.Constant(long, part * _VECTOR)))
    return mask


@lean()
def from_column(column: int) -> int:
    """Return the 64 bits in which those from `column` on are set."""
    return np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(column) if column < PANEL else np.uint64(0)


@intrinsic
def lowest(typing, mask):
    """Return the number of the lowest bit that is set."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
