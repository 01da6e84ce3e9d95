"""Frames that no one would keep: which of a video's frames they are, and what happens to their light."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from endosim.compiled import allocating, compiled

Disruption = Literal["motion_blur", "glare", "bubbles", "out_of_focus", "too_dark", "washed_out", "instrument_close_up"]
SOURCE_KINDS: tuple[Disruption, ...] = (
    "motion_blur", "glare", "bubbles", "out_of_focus", "too_dark", "washed_out", "instrument_close_up",
)  # fmt: skip
LABELLED_KINDS: tuple[Disruption, ...] = ("motion_blur", "glare", "bubbles", "out_of_focus")


def plan_disruptions(
    rng: np.random.Generator, frames: int, count: int, kinds: tuple[Disruption, ...]
) -> list[tuple[Disruption, int] | None]:
    """Disrupt `count` of `frames` in runs of 1 to 4; return each frame's kind and the number of its run, or None."""
    plan: list[tuple[Disruption, int] | None] = [None] * frames
    run = 0
    while count > 0:
        length = min(count, int(rng.integers(1, 5)))
        free = [frame for frame in range(frames) if plan[frame] is None]
        start = int(rng.choice(free))
        kind = kinds[rng.integers(len(kinds))]
        for frame in range(start, min(start + length, frames)):
            if plan[frame] is None:
                plan[frame] = (kind, run)
                count -= 1
        run += 1
    return plan


def disrupt(
    light: np.ndarray, kind: Disruption, run_rng: np.random.Generator, frame_rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Return the disrupted light and the factor on the automatic exposure.

    `light`, float32 [s, s, 3], is linear with a mean of about 0.2 and may be changed in place. `run_rng` is equal for
    all frames of a run, `frame_rng` is the frame's own.
    """
    side = light.shape[0]
    if kind == "motion_blur":
        angle, length = run_rng.uniform(0, 2 * math.pi), run_rng.uniform(0.05, 0.13) * frame_rng.uniform(0.8, 1.3)
        return smear(light, math.cos(angle) * length * side, math.sin(angle) * length * side), 1.0
    if kind == "out_of_focus":
        return defocus(light, run_rng.uniform(0.018, 0.045) * side), 1.0
    if kind == "too_dark":
        return light, run_rng.uniform(0.02, 0.10) * frame_rng.uniform(0.8, 1.2)
    if kind == "washed_out":
        veil = run_rng.uniform(0.25, 0.6) * np.array([1.0, run_rng.uniform(0.72, 1.0), run_rng.uniform(0.6, 0.95)])
        return (0.6 * defocus(light, 0.012 * side) + veil.astype(np.float32)), run_rng.uniform(0.9, 1.5)
    if kind == "glare":
        for _ in range(run_rng.integers(1, 4)):
            place = (run_rng.uniform(0.15, 0.85, 2) + frame_rng.normal(0, 0.02, 2)) * side
            size = run_rng.uniform(0.03, 0.11) * side
            _flare(light, place[0], place[1], size, run_rng.uniform(1, 3), run_rng.uniform(0, math.pi))
        return light, 1.0
    if kind == "bubbles":
        return _foam(light, run_rng, frame_rng), 1.0
    return light, 1.0


@allocating()
def smear(light: np.ndarray, shift_x: float, shift_y: float) -> np.ndarray:
    """Return `light` averaged along a line of `shift` pixels: a camera that moved while the frame was taken."""
    side = light.shape[0]
    taps = max(2, int(math.hypot(shift_x, shift_y)))
    out = np.zeros_like(light)
    for tap in range(taps):
        a = tap / (taps - 1) - 0.5
        di, dj = round(a * shift_y), round(a * shift_x)
        for i in range(side):
            k = min(max(i + di, 0), side - 1)
            for j in range(side):
                m = min(max(j + dj, 0), side - 1)
                for c in range(3):
                    out[i, j, c] += light[k, m, c]
    return out / np.float32(taps)


@allocating()
def defocus(light: np.ndarray, radius: float) -> np.ndarray:
    """Return `light` under three box filters of about `radius` pixels in all: a lens out of focus."""
    reach = max(1, round(radius / 1.7))
    side = light.shape[0]
    source, out = light.copy(), np.empty_like(light)
    for _ in range(3):
        for axis in range(2):
            for i in range(side):
                for c in range(3):
                    total = 0.0
                    for k in range(-reach, reach):
                        m = min(max(k, 0), side - 1)
                        total += source[i, m, c] if axis == 0 else source[m, i, c]
                    for j in range(side):
                        m, o = min(j + reach, side - 1), max(j - reach - 1, 0)
                        total += source[i, m, c] if axis == 0 else source[m, i, c]
                        if j > 0:
                            total -= source[i, o, c] if axis == 0 else source[o, i, c]
                        value = total / (2 * reach + 1)
                        if axis == 0:
                            out[i, j, c] = value
                        else:
                            out[j, i, c] = value
            source, out = out, source
    return source


@compiled()
def _flare(light: np.ndarray, y: float, x: float, size: float, stretch: float, angle: float) -> None:
    """Add a saturated spot with a halo."""
    ca, sa = math.cos(angle), math.sin(angle)
    for i in range(light.shape[0]):
        for j in range(light.shape[1]):
            a = ((j - x) * ca + (i - y) * sa) / (size * stretch)
            b = ((i - y) * ca - (j - x) * sa) / size
            square = a * a + b * b
            extra = 6.0 * math.exp(-3.0 * square * square) + 0.25 / (1.0 + 2.0 * square)
            light[i, j, 0] += extra
            light[i, j, 1] += extra * 0.97
            light[i, j, 2] += extra * 0.92


def _foam(light: np.ndarray, run_rng: np.random.Generator, frame_rng: np.random.Generator) -> np.ndarray:
    """Return light behind a patch of bubbles: thin bright rims, a darker inside, a glint each."""
    side = light.shape[0]
    count = int(run_rng.integers(40, 220))
    heart, spread = run_rng.uniform(0.25, 0.75, 2), run_rng.uniform(0.1, 0.3)
    drift = frame_rng.normal(0, 0.01, 2)
    places = heart + drift + spread * run_rng.standard_normal((count, 2))
    radii = 0.012 + 0.05 * run_rng.random(count) ** 3
    order = np.argsort(radii)
    _draw_bubbles(light, places[order] * side, radii[order] * side)
    return light


@compiled()
def _draw_bubbles(light: np.ndarray, places: np.ndarray, radii: np.ndarray) -> None:
    side = light.shape[0]
    for n in range(len(radii)):
        y, x, radius = places[n, 0], places[n, 1], radii[n]
        for i in range(max(0, int(y - radius - 1)), min(side, int(y + radius + 2))):
            for j in range(max(0, int(x - radius - 1)), min(side, int(x + radius + 2))):
                q = math.hypot(i - y, j - x) / radius
                if q > 1.1:
                    continue
                rim = math.exp(-(((q - 0.82) * radius / 1.1) ** 2)) * (0.6 + 0.4 * (y - i + x - j) / (1.5 * radius))
                edge = math.exp(-(((q - 1.0) * radius / 0.8) ** 2))
                glint = math.exp(
                    -((i - y + 0.45 * radius) ** 2 + (j - x + 0.3 * radius) ** 2) / (0.02 * radius**2 + 0.2)
                )
                shade = (0.95 if q < 0.9 else 1.0) - 0.45 * edge
                light[i, j, 0] = light[i, j, 0] * (shade + 0.45 * rim) + 0.02 * rim + 0.7 * glint
                light[i, j, 1] = light[i, j, 1] * (shade + 0.55 * rim) + 0.02 * rim + 0.7 * glint
                light[i, j, 2] = light[i, j, 2] * (shade + 0.45 * rim) + 0.01 * rim + 0.6 * glint
