"""Products of int8 rows with a panel of 64 columns, summed in int32: the arithmetic of every screen.

Formula. ``out[r, c] = sum_j a[r, j] * (b[c, j] + 128)``: six rows of a, int8, times a panel of 64 rows of b, which
are packed four values at a time as unsigned bytes, because ``vpdpbusd`` multiplies unsigned by signed. Whoever reads
`out` takes ``128 * sum_j a[r, j]`` off again. Whole numbers: no rounding, no order.

A stripe of the panel is done at a time, as wide as the registers allow: with AVX-512 the whole panel (24 accumulators,
4 loads and a broadcast fill 32 registers of 16 numbers), else a quarter of it or less. No C compiler is needed: the
loop is written as LLVM instructions inside a Numba function. What multiplies four bytes depends on the processor:

| has | four products and their sum by | numbers at a time |
| --- | --- | --- |
| AVX-512 VNNI | ``vpdpbusd`` | 16 |
| AVX-VNNI (laptops, mostly) | ``vpdpbusd`` | 8 |
| AVX2 | ``vpmaddwd``, twice: bytes of even and of odd places as 16-bit numbers | 8 |
| SSE2 (any x86) | ``pmaddwd``, the same | 4 |
| Arm I8MM | ``usdot`` (compiled in the tests, not run) | 4 |
| anything else | shifts and 32-bit products | 4 |

Contract. `a` int8 [rows, d] with contiguous rows, d a multiple of 4. Operations 2 rows d 64 a panel; bytes read: the
rows from the first-level cache, 64 d of panel once per six rows. Ladder, one core of a Zen 5,
d = 768, with what that core has and with less: SSE2 67 Gop/s, float32 BLAS 128, AVX2 175, AVX-VNNI 525, AVX-512 VNNI
1042.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.processor import FEATURES

ROWS = 6
PANEL = 64
_WORD, _INDEX = ir.IntType(32), ir.IntType(64)
if "avx512vnni" in FEATURES:
    _LANES, _VECTORS, INSTRUCTION = 16, 4, "llvm.x86.avx512.vpdpbusd.512"
elif "avxvnni" in FEATURES:
    _LANES, _VECTORS, INSTRUCTION = 8, 2, "llvm.x86.avx512.vpdpbusd.256"
elif "avx2" in FEATURES:
    _LANES, _VECTORS, INSTRUCTION = 8, 2, "llvm.x86.avx2.pmadd.wd"
elif "sse2" in FEATURES:
    _LANES, _VECTORS, INSTRUCTION = 4, 2, "llvm.x86.sse2.pmadd.wd"
elif "i8mm" in FEATURES:
    _LANES, _VECTORS, INSTRUCTION = 4, 4, "llvm.aarch64.neon.usdot.v4i32.v16i8"
else:
    _LANES, _VECTORS, INSTRUCTION = 4, 2, ""
_STRIPE = _LANES * _VECTORS
_VECTOR, _HALVES = ir.VectorType(_WORD, _LANES), ir.VectorType(ir.IntType(16), 2 * _LANES)
_BYTES = ir.VectorType(ir.IntType(8), 4 * _LANES)


@intrinsic
def _tile(typing, a, stride, panel, quads, out, out_stride):
    """Multiply ROWS rows at address `a` with the stripe at address `panel` into int32 at address `out`."""
    signature = types.void(types.uintp, types.intp, types.uintp, types.intp, types.uintp, types.intp)
    return signature, _tile_code


def _tile_code(context, builder, signature, arguments):
    a, stride, panel, quads, out, out_stride = arguments
    zero = ir.Constant(_VECTOR, [0] * _LANES)
    entry, loop = builder.block, builder.append_basic_block("quads")
    done = builder.append_basic_block("store")
    builder.branch(loop)
    builder.position_at_end(loop)
    quad = builder.phi(_INDEX)
    quad.add_incoming(ir.Constant(_INDEX, 0), entry)
    sums = [[builder.phi(_VECTOR) for _ in range(_VECTORS)] for _ in range(ROWS)]

    def load(address: ir.Value, kind: ir.Type) -> ir.Value:
        value = builder.load(builder.inttoptr(address, kind.as_pointer()))
        value.align = 1
        return value

    split, multiplied = _arithmetic(builder)
    start = builder.add(panel, builder.mul(quad, ir.Constant(_INDEX, 4 * PANEL)))
    places = [builder.add(start, ir.Constant(_INDEX, 4 * _LANES * v)) for v in range(_VECTORS)]
    columns = [split(load(place, _VECTOR), False) for place in places]
    totals = []
    for row in range(ROWS):
        address = builder.add(a, builder.mul(stride, ir.Constant(_INDEX, row)))
        four = load(builder.add(address, builder.shl(quad, ir.Constant(_INDEX, 2))), _WORD)
        spread = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), four, ir.Constant(_WORD, 0))
        spread = split(builder.shuffle_vector(spread, spread, zero), True)
        totals.append([multiplied(sums[row][v], columns[v], spread) for v in range(_VECTORS)])
    following = builder.add(quad, ir.Constant(_INDEX, 1))
    quad.add_incoming(following, loop)
    for row in range(ROWS):
        for v in range(_VECTORS):
            sums[row][v].add_incoming(zero, entry)
            sums[row][v].add_incoming(totals[row][v], loop)
    builder.cbranch(builder.icmp_signed("<", following, quads), loop, done)
    builder.position_at_end(done)
    for row in range(ROWS):
        base = builder.add(out, builder.mul(out_stride, ir.Constant(_INDEX, 4 * row)))
        for v in range(_VECTORS):
            address = builder.add(base, ir.Constant(_INDEX, 4 * _LANES * v))
            builder.store(totals[row][v], builder.inttoptr(address, _VECTOR.as_pointer())).align = 4
    return context.get_dummy_value()


def _arithmetic(builder: ir.IRBuilder) -> tuple[Callable[..., list[ir.Value]], Callable[..., ir.Value]]:
    """Return what splits words of four bytes (signed or not) into factors, and what adds products of such factors."""
    if "vpdpbusd" in INSTRUCTION:
        dot = _function(builder, [_VECTOR] * 3)
        return lambda words, signed: [words], lambda total, b, a: builder.call(dot, [total, b[0], a[0]])
    if "usdot" in INSTRUCTION:
        dot = _function(builder, [_VECTOR, _BYTES, _BYTES])
        return (
            lambda words, signed: [builder.bitcast(words, _BYTES)],
            lambda total, b, a: builder.call(dot, [total, b[0], a[0]]),
        )
    if "pmadd" in INSTRUCTION:
        dot, eight = _function(builder, [_HALVES] * 2), ir.Constant(_HALVES, [8] * (2 * _LANES))

        def halves(words: ir.Value, signed: bool) -> list[ir.Value]:
            odd, shift = builder.bitcast(words, _HALVES), builder.ashr if signed else builder.lshr
            return [shift(builder.shl(odd, eight), eight), shift(odd, eight)]

        def added(total: ir.Value, b: list[ir.Value], a: list[ir.Value]) -> ir.Value:
            for left, right in zip(b, a, strict=True):
                total = builder.add(total, builder.call(dot, [left, right]))
            return total

        return halves, added

    def bytes_of(words: ir.Value, signed: bool) -> list[ir.Value]:
        top, shift = ir.Constant(_VECTOR, [24] * _LANES), builder.ashr if signed else builder.lshr
        lifts = [ir.Constant(_VECTOR, [24 - 8 * place] * _LANES) for place in range(4)]
        return [shift(builder.shl(words, lift), top) for lift in lifts]

    def summed(total: ir.Value, b: list[ir.Value], a: list[ir.Value]) -> ir.Value:
        for left, right in zip(b, a, strict=True):
            total = builder.add(total, builder.mul(left, right))
        return total

    return bytes_of, summed


def _function(builder: ir.IRBuilder, arguments: list[ir.Type]) -> ir.Function:
    kind = ir.FunctionType(_VECTOR, arguments)
    return builder.module.globals.get(INSTRUCTION) or ir.Function(builder.module, kind, INSTRUCTION)


@lean()
def pack(rows: np.ndarray, panels: np.ndarray) -> None:
    """Pack int8 rows [m, d] into `panels`, uint8 [ceil(m / 64), d / 4, 64, 4]; missing rows are zeros (128)."""
    panels[:] = 128
    for row in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            panels[row // PANEL, column // 4, row % PANEL, column % 4] = rows[row, column] + 128


@lean()
def multiply(a: np.ndarray, start: int, stop: int, panels: np.ndarray, first: int, last: int, out: np.ndarray) -> None:
    """Write the products of rows `start` to `stop` of `a` with panels `first` to `last` into the head of `out`.

    Both `a` and `out` (int32, ``64 * (last - first)`` columns) go on for up to five rows more than asked for.
    """
    stride, quads = a.shape[1], a.shape[1] // 4
    for panel in range(first, last):
        address = panels.ctypes.data + np.intp(panel) * quads * PANEL * 4
        for row in range(start, stop, ROWS):
            place = np.intp(row - start) * out.shape[1] + (panel - first) * PANEL
            for stripe in range(0, PANEL, _STRIPE):
                _tile(
                    np.uintp(a.ctypes.data + np.intp(row) * stride), stride, np.uintp(address + 4 * stripe), quads,
                    np.uintp(out.ctypes.data + 4 * (place + stripe)), out.shape[1],
                )  # fmt: skip
