"""The look of one patient's mucosa, and its albedo and fine relief at a point of the wall."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from endosim.compiled import compiled, exponential
from endosim.data_sets import Centre
from endosim.texture import SIDE, VESSEL_MAPS


class Skin(NamedTuple):
    """One patient's mucosa. Shifts and scales are in texels of the shared tiles; strengths have no unit."""

    blood: float
    pale: float
    yellow: float
    vessel_map: int
    vessels: float
    shift_row: float
    shift_column: float
    tiles: float
    mottling: float
    grain: float
    ripple_relief: float
    grain_relief: float
    film: float
    drops: float
    wet: float
    polish: float
    gloss: float
    residue: float
    residue_hue: float
    down: float


def draw_skin(rng: np.random.Generator, centre: Centre) -> Skin:
    """Return a random patient of a centre."""
    blood, pale, yellow = centre.mucosa
    dirty = rng.random() < centre.residue
    return Skin(
        blood=blood + rng.normal(0, 0.2),
        pale=max(0.0, pale + rng.normal(0, 0.07)),
        yellow=max(0.0, yellow + rng.normal(0, 0.22)),
        vessel_map=int(rng.integers(VESSEL_MAPS)),
        vessels=centre.vessels * rng.choice([0.2, 0.6, 1.1, 1.8]) * rng.uniform(0.7, 1.3),
        shift_row=rng.uniform(0, SIDE),
        shift_column=rng.uniform(0, SIDE),
        tiles=float(rng.choice([1, 2, 2])),
        mottling=rng.uniform(0.06, 0.28),
        grain=rng.uniform(0.02, 0.08),
        ripple_relief=rng.uniform(0.03, 0.18),
        grain_relief=rng.uniform(0.02, 0.12),
        film=rng.uniform(0.1, 0.4),
        drops=rng.uniform(0.0, 0.8),
        wet=rng.uniform(-0.8, 1.0),
        polish=rng.uniform(120, 500),
        gloss=centre.gloss * rng.uniform(0.4, 4.0),
        residue=rng.uniform(0.2, 1.6) if dirty else -4.0,
        residue_hue=rng.uniform(0, 1),
        down=rng.uniform(0, 1),
    )


@compiled()
def sample(layer: np.ndarray, which: int, row: float, column: float) -> float:
    """Return layer `which` of periodic textures [layers, SIDE, SIDE] at a place in texels, bilinearly."""
    fi, fj = math.floor(row), math.floor(column)
    f, g = row - fi, column - fj
    i, j = int(fi) & (SIDE - 1), int(fj) & (SIDE - 1)
    k, m = (i + 1) & (SIDE - 1), (j + 1) & (SIDE - 1)
    f, g = np.float32(f), np.float32(g)
    near = layer[which, i, j] + (layer[which, i, m] - layer[which, i, j]) * g
    far = layer[which, k, j] + (layer[which, k, m] - layer[which, k, j]) * g
    return near + (far - near) * f


@compiled()
def sample_relief(relief: np.ndarray, row: float, column: float) -> tuple:
    """Return the five layers of periodic textures [SIDE, SIDE, 5] at a place in texels, bilinearly."""
    fi, fj = math.floor(row), math.floor(column)
    f, g = row - fi, column - fj
    i, j = int(fi) & (SIDE - 1), int(fj) & (SIDE - 1)
    k, m = (i + 1) & (SIDE - 1), (j + 1) & (SIDE - 1)
    # Weights as narrow as the textures: twenty values need not be widened first.
    a, b = np.float32((1 - f) * (1 - g)), np.float32((1 - f) * g)
    c, d = np.float32(f * (1 - g)), np.float32(f * g)
    return (
        a * relief[i, j, 0] + b * relief[i, m, 0] + c * relief[k, j, 0] + d * relief[k, m, 0],
        a * relief[i, j, 1] + b * relief[i, m, 1] + c * relief[k, j, 1] + d * relief[k, m, 1],
        a * relief[i, j, 2] + b * relief[i, m, 2] + c * relief[k, j, 2] + d * relief[k, m, 2],
        a * relief[i, j, 3] + b * relief[i, m, 3] + c * relief[k, j, 3] + d * relief[k, m, 3],
        a * relief[i, j, 4] + b * relief[i, m, 4] + c * relief[k, j, 4] + d * relief[k, m, 4],
    )


@compiled()
def colour_of(blood: float, pale: float, yellow: float) -> tuple:
    """Return the albedo (red, green, blue) of tissue: light that blood and bile leave over (Beer-Lambert)."""
    red = 0.92 * exponential(-0.26 * blood)
    green = 0.92 * exponential(-1.12 * blood - 0.12 * yellow)
    blue = 0.92 * exponential(-1.3 * blood - 1.1 * yellow)
    keep = 1.0 - pale
    return red * keep + 0.86 * pale, green * keep + 0.70 * pale, blue * keep + 0.62 * pale
