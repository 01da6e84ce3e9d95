"""One way to compile the renderer's inner loops: cached on disk, single-threaded, numbers that may be reordered.

Here are also the two functions of the C library that would cost most per pixel, as polynomials good enough to look at:
they are compiled into the loop, where a call would first have to put aside everything that the loop holds.
"""

from __future__ import annotations

import functools
import math

from numba import njit

_OPTIONS = {"cache": True, "fastmath": True, "error_model": "numpy", "nogil": True}

# Functions that make arrays count references to them; the others are spared it, which halves their time.
allocating = functools.partial(njit, **_OPTIONS)
compiled = functools.partial(njit, **_OPTIONS, _nrt=False)
inlined = functools.partial(njit, **_OPTIONS, _nrt=False, inline="always")


@compiled()
def sine(angle: float) -> float:
    """Return sin(angle), to 1.1e-3: two parabolas a period, then one more in those."""
    turn = angle * (0.5 / math.pi)
    part = 2 * (turn - math.floor(turn + 0.5))
    wave = 4 * part * (1 - abs(part))
    return wave * (0.775 + 0.225 * abs(wave))


@compiled()
def exponential(x: float) -> float:
    """Return exp(x) for x in [-8, 2], to 1e-3 of its value or 4e-6: the sixteenth power of a short series."""
    y = x * 0.0625
    y = 1 + y * (1 + y * (0.5 + y * (1 / 6 + y * (1 / 24))))
    y *= y
    y *= y
    y *= y
    return y * y
