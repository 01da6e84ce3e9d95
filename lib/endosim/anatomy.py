"""The wall of the colon: a bent tube whose radius is a height field of haustral folds, pouches and small lumps.

Lengths are in lumen radii (about 22 mm). The tube runs along z; its centre line is bent sideways.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from endosim.compiled import compiled, exponential, inlined
from endosim.texture import SIDE, texture_bank

Z_START, Z_STEP, Z_COUNT, ANGLE_COUNT = -2.0, 0.025, 400, 256


@dataclass(frozen=True)
class Wall:
    """Tables over z and angle, float32."""

    radius: np.ndarray  # [Z_COUNT, ANGLE_COUNT]
    slopes: np.ndarray  # [Z_COUNT, ANGLE_COUNT, 2], of the radius along z and along the angle (per radian)
    line: np.ndarray  # [Z_COUNT, 4], centre line x, y and their slopes along z


def build_wall(rng: np.random.Generator, *, folds: float) -> Wall:
    """Return a random wall; `folds` scales their height (1 is typical)."""
    z = Z_START + Z_STEP * np.arange(Z_COUNT)
    radius = _tube(rng)
    rows, position = [], Z_START + rng.uniform(0, 0.6)
    spacing = rng.uniform(0.6, 1.3)
    while position < z[-1]:
        height = rng.uniform(0.05, 0.42) * folds
        rows.append([position, height, rng.uniform(0.07, 0.14) + 0.4 * height, rng.uniform(0, 2 * math.pi),
                     rng.uniform(0.0, 0.8), rng.uniform(-0.35, 0.35), rng.uniform(0, 2 * math.pi)])  # fmt: skip
        position += spacing * rng.uniform(0.5, 1.5)
    _add_folds(radius, np.asarray(rows))
    rounded, slopes = np.empty(radius.shape, np.float32), np.empty((*radius.shape, 2), np.float32)
    _tabulate(radius, rounded, slopes)
    return Wall(rounded, slopes, _centre_line(rng, z))


@compiled()
def _tabulate(radius: np.ndarray, rounded: np.ndarray, slopes: np.ndarray) -> None:
    """Fill in the radius, rounded to float32, and its two slopes by central differences."""
    step = 2 * math.pi / ANGLE_COUNT
    for i in range(Z_COUNT):
        above, below = max(i - 1, 0), min(i + 1, Z_COUNT - 1)
        for j in range(ANGLE_COUNT):
            left, right = (j - 1) & (ANGLE_COUNT - 1), (j + 1) & (ANGLE_COUNT - 1)
            rounded[i, j] = radius[i, j]
            slopes[i, j, 0] = (radius[below, j] - radius[above, j]) / ((below - above) * Z_STEP)
            slopes[i, j, 1] = (radius[i, right] - radius[i, left]) / (2 * step)


def _tube(rng: np.random.Generator) -> np.ndarray:
    """Return the radius without folds: three-sided cross-section and lumps."""
    angle = np.arange(ANGLE_COUNT) * (2 * math.pi / ANGLE_COUNT)
    _, noise, _ = texture_bank()
    shift = rng.integers(0, SIDE, 4)
    three = 1.0 + rng.uniform(0.0, 0.16) * np.cos(3 * angle + rng.uniform(0, 2 * math.pi))
    radius = np.empty((Z_COUNT, ANGLE_COUNT))
    _add_lumps(radius, three, noise, shift, rng.uniform(0.02, 0.08), rng.uniform(0.0, 0.008))
    return radius


@compiled()
def _add_lumps(
    radius: np.ndarray, across: np.ndarray, noise: np.ndarray, shift: np.ndarray, clouds: float, ripples: float
) -> None:
    """Fill in the cross-section `across`, float64 [ANGLE_COUNT], plus both layers of noise at every second texel."""
    for i in range(Z_COUNT):
        row = 2 * i + shift[0]
        for j in range(ANGLE_COUNT):
            column = 2 * j + shift[1]
            radius[i, j] = (
                across[j]
                + clouds * noise[0, row & (SIDE - 1), column & (SIDE - 1)]
                + ripples * noise[1, (row + shift[2]) & (SIDE - 1), (column + shift[3]) & (SIDE - 1)]
            )


def _centre_line(rng: np.random.Generator, z: np.ndarray) -> np.ndarray:
    line = []
    for _ in range(2):
        wave, phase, size = rng.uniform(5.0, 9.0), rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 1.2)
        line.append(size * np.sin(2 * math.pi * z / wave + phase))
    slopes = [np.gradient(axis, Z_STEP) for axis in line]
    return np.ascontiguousarray(np.stack([*line, *slopes], axis=-1), dtype=np.float32)


@compiled()
def _add_folds(radius: np.ndarray, folds: np.ndarray) -> None:
    """Lower the radius at each fold: a crest that wanders in z and is high over part of the circumference."""
    for k in range(folds.shape[0]):
        place, height, width, phase, spread, tilt, turn = folds[k]
        for j in range(radius.shape[1]):
            angle = 2 * math.pi * j / radius.shape[1]
            crescent = 0.5 + 0.5 * math.cos(angle - phase)
            local = height * (spread + (1 - spread) * crescent * crescent)
            crest = place + tilt * math.cos(angle - turn) + 0.04 * math.sin(3 * angle + phase)
            first = max(0, int((crest - 4 * width - Z_START) / Z_STEP))
            last = min(radius.shape[0], int((crest + 4 * width - Z_START) / Z_STEP) + 1)
            for i in range(first, last):
                t = abs(Z_START + Z_STEP * i - crest) / width
                radius[i, j] -= local * exponential(-t * t / (0.35 + 0.55 * t))


@inlined()
def tube_coordinates(x: float, y: float, z: float, line: np.ndarray) -> tuple:
    """Return offset from the centre line (x, y), its radius, and the row of the tables (as a float, clamped)."""
    row = (z - Z_START) / Z_STEP
    row = min(max(row, 0.0), Z_COUNT - 1.001)
    i = int(row)
    f = row - i
    dx = x - (line[i, 0] * (1 - f) + line[i + 1, 0] * f)
    dy = y - (line[i, 1] * (1 - f) + line[i + 1, 1] * f)
    return dx, dy, math.sqrt(dx * dx + dy * dy) + 1e-9, row


@inlined()
def turn_of(dy: float, dx: float) -> float:
    """Return atan2(dy, dx) / 2 pi in [0, 1), to about 1e-4 of a turn."""
    ax, ay = abs(dx), abs(dy)
    small, large = min(ax, ay), max(ax, ay) + 1e-12
    q = small / large
    s = q * q
    turn = q * (0.15915494 + s * (-0.0525 + s * (0.0285 - 0.0102 * s)))
    if ay > ax:
        turn = 0.25 - turn
    if dx < 0:
        turn = 0.5 - turn
    if dy < 0:
        turn = 1.0 - turn
    return turn if turn < 1.0 else 0.0


@inlined()
def wall_gap(x: float, y: float, z: float, radius: np.ndarray, line: np.ndarray) -> float:
    """Return the radial distance from a point to the wall: positive inside the lumen."""
    dx, dy, r, row = tube_coordinates(x, y, z, line)
    column = turn_of(dy, dx) * ANGLE_COUNT
    i, j = int(row), int(column)
    f, g = row - i, column - j
    j &= ANGLE_COUNT - 1
    k = (j + 1) & (ANGLE_COUNT - 1)
    near = radius[i, j] * (1 - g) + radius[i, k] * g
    far = radius[i + 1, j] * (1 - g) + radius[i + 1, k] * g
    return near * (1 - f) + far * f - r
