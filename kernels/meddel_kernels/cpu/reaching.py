"""Which columns of a row's products still matter: bounds and their comparison, sixteen columns at a time.

Formula. ``u_c = s s_c (p_c - offset) + r r_c - h_c`` from the whole products p of a row (see ``microkernel``), in
float32; the columns with ``u_c >= least`` are written down with their u, in ascending order.

The product of a row with a thousand centroids takes 0.14 us, so what is done with it must not take more: sixteen
bounds and their comparison are eight instructions, and only where one of them holds are columns written, by one
compressing store. (As a plain loop with a running maximum, LLVM leaves 0.54 us of scalar code; this takes 0.1.)

Contract. Contiguous arrays; columns are a multiple of 16. Reads 16 bytes a column, all from the first or second cache.
What float32 rounds here is the caller's to allow for (``lead.ROUNDING``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from meddel_kernels.cpu.lean import lean

LANES = 16
_WORD, _INDEX = ir.IntType(32), ir.IntType(64)
_WORDS, _FLOATS = ir.VectorType(_WORD, LANES), ir.VectorType(ir.FloatType(), LANES)
_BOUND = (
    types.uintp, types.intp, types.int32, types.float32, types.float32, types.uintp, types.uintp, types.uintp,
)  # fmt: skip


@intrinsic
def _reaching(typing, products, groups, offset, scale, residual, scales, residuals, halves, least, columns, bounds):
    """Do what `reaching` does, on addresses."""
    signature = types.intp(*_BOUND, types.float32, types.uintp, types.uintp)
    return signature, _reaching_code


@intrinsic
def _largest(typing, products, groups, offset, scale, residual, scales, residuals, halves, bounds, where):
    """Write, for each of 16 lanes, the largest bound (float32) and its group (int32), on addresses."""
    signature = types.void(*_BOUND, types.uintp, types.uintp)
    return signature, _largest_code


def _bound_of(builder: ir.IRBuilder, arguments: list[ir.Value]) -> Callable[[ir.Value], ir.Value]:
    """Return what gives the bounds of a group of columns."""
    products, _, offset, scale, residual, scales, residuals, halves = arguments
    shift, own, across = (_spread(builder, value) for value in (offset, scale, residual))

    def load(base: ir.Value, kind: ir.Type, at: ir.Value) -> ir.Value:
        place = builder.inttoptr(builder.add(base, builder.shl(at, ir.Constant(_INDEX, 6))), kind.as_pointer())
        value = builder.load(place)
        value.align = 4
        return value

    def bound(group: ir.Value) -> ir.Value:
        whole = builder.sitofp(builder.sub(load(products, _WORDS, group), shift), _FLOATS)
        along = builder.fmul(whole, builder.fmul(own, load(scales, _FLOATS, group)))
        both = builder.fadd(along, builder.fmul(across, load(residuals, _FLOATS, group)))
        return builder.fsub(both, load(halves, _FLOATS, group))

    return bound


def _reaching_code(context, builder, signature, arguments):
    groups, (least, columns, bounds) = arguments[1], arguments[8:]
    stores = {kind: _compressing_store(builder.module, kind) for kind in (_WORDS, _FLOATS)}
    bound_of, limit = _bound_of(builder, arguments[:8]), _spread(builder, least)
    lanes = ir.Constant(_WORDS, list(range(LANES)))
    entry, loop = builder.block, builder.append_basic_block("group")
    some, following, done = (builder.append_basic_block(name) for name in ("some", "next", "done"))
    builder.branch(loop)
    builder.position_at_end(loop)
    group, count = builder.phi(_INDEX), builder.phi(_INDEX)
    group.add_incoming(ir.Constant(_INDEX, 0), entry)
    count.add_incoming(ir.Constant(_INDEX, 0), entry)
    bound = bound_of(group)
    holds = builder.fcmp_ordered(">=", bound, limit)
    mask = builder.bitcast(holds, ir.IntType(LANES))
    builder.cbranch(builder.icmp_unsigned("==", mask, ir.Constant(mask.type, 0)), following, some)
    builder.position_at_end(some)
    first = builder.trunc(builder.shl(group, ir.Constant(_INDEX, 4)), _WORD)
    offset_in_bytes = builder.shl(count, ir.Constant(_INDEX, 2))
    for base, value in ((columns, builder.add(lanes, _spread(builder, first))), (bounds, bound)):
        place = builder.inttoptr(builder.add(base, offset_in_bytes), value.type.element.as_pointer())
        builder.call(stores[value.type], [value, place, holds])
    longer = builder.add(count, builder.zext(builder.ctpop(mask), _INDEX))
    builder.branch(following)
    builder.position_at_end(following)
    total = builder.phi(_INDEX)
    total.add_incoming(count, loop)
    total.add_incoming(longer, some)
    after = builder.add(group, ir.Constant(_INDEX, 1))
    group.add_incoming(after, following)
    count.add_incoming(total, following)
    builder.cbranch(builder.icmp_signed("<", after, groups), loop, done)
    builder.position_at_end(done)
    return total


def _largest_code(context, builder, signature, arguments):
    groups, targets = arguments[1], arguments[8:]
    bound_of = _bound_of(builder, arguments[:8])
    entry, loop, done = builder.block, builder.append_basic_block("group"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    group, best, where = builder.phi(_INDEX), builder.phi(_FLOATS), builder.phi(_WORDS)
    group.add_incoming(ir.Constant(_INDEX, 0), entry)
    best.add_incoming(ir.Constant(_FLOATS, [-3e38] * LANES), entry)
    where.add_incoming(ir.Constant(_WORDS, [0] * LANES), entry)
    bound = bound_of(group)
    larger = builder.fcmp_ordered(">", bound, best)
    kept = [
        builder.select(larger, bound, best),
        builder.select(larger, _spread(builder, builder.trunc(group, _WORD)), where),
    ]
    after = builder.add(group, ir.Constant(_INDEX, 1))
    for phi, value in zip((group, best, where), (after, *kept), strict=True):
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", after, groups), loop, done)
    builder.position_at_end(done)
    for base, value in zip(targets, kept, strict=True):
        builder.store(value, builder.inttoptr(base, value.type.as_pointer())).align = 4
    return context.get_dummy_value()


def _spread(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    kind = ir.VectorType(value.type, LANES)
    single = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(_WORD, LANES), [0] * LANES))


def _compressing_store(module: ir.Module, kind: ir.VectorType) -> ir.Function:
    name = f"llvm.masked.compressstore.v{LANES}{'i32' if kind.element == _WORD else 'f32'}"
    lanes = ir.VectorType(ir.IntType(1), LANES)
    known = module.globals.get(name)
    return known or ir.Function(module, ir.FunctionType(ir.VoidType(), [kind, kind.element.as_pointer(), lanes]), name)


@lean()
def reaching(
    products: np.ndarray, offset: int, scale: float, residual: float, scales: np.ndarray, residuals: np.ndarray,
    halves: np.ndarray, least: float, columns: np.ndarray, bounds: np.ndarray,
) -> int:  # fmt: skip
    """Write the columns whose bound reaches `least` into `columns`, the bounds into `bounds`; return their number.

    Parameters
    ----------
    products : int32 [c]
        A row of what `microkernel.multiply` gives, c a multiple of 16.
    offset, scale, residual : int, float, float
        Of the row: 128 times the sum of its whole numbers, s, and r.
    scales, residuals, halves : float32 [c]
        Of the columns: s, r and h.
    least : float
    columns, bounds : int32 [c], float32 [c]
    """
    return _reaching(
        np.uintp(products.ctypes.data), np.intp(products.shape[0] // LANES), np.int32(offset), np.float32(scale),
        np.float32(residual), np.uintp(scales.ctypes.data), np.uintp(residuals.ctypes.data),
        np.uintp(halves.ctypes.data), np.float32(least), np.uintp(columns.ctypes.data), np.uintp(bounds.ctypes.data),
    )  # fmt: skip


@lean()
def largest_bound(
    products: np.ndarray, offset: int, scale: float, residual: float, scales: np.ndarray, residuals: np.ndarray,
    halves: np.ndarray, columns: np.ndarray, bounds: np.ndarray,
) -> int:  # fmt: skip
    """Return the column of the largest bound; `columns` and `bounds` are room for 16, the rest is as above."""
    _largest(
        np.uintp(products.ctypes.data), np.intp(products.shape[0] // LANES), np.int32(offset), np.float32(scale),
        np.float32(residual), np.uintp(scales.ctypes.data), np.uintp(residuals.ctypes.data),
        np.uintp(halves.ctypes.data), np.uintp(bounds.ctypes.data), np.uintp(columns.ctypes.data),
    )  # fmt: skip
    best = 0
    for lane in range(LANES):
        if bounds[lane] > bounds[best]:
            best = lane
    return columns[best] * LANES + best
