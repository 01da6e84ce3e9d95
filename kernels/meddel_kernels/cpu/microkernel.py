"""Products of int8 rows with a tile of 64 columns, summed in int32: the arithmetic of every screen.

Formula. ``out[r, c] = sum_j a[r, j] * (b[c, j] + 128)``: six rows of a, int8, times a tile of 64 rows of b, which are
packed four values at a time as unsigned bytes, because ``vpdpbusd`` multiplies unsigned by signed. Whoever reads `out`
subtracts ``128 * sum_j a[r, j]``. Whole numbers: no rounding, no order.

A stripe of the tile is done at a time, as wide as the registers allow: with AVX-512 the whole tile (24 accumulators, 4
loads and a broadcast fill 32 registers of 16 numbers), else a quarter of it or less. What multiplies four bytes depends
on the processor (Gop/s of one core of a Zen 5, d = 768, with what it has and with less; float32 BLAS 128):

| has | four products and their sum by | numbers at a time | Gop/s |
| --- | --- | --- | ---: |
| AVX-512 VNNI | ``vpdpbusd`` | 16 | 1042 |
| AVX-VNNI (laptops, mostly) | ``vpdpbusd`` | 8 | 525 |
| AVX2 | ``vpmaddwd``, twice: bytes of even and of odd places as 16-bit numbers | 8 | 175 |
| SSE2 (any x86) | ``pmaddwd``, the same | 4 | 67 |
| Arm I8MM | ``usdot`` (compiled in the tests, not run) | 4 | |
| anything else | shifts and 32-bit products | 4 | |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from meddel_kernels.cpu.llvm import FEATURES, LONG, ROWS, TILE, WORD, call, load, loop, njit_raw, spread, store

if "avx512vnni" in FEATURES:
    _WIDE, _VECTORS, INSTRUCTION = 16, 4, "llvm.x86.avx512.vpdpbusd.512"
elif "avxvnni" in FEATURES:
    _WIDE, _VECTORS, INSTRUCTION = 8, 2, "llvm.x86.avx512.vpdpbusd.256"
elif "avx2" in FEATURES:
    _WIDE, _VECTORS, INSTRUCTION = 8, 2, "llvm.x86.avx2.pmadd.wd"
elif "sse2" in FEATURES:
    _WIDE, _VECTORS, INSTRUCTION = 4, 2, "llvm.x86.sse2.pmadd.wd"
elif "i8mm" in FEATURES:
    _WIDE, _VECTORS, INSTRUCTION = 4, 4, "llvm.aarch64.neon.usdot.v4i32.v16i8"
else:
    _WIDE, _VECTORS, INSTRUCTION = 4, 2, ""
_STRIPE, _VECTOR = _WIDE * _VECTORS, ir.VectorType(WORD, _WIDE)


@intrinsic
def _stripe(typing, a, stride, tile, quads, out, out_stride):
    """Multiply ROWS rows at address `a` with the stripe at address `tile` into int32 at address `out`."""
    signature = types.void(types.uintp, types.intp, types.uintp, types.intp, types.uintp, types.intp)
    return signature, stripe_code


def stripe_code(context, builder, signature, arguments):
    """Build the loop over the columns of ROWS rows and a stripe."""
    a, stride, tile, quads, out, out_stride = arguments
    split, multiplied = _arithmetic(builder)

    def body(quad: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        start = builder.add(tile, builder.mul(quad, LONG(4 * TILE)))
        columns = [split(load(builder, start, 4 * _WIDE * v, _VECTOR), False) for v in range(_VECTORS)]
        totals = []
        for row in range(ROWS):
            address = builder.add(a, builder.mul(stride, LONG(row)))
            four = load(builder, address, builder.shl(quad, LONG(2)), WORD)
            factors = split(spread(builder, four, _WIDE), True)
            totals += [multiplied(sums[row * _VECTORS + v], columns[v], factors) for v in range(_VECTORS)]
        return totals

    totals = loop(builder, quads, 1, [ir.Constant(_VECTOR, [0] * _WIDE)] * (ROWS * _VECTORS), body)
    for row in range(ROWS):
        base = builder.add(out, builder.mul(out_stride, LONG(4 * row)))
        for v in range(_VECTORS):
            store(builder, totals[row * _VECTORS + v], base, 4 * _WIDE * v)
    return context.get_dummy_value()


def _arithmetic(builder: ir.IRBuilder) -> tuple[Callable[..., list[ir.Value]], Callable[..., ir.Value]]:
    """Return what splits words of four bytes (signed or not) into factors, and what adds products of such factors."""
    if "vpdpbusd" in INSTRUCTION or "usdot" in INSTRUCTION:
        kind = _VECTOR if "vpdpbusd" in INSTRUCTION else ir.VectorType(ir.IntType(8), 4 * _WIDE)
        return (
            lambda words, signed: [builder.bitcast(words, kind)],
            lambda total, b, a: call(builder, INSTRUCTION, _VECTOR, [total, b[0], a[0]]),
        )
    halves = ir.VectorType(ir.IntType(16), 2 * _WIDE)

    def factors(words: ir.Value, signed: bool) -> list[ir.Value]:
        shift = builder.ashr if signed else builder.lshr
        if INSTRUCTION:
            odd, eight = builder.bitcast(words, halves), ir.Constant(halves, [8] * (2 * _WIDE))
            return [shift(builder.shl(odd, eight), eight), shift(odd, eight)]
        lifts = [ir.Constant(_VECTOR, [24 - 8 * place] * _WIDE) for place in range(4)]
        return [shift(builder.shl(words, lift), ir.Constant(_VECTOR, [24] * _WIDE)) for lift in lifts]

    def added(total: ir.Value, b: list[ir.Value], a: list[ir.Value]) -> ir.Value:
        for left, right in zip(b, a, strict=True):
            product = call(builder, INSTRUCTION, _VECTOR, [left, right]) if INSTRUCTION else builder.mul(left, right)
            total = builder.add(total, product)
        return total

    return factors, added


@njit_raw()
def multiply(a: np.ndarray, start: int, stop: int, tiles: np.ndarray, first: int, last: int, out: np.ndarray) -> None:
    """Write the products of rows `start` to `stop` of `a` with tiles `first` to `last` into the head of `out`.

    `a` is int8 [rows, d], rows contiguous, d a multiple of 4; `tiles` uint8 [., d / 4, 64, 4]. Both `a` and `out`
    (int32, ``64 * (last - first)`` columns) go on for up to five rows more than asked for.
    """
    stride, quads = a.shape[1], a.shape[1] // 4
    for tile in range(first, last):
        address = tiles.ctypes.data + np.intp(tile) * quads * TILE * 4
        for row in range(start, stop, ROWS):
            place = np.intp(row - start) * out.shape[1] + (tile - first) * TILE
            for stripe in range(0, TILE, _STRIPE):
                _stripe(
                    np.uintp(a.ctypes.data + np.intp(row) * stride), stride, np.uintp(address + 4 * stripe), quads,
                    np.uintp(out.ctypes.data + 4 * (place + stripe)), out.shape[1],
                )  # fmt: skip
