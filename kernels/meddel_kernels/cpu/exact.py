"""The numbers that decide, bit for bit as the reference has them: one pair of rows, float64, NumPy's order of sums.

Formula. ``sum_j (a_j - b_j)^2`` and ``sum_j a_j b_j``, each term rounded to float64, added up as NumPy adds up a
contiguous row: up to 128 terms in eight running sums, joined as ``((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))``, then
what is left over of eight; longer rows in two halves, the first a multiple of eight.

The eight running sums are one AVX-512 register (two of AVX2, four of Neon), so that the exact number costs what any
other float64 number costs. LLVM does not find that by itself, so the loop over eight lanes is written as vector
instructions. Nothing is fused or reordered: that would change the last bit.

Contract. Matrices with contiguous rows, float32 or float64, finite. Reads d values of each row. Ladder, d = 768,
float32 against float64: eight scalars 1.5 us, eight lanes 0.5 us (two busy cores).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from meddel_kernels.cpu.lean import lean

LANES = 8
BLOCK = 128
DEPTH = 64

_ELEMENTS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


@intrinsic
def _difference_lanes(typing, a, i, b, j, start, count):
    """Return the joined eight sums of squared differences over `count` values from `start`, a multiple of 8 above 0."""
    return _signature(a, b), _code(lambda builder, x, y: _square(builder, builder.fsub(x, y)))


@intrinsic
def _product_lanes(typing, a, i, b, j, start, count):
    """Return the joined eight sums of products over `count` values from `start`, a multiple of 8 above 0."""
    return _signature(a, b), _code(lambda builder, x, y: builder.fmul(x, y))


def _square(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    return builder.fmul(value, value)


def _signature(a: types.Array, b: types.Array) -> object:
    return types.float64(a, types.intp, b, types.intp, types.intp, types.intp)


def _code(term: Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]) -> Callable:
    """Return the code of a loop that adds up terms of eight lanes."""
    wide, index = ir.VectorType(ir.DoubleType(), LANES), ir.IntType(64)

    def generate(context, builder, signature, arguments):
        def row(number: int) -> tuple[ir.Value, ir.Type]:
            kind = signature.args[number]
            array = context.make_array(kind)(context, builder, arguments[number])
            columns = cgutils.unpack_tuple(builder, array.shape, 2)[1]
            element = _ELEMENTS[kind.dtype]
            offset = builder.add(builder.mul(arguments[number + 1], columns), arguments[4])
            return builder.gep(builder.bitcast(array.data, element.as_pointer()), [offset]), element

        def load(source: tuple[ir.Value, ir.Type], at: ir.Value) -> ir.Value:
            pointer, element = source
            vector = ir.VectorType(element, LANES)
            value = builder.load(builder.bitcast(builder.gep(pointer, [at]), vector.as_pointer()))
            value.align = 1
            return value if element == ir.DoubleType() else builder.fpext(value, wide)

        left, right = row(0), row(2)
        entry, loop = builder.block, builder.append_basic_block("lanes")
        done = builder.append_basic_block("joined")
        builder.branch(loop)
        builder.position_at_end(loop)
        at, running = builder.phi(index), builder.phi(wide)
        at.add_incoming(ir.Constant(index, 0), entry)
        running.add_incoming(ir.Constant(wide, [0.0] * LANES), entry)
        total = builder.fadd(running, term(builder, load(left, at), load(right, at)))
        following = builder.add(at, ir.Constant(index, LANES))
        at.add_incoming(following, loop)
        running.add_incoming(total, loop)
        builder.cbranch(builder.icmp_signed("<", following, arguments[5]), loop, done)
        builder.position_at_end(done)
        sums = [builder.extract_element(total, ir.Constant(ir.IntType(32), lane)) for lane in range(LANES)]
        while len(sums) > 1:
            sums = [builder.fadd(sums[i], sums[i + 1]) for i in range(0, len(sums), 2)]
        return sums[0]

    return generate


def plan(d: int) -> np.ndarray:
    """Return how a row of d values is cut, int64 [m, 3]: where each piece starts and stops, and how many sums it ends.

    (Numba can't cache a function that calls itself, so the halving is written down beforehand.)
    """
    pieces: list[list[int]] = []

    def cut(start: int, stop: int) -> None:
        if stop - start <= BLOCK:
            pieces.append([start, stop, 0])
            return
        half = start + (stop - start) // 2 // LANES * LANES
        cut(start, half)
        cut(half, stop)
        pieces[-1][2] += 1

    cut(0, d)
    return np.array(pieces, np.int64)


@lean()
def squared_difference(a: np.ndarray, i: int, b: np.ndarray, j: int, cuts: np.ndarray, stack: np.ndarray) -> float:
    """Return the squared distance of row `i` of `a` [n, d] to row `j` of `b` [m, d].

    `cuts` is ``plan(d)``, `stack` is room for its sums: float64 [DEPTH].
    """
    return _sum(a, i, b, j, cuts, stack, True)


@lean()
def product(a: np.ndarray, i: int, b: np.ndarray, j: int, cuts: np.ndarray, stack: np.ndarray) -> float:
    """Return the product of row `i` of `a` [n, d] and row `j` of `b` [m, d]; the rest as for `squared_difference`."""
    return _sum(a, i, b, j, cuts, stack, False)


@lean()
def _sum(a: np.ndarray, i: int, b: np.ndarray, j: int, cuts: np.ndarray, stack: np.ndarray, difference: bool) -> float:
    """Add up the pieces of `cuts`: squared differences, or products."""
    top = 0
    for piece in range(cuts.shape[0]):
        start, stop = cuts[piece, 0], cuts[piece, 1]
        whole = (stop - start) // LANES * LANES
        total = 0.0
        if whole and difference:
            total = _difference_lanes(a, i, b, j, start, whole)
        elif whole:
            total = _product_lanes(a, i, b, j, start, whole)
        for column in range(start + whole, stop):
            x, y = np.float64(a[i, column]), np.float64(b[j, column])
            total += (x - y) * (x - y) if difference else x * y
        for _ in range(cuts[piece, 2]):
            top -= 1
            total = stack[top] + total
        stack[top] = total
        top += 1
    return stack[0]
