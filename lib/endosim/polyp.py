"""Polyps: smooth unions of ellipsoids that grow out of the wall, so that one light shades wall and polyp alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from endosim.compiled import compiled, inlined, sine

Shape = Literal["sessile", "pedunculated", "flat"]
SHAPES: tuple[Shape, ...] = ("sessile", "pedunculated", "flat")
NO_LUMPS = np.zeros((0, 18))


@dataclass(frozen=True)
class Polyp:
    """One polyp, in lumen radii.

    A lump is an ellipsoid: centre; three orthonormal axes, the same for all (the first is the wall's normal); three
    inverse radii; the centre seen from the first ellipsoid's, along the axes. The colour is blood, paleness and
    yellowness (added to the mucosa's), strength of the pits, and share of the vessels that show.
    """

    shape: Shape
    lumps: np.ndarray  # float64 [m, 18]
    bounds: np.ndarray  # float64 [4], centre and radius of a sphere around all of it
    surface: np.ndarray  # float64 [5], blend with the wall and between lumps, height, frequency and phase of the knobs
    colour: np.ndarray  # float64 [5]


def grow_polyp(rng: np.random.Generator, shape: Shape, foot: np.ndarray, normal: np.ndarray, size: float) -> Polyp:
    """Return a random polyp of about `size` (radius) on the wall at `foot`; `normal` is a unit vector to the lumen."""
    normal, side, along = _frame(rng, normal)
    rows = []

    def lump(height: float, shift_side: float, shift_along: float, radii: tuple[float, float, float]) -> None:
        centre = foot + size * (height * normal + shift_side * side + shift_along * along)
        rows.append(np.concatenate([centre, normal, side, along, size * np.asarray(radii)]))

    stretch = rng.uniform(0.8, 1.25)
    if shape == "flat":
        lump(0.0, 0, 0, (rng.uniform(0.3, 0.45), stretch, 1 / stretch))
        for _ in range(rng.integers(1, 4)):
            angle = rng.uniform(0, 2 * math.pi)
            lump(0.0, 0.6 * math.cos(angle), 0.6 * math.sin(angle), (0.22, 0.5, 0.6))
    elif shape == "sessile":
        lump(rng.uniform(0.0, 0.45), 0, 0, (rng.uniform(0.6, 1.0), stretch, 1 / stretch))
        for _ in range(rng.choice([0, 0, 1, 3, 5])):
            angle, part = rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 0.6)
            lump(rng.uniform(0.0, 0.45), 0.65 * math.cos(angle), 0.65 * math.sin(angle), (part, part, part))
    else:
        lean = rng.uniform(-0.8, 0.8, 2)
        lump(1.7, lean[0], lean[1], (rng.uniform(0.75, 0.95), 0.85 * stretch, 0.85 / stretch))
        for part in (0.0, 0.35, 0.7, 1.05):
            lump(1.4 * part, lean[0] * part * 0.7, lean[1] * part * 0.7, (0.5, 0.36, 0.36))
        for _ in range(rng.choice([0, 1, 3])):
            angle = rng.uniform(0, 2 * math.pi)
            lump(1.9, lean[0] + 0.5 * math.cos(angle), lean[1] + 0.5 * math.sin(angle), (0.5, 0.5, 0.5))
    lumps = np.asarray(rows)
    middle = lumps[:, :3].mean(0)
    reach = (np.linalg.norm(lumps[:, :3] - middle, axis=1) + lumps[:, 12:].max(1)).max()
    shifts = (lumps[:, :3] - lumps[0, :3]) @ lumps[0, 3:12].reshape(3, 3).T
    lumps = np.concatenate([lumps[:, :12], 1 / lumps[:, 12:], shifts], axis=1)
    knobs = rng.choice([0.03, 0.05, 0.07]) * (0.5 if shape == "flat" else 1.0)
    surface = np.array([size * rng.uniform(0.1, 0.4), size * rng.uniform(0.08, 0.3), size * knobs,
                        rng.choice([rng.uniform(1.6, 3.0), rng.uniform(4, 8)]) / size, rng.uniform(0, 6)])  # fmt: skip
    redder = rng.random() < 0.6  # than the mucosa around it, or else paler
    colour = np.array([rng.uniform(0.2, 0.9) if redder else rng.uniform(-0.35, -0.1),
                       rng.uniform(0.0, 0.06) if redder else rng.uniform(0.03, 0.12), rng.normal(0.03, 0.1),
                       rng.uniform(0.3, 1.1), rng.uniform(0.0, 0.6)])  # fmt: skip
    return Polyp(shape, lumps, np.append(middle, reach * 1.05 + 2 * surface[0]), surface, colour)


def _frame(rng: np.random.Generator, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    normal = normal / np.linalg.norm(normal)
    side = np.cross(normal, rng.standard_normal(3))
    side /= np.linalg.norm(side)
    return normal, side, np.cross(normal, side)


@inlined()
def along_axes(x: float, y: float, z: float, lump: int, lumps: np.ndarray) -> tuple:
    """Return a point as seen from a lump's centre, along the polyp's three axes."""
    x, y, z = x - lumps[lump, 0], y - lumps[lump, 1], z - lumps[lump, 2]
    return (
        x * lumps[lump, 3] + y * lumps[lump, 4] + z * lumps[lump, 5],
        x * lumps[lump, 6] + y * lumps[lump, 7] + z * lumps[lump, 8],
        x * lumps[lump, 9] + y * lumps[lump, 10] + z * lumps[lump, 11],
    )


@compiled()
def polyp_distance(
    x: float, y: float, z: float, which: int, lumps: np.ndarray, first: np.ndarray, surface: np.ndarray
) -> float:
    """Return the (approximate) signed distance to the surface of polyp `which`, negative inside.

    `lumps` and `surface` are those of all polyps; the lumps of polyp p are ``first[p]`` to ``first[p + 1] - 1``.
    """
    a, b, c = along_axes(x, y, z, first[which], lumps)
    nearest = 1e9
    blend = surface[which, 1]
    sharpness = 0.5 / blend
    for m in range(first[which], first[which + 1]):
        ia, ib, ic = lumps[m, 12], lumps[m, 13], lumps[m, 14]
        pa, pb, pc = (a - lumps[m, 15]) * ia, (b - lumps[m, 16]) * ib, (c - lumps[m, 17]) * ic
        square = pa * pa + pb * pb + pc * pc
        pa, pb, pc = pa * ia, pb * ib, pc * ic
        distance = (square - math.sqrt(square)) / math.sqrt(pa * pa + pb * pb + pc * pc + 1e-18)
        h = min(max(0.5 + (nearest - distance) * sharpness, 0.0), 1.0)
        nearest = nearest * (1 - h) + distance * h - blend * h * (1 - h)
    f, p = surface[which, 3], surface[which, 4]
    return nearest - surface[which, 2] * (sine(f * x + p) * sine(f * y + 2 * p) + sine(f * z + 3 * p))


@compiled()
def polyp_normal(
    x: float, y: float, z: float, which: int, lumps: np.ndarray, first: np.ndarray, surface: np.ndarray
) -> tuple:
    """Return the unit vector along which ``polyp_distance`` grows fastest: its gradient, term by term."""
    foot = first[which]
    a, b, c = along_axes(x, y, z, foot, lumps)
    nearest, da, db, dc = 1e9, 0.0, 0.0, 0.0
    blend = surface[which, 1]
    sharpness = 0.5 / blend
    for m in range(foot, first[which + 1]):
        ia, ib, ic = lumps[m, 12], lumps[m, 13], lumps[m, 14]
        pa, pb, pc = (a - lumps[m, 15]) * ia, (b - lumps[m, 16]) * ib, (c - lumps[m, 17]) * ic
        square = pa * pa + pb * pb + pc * pc + 1e-18
        pa, pb, pc = pa * ia, pb * ib, pc * ic
        slope = pa * pa + pb * pb + pc * pc + 1e-18
        scaled, flat = math.sqrt(square), 1 / math.sqrt(slope)
        distance = (square - scaled) * flat
        h = min(max(0.5 + (nearest - distance) * sharpness, 0.0), 1.0)
        # The blend's own slope in h is 0 wherever it is not clipped, so the gradients mix by h alone.
        nearest = nearest * (1 - h) + distance * h - blend * h * (1 - h)
        outward, inward = h * (2 - 1 / scaled) * flat, h * distance * flat * flat
        da = da * (1 - h) + pa * (outward - inward * ia * ia)
        db = db * (1 - h) + pb * (outward - inward * ib * ib)
        dc = dc * (1 - h) + pc * (outward - inward * ic * ic)
    nx = da * lumps[foot, 3] + db * lumps[foot, 6] + dc * lumps[foot, 9]
    ny = da * lumps[foot, 4] + db * lumps[foot, 7] + dc * lumps[foot, 10]
    nz = da * lumps[foot, 5] + db * lumps[foot, 8] + dc * lumps[foot, 11]
    f, p = surface[which, 3], surface[which, 4]
    steep, quarter = f * surface[which, 2], 0.5 * math.pi
    nx -= steep * sine(f * x + p + quarter) * sine(f * y + 2 * p)
    ny -= steep * sine(f * x + p) * sine(f * y + 2 * p + quarter)
    nz -= steep * sine(f * z + 3 * p + quarter)
    scale = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12)
    return nx * scale, ny * scale, nz * scale
