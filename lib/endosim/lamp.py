"""The light that a point throws back: one lamp beside the lens, falling off with the square of the distance."""

from __future__ import annotations

import math

from endosim.compiled import exponential, inlined

_LAMP = 0.07


@inlined()
def lit(
    x: float, y: float, z: float, nx: float, ny: float, nz: float, wx: float, wy: float, wz: float,
    rx: float, ry: float, rz: float, power: float,
) -> tuple:  # fmt: skip
    """Return diffuse light for normal n and mirrored light for the wet film's normal w, at a point seen from 0.

    The lamp is beside 0, in direction r; `power` is the film's polish.
    """
    inverse = 1.0 / math.sqrt(x * x + y * y + z * z + 1e-12)
    lx, ly, lz = rx * _LAMP - x, ry * _LAMP - y, rz * _LAMP - z
    square = lx * lx + ly * ly + lz * lz + 1e-6
    scale = 1.0 / math.sqrt(square)
    lx, ly, lz = lx * scale, ly * scale, lz * scale
    fall = 1.0 / (square + 0.02)
    diffuse = fall * max(0.28, (nx * lx + ny * ly + nz * lz + 0.5) / 1.5)
    hx, hy, hz = lx - x * inverse, ly - y * inverse, lz - z * inverse
    along = wx * hx + wy * hy + wz * hz
    facing = along * abs(along) / ((hx * hx + hy * hy + hz * hz) * (wx * wx + wy * wy + wz * wz) + 1e-12)
    dim = 0.5 * power * (facing - 1.0)
    mirrored = fall * exponential(max(dim, -8.0)) if dim > -8.0 and along > 0 else 0.0
    return diffuse, mirrored
