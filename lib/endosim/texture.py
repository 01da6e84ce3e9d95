"""Tileable textures that every scene shares: vessel trees and band-limited noise, with the slopes that bumps need.

A scene picks offsets, mirrorings and strengths, so that the few tiles below never look alike twice.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from endosim.compiled import allocating, compiled

SIDE = 512
VESSEL_MAPS = 4
_BANK_SEED = 20_240_607


@functools.cache
def texture_bank() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the textures, float32 and periodic along both axes; all noise and all slopes have unit variance.

    Vessels [VESSEL_MAPS, SIDE, SIDE]: blood over a point, in [0, 1]. Clouds [2, SIDE, SIDE]: noise of 1 to 9 and of 5
    to 26 cycles a tile. Relief [SIDE, SIDE, 5]: grain (26 to 140 cycles), two slopes of ripples (5 to 26 cycles), and
    two of the grain.
    """
    rng = np.random.default_rng(_BANK_SEED)
    vessels = np.stack([_vessel_map(rng, trees) for trees in (5, 8, 11, 16)])
    clouds = _band_noise(rng, 1, 9, 1.4)
    ripples = _band_noise(rng, 5, 26, 1.3)
    grain = _band_noise(rng, 26, 140, 1.1)
    relief = np.stack([grain, *_slopes(ripples), *_slopes(grain)], axis=-1)
    return vessels, np.stack([clouds, ripples]).astype(np.float32), np.ascontiguousarray(relief, dtype=np.float32)


def _band_noise(rng: np.random.Generator, low: float, high: float, slope: float) -> np.ndarray:
    """Return noise of unit variance whose amplitude falls as frequency**-slope between two frequencies."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]) * SIDE
    envelope = np.where((frequency >= low) & (frequency <= high), np.maximum(frequency, 1.0) ** -slope, 0.0)
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * envelope, s=(SIDE, SIDE))
    return field / field.std()


def _slopes(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    slopes = [np.roll(field, -1, axis) - np.roll(field, 1, axis) for axis in (0, 1)]
    return tuple(slope / slope.std() for slope in slopes)


def _vessel_map(rng: np.random.Generator, trees: int) -> np.ndarray:
    canvas = np.zeros((SIDE, SIDE), np.float32)
    _grow(canvas, rng.random(400_000), trees, 2.8, 420.0, 0.9)
    _grow(canvas, rng.random(400_000), trees * 5, 1.15, 120.0, 0.55)
    return canvas


@allocating()
def _grow(canvas: np.ndarray, random: np.ndarray, trees: int, width: float, length: float, strength: float) -> None:
    """Grow branching, meandering trees on a torus and draw them; `random` feeds every decision."""
    side = canvas.shape[0]
    stack = np.empty((4096, 5))
    used = 0
    for _ in range(trees):
        depth = 1
        _push(stack, 0, random[used] * side, random[used + 1] * side, random[used + 2] * 2 * math.pi, width, length)
        used += 3
        while depth > 0 and used < random.size - 8:
            depth -= 1
            y, x, heading = stack[depth, 0], stack[depth, 1], stack[depth, 2]
            thick, left = stack[depth, 3], stack[depth, 4]
            angle, bend = heading, 0.0
            since = 0.0
            while left > 0 and thick > 0.35 and used < random.size - 8:
                bend = 0.88 * bend + (random[used] - 0.5) * 0.16 - 0.012 * (angle - heading)
                angle += bend
                y += math.sin(angle)
                x += math.cos(angle)
                used += 1
                left -= 1.0
                since += 1.0
                thick *= 0.9985
                _dab(canvas, y, x, thick, strength * min(1.0, 0.35 + 0.3 * thick))
                if since > 14 and random[used] < 0.045 and depth < 4000:
                    side_sign = 1.0 if random[used + 1] < 0.5 else -1.0
                    fork = side_sign * (0.4 + 0.6 * random[used + 2])
                    _push(stack, depth, y, x, angle + fork, thick * (0.55 + 0.3 * random[used + 3]), left * 0.75)
                    depth += 1
                    heading -= fork * 0.2
                    thick *= 0.9
                    since = 0.0
                    used += 4
                used += 1


@compiled()
def _push(stack: np.ndarray, row: int, y: float, x: float, heading: float, thick: float, left: float) -> None:
    stack[row, 0], stack[row, 1], stack[row, 2] = y, x, heading
    stack[row, 3], stack[row, 4] = thick, left


@compiled()
def _dab(canvas: np.ndarray, y: float, x: float, thick: float, strength: float) -> None:
    side = canvas.shape[0]
    reach = int(2.2 * thick) + 1
    for row in range(int(y) - reach, int(y) + reach + 1):
        for column in range(int(x) - reach, int(x) + reach + 1):
            distance = (row - y) ** 2 + (column - x) ** 2
            value = strength * math.exp(-distance / (0.9 * thick * thick + 0.3))
            if value > canvas[row % side, column % side]:
                canvas[row % side, column % side] = value
