"""Loops written as LLVM instructions, which LLVM does not find in plain code; no C compiler is needed.

- `filter_bounds` and `largest_bound`: bounds from a row's products and their comparison, sixteen columns at a time, and
  one compressing store where some hold. 0.1 us for a thousand columns; a plain loop takes 0.54.
- `reaching`: the same for a tile of 64 columns, whose answer is 64 bits.
- `sum_of_squares`, `sum_of_products`: eight running sums, joined as NumPy joins them; nothing is fused or reordered.
- `quotients`: the correctly rounded division by one number (see ``unit_rows``).
- `magnitude`, `ones`, `lowest`: bits of a float64 without its sign, bits that are set, the lowest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen, config
from numba.extending import intrinsic

njit = partial(numba.njit, cache=True, nogil=True)
njit_raw = partial(njit, _nrt=False)
"""Without reference counts, which take 1.5 us a call with tuples of arrays; the caller brings a workspace along."""

_GIVEN = config.CPU_FEATURES if config.CPU_FEATURES is not None else codegen.get_host_cpu_features()
FEATURES = frozenset(name[1:] for name in _GIVEN.split(",") if name.startswith("+"))
"""LLVM's names of what compiled code may use, less than there is if ``NUMBA_CPU_FEATURES`` says so."""

ROWS = 6  # of `microkernel.multiply`: arrays go on for so many rows more than are asked for
TILE = 64
LANES = 16
SUMS = 8

_BIT, WORD, LONG, _REAL, _DOUBLE = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()
_WORDS, _REALS = ir.VectorType(WORD, LANES), ir.VectorType(_REAL, LANES)
_DOUBLES = ir.VectorType(_DOUBLE, SUMS)

Build = Callable[..., list[ir.Value]]


def loop(builder: ir.IRBuilder, stop: ir.Value, step: int, carried: Sequence[ir.Value], body: Build) -> list[ir.Value]:
    """Call ``body(index, values)`` with index 0, `step`, ... below `stop` (above 0); return what it carried last."""
    entry, loop, done = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    index, values = builder.phi(LONG), [builder.phi(value.type) for value in carried]
    for phi, value in zip((index, *values), (LONG(0), *carried), strict=True):
        phi.add_incoming(value, entry)
    results = body(index, values)
    following = builder.add(index, LONG(step))
    for phi, value in zip((index, *values), (following, *results), strict=True):
        phi.add_incoming(value, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, stop), loop, done)
    builder.position_at_end(done)
    return results


def spread(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """Return a vector of equal values."""
    single = builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, WORD(0))
    return builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(WORD, lanes), [0] * lanes))


def _place(builder: ir.IRBuilder, base: ir.Value, at: ir.Value | int, kind: ir.Type) -> ir.Value:
    """Return a pointer to a `kind`, `at` bytes from an address, or `at` elements from a pointer."""
    if base.type == LONG:
        return builder.inttoptr(builder.add(base, at if isinstance(at, ir.Value) else LONG(at)), kind.as_pointer())
    return builder.bitcast(builder.gep(base, [at if isinstance(at, ir.Value) else LONG(at)]), kind.as_pointer())


def load(builder: ir.IRBuilder, base: ir.Value, at: ir.Value | int, kind: ir.Type) -> ir.Value:
    """Load a `kind`, `at` bytes from an address, or `at` elements from a pointer."""
    value = builder.load(_place(builder, base, at, kind))
    value.align = 1
    return value


def store(builder: ir.IRBuilder, value: ir.Value, base: ir.Value, at: ir.Value | int) -> None:
    """Store a value in such a place."""
    builder.store(value, _place(builder, base, at, value.type)).align = 1


def call(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Value]) -> ir.Value:
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), arguments)


def _data(context, builder: ir.IRBuilder, signature, arguments, number: int) -> ir.Value:
    return context.make_array(signature.args[number])(context, builder, arguments[number]).data


@intrinsic
def filter_bounds(typing, products, offset, scale, residual, scales, residuals, halves, least, columns, bounds):
    """Write the columns whose bound reaches `least` to `columns`, ascending, the bounds to `bounds`; return how many.

    The bound of column c is ``u_c = scale scales_c (products_c - offset) + residual residuals_c - halves_c`` in
    float32; what that rounds is the caller's to allow for. `products` is int32 [c], c a multiple of 16, and so are
    `scales`, `residuals` and `halves`, float32; `columns` int32 and `bounds` float32 have room for 16 more than pass.
    """
    real = types.float32
    signature = types.intp(products, types.int32, real, real, scales, residuals, halves, real, columns, bounds)
    return signature, _filter_code


def _filter_code(context, builder, signature, arguments):
    groups, bound_of = _bounds(context, builder, signature, arguments)
    columns, bounds = (_data(context, builder, signature, arguments, number) for number in (8, 9))
    limit, lanes = spread(builder, arguments[7], LANES), ir.Constant(_WORDS, list(range(LANES)))

    def body(first: ir.Value, counts: list[ir.Value]) -> list[ir.Value]:
        bound, before = bound_of(first), builder.block
        holds = builder.fcmp_ordered(">=", bound, limit)
        mask = builder.bitcast(holds, ir.IntType(LANES))
        some, following = builder.append_basic_block("some"), builder.append_basic_block("next")
        builder.cbranch(builder.icmp_unsigned("==", mask, mask.type(0)), following, some)
        builder.position_at_end(some)
        numbers = builder.add(lanes, spread(builder, builder.trunc(first, WORD), LANES))
        for base, value, kind in ((columns, numbers, "i32"), (bounds, bound, "f32")):
            place = builder.gep(base, [counts[0]])
            call(builder, f"llvm.masked.compressstore.v{LANES}{kind}", ir.VoidType(), [value, place, holds])
        longer = builder.add(counts[0], builder.zext(builder.ctpop(mask), LONG))
        builder.branch(following)
        builder.position_at_end(following)
        total = builder.phi(LONG)
        total.add_incoming(counts[0], before)
        total.add_incoming(longer, some)
        return [total]

    return loop(builder, groups, LANES, [LONG(0)], body)[0]


@intrinsic
def _largest(typing, products, offset, scale, residual, scales, residuals, halves, columns, bounds):
    """Write, for each of 16 lanes, the largest bound to `bounds` and its first column to `columns`."""
    real = types.float32
    signature = types.void(products, types.int32, real, real, scales, residuals, halves, columns, bounds)
    return signature, _largest_code


def _largest_code(context, builder, signature, arguments):
    columns, bound_of = _bounds(context, builder, signature, arguments)

    def body(first: ir.Value, kept: list[ir.Value]) -> list[ir.Value]:
        bound, number = bound_of(first), spread(builder, builder.trunc(first, WORD), LANES)
        larger = builder.fcmp_ordered(">", bound, kept[0])
        return [builder.select(larger, bound, kept[0]), builder.select(larger, number, kept[1])]

    start = [ir.Constant(_REALS, [-3e38] * LANES), ir.Constant(_WORDS, [0] * LANES)]
    for value, number in zip(loop(builder, columns, LANES, start, body), (8, 7), strict=True):
        store(builder, value, _data(context, builder, signature, arguments, number), 0)
    return context.get_dummy_value()


def _bounds(context, builder, signature, arguments) -> tuple[ir.Value, Callable[[ir.Value], ir.Value]]:
    """Return the number of columns, and what gives the bounds of 16 of them."""
    shape = context.make_array(signature.args[0])(context, builder, arguments[0]).shape
    products, scales, residuals, halves = (_data(context, builder, signature, arguments, n) for n in (0, 4, 5, 6))
    shift, scale, residual = (spread(builder, value, LANES) for value in arguments[1:4])

    def bound(first: ir.Value) -> ir.Value:
        whole = builder.sitofp(builder.sub(load(builder, products, first, _WORDS), shift), _REALS)
        along = builder.fmul(whole, builder.fmul(scale, load(builder, scales, first, _REALS)))
        both = builder.fadd(along, builder.fmul(residual, load(builder, residuals, first, _REALS)))
        return builder.fsub(both, load(builder, halves, first, _REALS))

    return cgutils.unpack_tuple(builder, shape, 1)[0], bound


@njit_raw()
def largest_bound(
    products: np.ndarray, offset: int, scale: float, residual: float, scales: np.ndarray, residuals: np.ndarray,
    halves: np.ndarray, columns: np.ndarray, bounds: np.ndarray,
) -> int:  # fmt: skip
    """Return the column of the largest bound; `columns` and `bounds` have room for 16, the rest is as above."""
    _largest(products, offset, scale, residual, scales, residuals, halves, columns, bounds)
    best = 0
    for lane in range(LANES):
        if bounds[lane] > bounds[best]:
            best = lane
    return columns[best] + best


@intrinsic
def reaching(typing, products, scales, residuals, offsets, least, shift, scale, residual, alone):
    """Return as 64 bits which of 64 columns' bounds reach `least`.

    The bound of column c is ``scale scales_c (products_c - shift) + residual residuals_c + offsets_c + alone``.
    """
    real = types.float32
    signature = types.uint64(products, scales, residuals, offsets, least, types.int32, real, real, real)
    return signature, _reaching_code


def _reaching_code(context, builder, signature, arguments):
    data = [_data(context, builder, signature, arguments, number) for number in range(5)]
    shift, scale, residual, alone = (spread(builder, argument, LANES) for argument in arguments[5:])
    mask, fused = LONG(0), ["contract"]
    for first in range(0, TILE, LANES):
        whole, *parts = (load(builder, data[n], first, _REALS if n else _WORDS) for n in range(5))
        product = builder.sitofp(builder.sub(whole, shift), _REALS)
        bound = builder.fadd(parts[2], alone)
        bound = builder.fadd(bound, builder.fmul(residual, parts[1], flags=fused), flags=fused)
        bound = builder.fadd(bound, builder.fmul(product, builder.fmul(scale, parts[0]), flags=fused), flags=fused)
        reached = builder.bitcast(builder.fcmp_ordered(">=", bound, parts[3]), ir.IntType(LANES))
        mask = builder.or_(mask, builder.shl(builder.zext(reached, LONG), LONG(first)))
    return mask


@intrinsic
def sum_of_squares(typing, a, i, b, j, start, count):
    """Return the joined eight sums of ``(a_i - b_j)^2`` over `count` values from `start`, a multiple of 8 above 0."""
    return _pair_signature(a, b), partial(_sums_code, True)


@intrinsic
def sum_of_products(typing, a, i, b, j, start, count):
    """Return the joined eight sums of ``a_i b_j``; the rest as for `sum_of_squares`."""
    return _pair_signature(a, b), partial(_sums_code, False)


def _pair_signature(a: types.Array, b: types.Array) -> object:
    return types.float64(a, types.intp, b, types.intp, types.intp, types.intp)


def _sums_code(difference: bool, context, builder, signature, arguments):
    def row(number: int) -> tuple[ir.Value, bool]:
        array = context.make_array(signature.args[number])(context, builder, arguments[number])
        columns = cgutils.unpack_tuple(builder, array.shape, 2)[1]
        offset = builder.add(builder.mul(arguments[number + 1], columns), arguments[4])
        return builder.gep(array.data, [offset]), signature.args[number].dtype == types.float32

    def body(at: ir.Value, running: list[ir.Value]) -> list[ir.Value]:
        left, right = (_wide(builder, base, at, narrow) for base, narrow in rows)
        apart = builder.fsub(left, right) if difference else None
        return [builder.fadd(running[0], builder.fmul(apart or left, apart or right))]

    rows = row(0), row(2)
    total = loop(builder, arguments[5], SUMS, [ir.Constant(_DOUBLES, [0.0] * SUMS)], body)[0]
    sums = [builder.extract_element(total, WORD(lane)) for lane in range(SUMS)]
    while len(sums) > 1:
        sums = [builder.fadd(sums[i], sums[i + 1]) for i in range(0, len(sums), 2)]
    return sums[0]


def _wide(builder: ir.IRBuilder, base: ir.Value, at: ir.Value, narrow: bool) -> ir.Value:
    """Load eight values as float64."""
    if not narrow:
        return load(builder, base, at, _DOUBLES)
    return builder.fpext(load(builder, base, at, ir.VectorType(_REAL, SUMS)), _DOUBLES)


@intrinsic
def quotients(typing, source, target, by, inverse, count):
    """Write `count` values of `source`, a multiple of 8, divided by a number and rounded to float64, to `target`."""
    signature = types.void(source, target, types.float64, types.float64, types.intp)

    def generate(context, builder, signature, arguments):
        data = [_data(context, builder, signature, arguments, number) for number in range(2)]
        by, inverse = (spread(builder, value, SUMS) for value in arguments[2:4])

        def body(at: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            value = _wide(builder, data[0], at, signature.args[0].dtype == types.float32)
            quotient, name = builder.fmul(value, inverse), f"llvm.fma.v{SUMS}f64"
            for _step in range(2):
                rest = call(builder, name, _DOUBLES, [builder.fneg(quotient), by, value])
                quotient = call(builder, name, _DOUBLES, [rest, inverse, quotient])
            store(builder, quotient, data[1], at)
            return []

        loop(builder, arguments[4], SUMS, [], body)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def magnitude(typing, value):
    """Return the bits of a float64 without its sign, as a whole number: the larger number has the larger bits."""

    def generate(context, builder, signature, arguments):
        return builder.and_(builder.bitcast(arguments[0], LONG), LONG(2**63 - 1))

    return types.int64(types.float64), generate


@intrinsic
def ones(typing, word):
    """Return the number of bits that are set in a uint64."""
    return types.uint64(types.uint64), lambda context, builder, signature, arguments: builder.ctpop(arguments[0])


@intrinsic
def lowest(typing, mask):
    """Return the number of the lowest bit that is set in a uint64 above 0."""
    return types.int64(types.uint64), lambda context, builder, signature, arguments: builder.cttz(arguments[0], _BIT(1))
