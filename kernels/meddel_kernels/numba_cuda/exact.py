"""The numbers that decide, bit for bit as NumPy has them: one pair of rows, float64, NumPy's order of sums.

Formula. ``sum_j (a_j - b_j)^2`` or ``sum_j a_j b_j``. Floating-point sums depend on their order, so the order is part
of the definition. NumPy adds up a contiguous row like this:

    up to 128 values    eight running sums, every eighth value into the same one:   0 1 2 3 4 5 6 7 0 1 2 3 ...
                        joined as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)), then the last n mod 8 values one by one
    more                two halves, the first a multiple of eight, each summed in the same way, then added

A GPU has no use for a function that calls itself, so ``cpu.exact.plan`` lists the pieces of at most 128 beforehand,
int64 [m, 3]: where a piece starts and stops, and how many sums it ends. Sums wait for their other half on a stack:

    d = 300     piece      0..72    72..144   144..220   220..300
                ends         0         1          0          2
                stack       [A]     [A + B]   [A+B, C]   [(A+B) + (C+D)]

Contract. float64 matrices, finite. Device functions: called from kernels, by one thread for one pair. Reads 2 d values.

What must be forbidden. A GPU likes to compute x y + z in one instruction with one rounding (*fused multiply-add*,
FMA), and NVIDIA's compiler makes it of any product that is added to something; that changes the last bit. Numba has no
switch against it, not even ``fastmath=False``. But the intrinsic ``dmul_rn`` ("multiply, round to nearest") is a
promise that the compiler keeps: it is never fused. So every product here goes through `times`; sums alone can't fuse.
"""

from __future__ import annotations

from numba import cuda, float64
from numba.cuda import libdevice

from meddel_kernels.cpu.llvm import SUMS
from meddel_kernels.numba_cuda.device import SIMULATED

DEPTH = 32
"""Room on the stack: halves of halves of ... 128, enough for 2^37 columns."""


@cuda.jit(device=True)
def times(a, b):
    """Return the product, rounded to float64, whatever happens to it next."""
    return a * b if SIMULATED else libdevice.dmul_rn(a, b)


@cuda.jit(device=True)
def term(a, b, difference):
    """Return ``(a - b)^2`` or ``a b``."""
    if difference:
        return times(a - b, a - b)
    return times(a, b)


@cuda.jit(device=True)
def part(a, i, b, j, start, stop, difference):
    """Add up the terms of row `i` of `a` and row `j` of `b` from column `start` to `stop`, at most 128 of them."""
    whole = start + (stop - start) // SUMS * SUMS
    result = 0.0
    if whole > start:
        lanes = cuda.local.array(SUMS, float64)
        for lane in range(SUMS):
            lanes[lane] = term(a[i, start + lane], b[j, start + lane], difference)
        for column in range(start + SUMS, whole, SUMS):
            for lane in range(SUMS):
                lanes[lane] += term(a[i, column + lane], b[j, column + lane], difference)
        low = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
        result = low + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    for column in range(whole, stop):
        result += term(a[i, column], b[j, column], difference)
    return result


@cuda.jit(device=True)
def join(stack, top, value, ends):
    """Put the sum of a piece on the `stack` of height `top`, joined with the `ends` sums below; return the height."""
    for _ in range(ends):
        top -= 1
        value = stack[top] + value
    stack[top] = value
    return top + 1


@cuda.jit(device=True)
def total(a, i, b, j, cuts, difference):
    """Return the squared distance (`difference`) or the product of row `i` of `a` and row `j` of `b`.

    `cuts` is ``plan(d)``, on the device.
    """
    stack = cuda.local.array(DEPTH, float64)
    top = 0
    for piece in range(cuts.shape[0]):
        value = part(a, i, b, j, cuts[piece, 0], cuts[piece, 1], difference)
        top = join(stack, top, value, cuts[piece, 2])
    return stack[0]


@cuda.jit(device=True)
def clipped(value):
    """Return a product of two unit rows as a cosine, in [-1, 1]."""
    return min(max(value, -1.0), 1.0)
