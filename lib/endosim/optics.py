"""A centre's lens, lamp, chip and processor: rays, light, frame, exposure, tone, sharpening, noise, burnt-in text."""

from __future__ import annotations

import functools
import math

import numpy as np

from endosim.burn_in import burn_in
from endosim.compiled import compiled, exponential, inlined
from endosim.data_sets import Centre

_CURVE_SIZE, _CURVE_END = 2048, 12.0
_NOISE_SIZE = 1 << 20
_LAMP = 0.07


@functools.lru_cache(maxsize=64)
def rays_of(centre: Centre, side: int) -> np.ndarray:
    """Return unit directions in camera coordinates, float64 [side, side, 3], of an equidistant fisheye lens."""
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(axis, axis)
    r = np.hypot(x, y) / (1 - 2 * centre.margin) + 1e-12
    angle = np.minimum(r * math.radians(centre.field) / 2, 1.55)
    across = np.sin(angle) / np.hypot(x, y).clip(1e-12)
    return np.ascontiguousarray(np.stack([x * across, y * across, np.cos(angle)], axis=-1))


@compiled()
def turn(own: np.ndarray, axes: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` with directions `own` @ `axes`, float64 [n, 3]; a matrix product would wake threads for it."""
    for n in range(own.shape[0]):
        x, y, z = own[n, 0], own[n, 1], own[n, 2]
        for axis in range(3):
            out[n, axis] = x * axes[0, axis] + y * axes[1, axis] + z * axes[2, axis]


@inlined()
def lit(
    x: float, y: float, z: float, nx: float, ny: float, nz: float, wx: float, wy: float, wz: float,
    rx: float, ry: float, rz: float, power: float,
) -> tuple:  # fmt: skip
    """Return diffuse light for normal n and mirrored light for the wet film's normal w, at a point seen from the lens.

    One lamp is beside the lens, in direction r, and falls off with the square of the distance; `power` is the polish.
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


@functools.lru_cache(maxsize=64)
def frame_cover(centre: Centre, side: int) -> np.ndarray:
    """Return how much of each pixel the picture covers, float32 [side, side] in [0, 1]: 0 in the black frame."""
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(axis, axis)
    edge = 1 - 2 * centre.margin
    square = np.minimum(edge - np.abs(x), edge - np.abs(y)) + (0 if centre.margin else 0.02)
    if centre.frame == "round":
        inside = 0.985 * edge - np.hypot(x, y)
    elif centre.frame == "cut_circle":
        inside = np.minimum(np.minimum(square, 0.82 - np.abs(x)), 1.13 * edge - np.hypot(x, y))
    elif centre.frame == "full":
        inside = np.ones_like(x)
    else:
        inside = np.minimum(square, (1.56 * edge - np.abs(x) - np.abs(y)) / math.sqrt(2))
        if centre.frame == "octagon_box":
            inside = np.minimum(inside, np.maximum(x + 0.36, 0.38 - y))
    return np.clip(inside * side / 2 + 0.5, 0, 1).astype(np.float32)


@functools.lru_cache(maxsize=64)
def _vignette(centre: Centre, side: int) -> np.ndarray:
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    square = (axis[:, None] ** 2 + axis[None] ** 2) / (1 - 2 * centre.margin) ** 2
    return (1 / (1 + centre.vignette * square) ** 2).astype(np.float32)


@functools.lru_cache(maxsize=64)
def _tone_curve(centre: Centre) -> np.ndarray:
    """Return display values for light from 0 to ``_CURVE_END``, evenly spaced in its square root."""
    light = np.linspace(0, math.sqrt(_CURVE_END), _CURVE_SIZE) ** 2
    return ((1 - np.exp(-light * (1 + light))) ** (1 / centre.gamma)).astype(np.float32)


@functools.cache
def _sensor_noise() -> np.ndarray:
    return np.random.default_rng(7).standard_normal(_NOISE_SIZE, np.float32)


def exposure_gain(light: np.ndarray, cover: np.ndarray, centre: Centre, target: float) -> float:
    """Return the automatic exposure: the factor on `light` for which the mean display value is `target`."""
    step = max(1, light.shape[0] // 24)
    seen = cover[::step, ::step] > 0.5
    few = light[::step, ::step][seen]
    level = (0.5 * (few[:, 0] + few[:, 1])).astype(np.float64)
    return _gain_of(level, _tone_curve(centre), target, centre.gamma, target**centre.gamma / (np.median(level) + 1e-6))


@compiled()
def _gain_of(level: np.ndarray, curve: np.ndarray, target: float, gamma: float, gain: float) -> float:
    """Return the factor on `level`, float64 [n], by which its mean on the tone curve is `target`; `gain` is a start."""
    for _ in range(5):
        shown = 0.0
        for value in level:
            place = math.sqrt(min(value * gain, _CURVE_END - 1e-3) / _CURVE_END) * (_CURVE_SIZE - 1)
            shown += curve[int(place)]
        gain *= (target / (shown / level.size + 1e-6)) ** gamma
    return gain


def develop(
    light: np.ndarray, centre: Centre, gain: float, rng: np.random.Generator, *, video: int, second: int
) -> np.ndarray:
    """Return the picture, uint8 [s, s, 3], that a centre's processor makes of linear light, float32 [s, s, 3]."""
    side = light.shape[0]
    soft = min(0.9, centre.blur * (side / 128) ** 2)
    softened, shown = np.empty_like(light), np.empty_like(light)
    _sharpen(light, -soft, softened)
    balance = np.asarray(centre.balance) * gain
    _tone(softened, balance, centre.saturation, _vignette(centre, side), _tone_curve(centre), shown)
    _sharpen(shown, centre.sharpening, softened)
    shown = softened
    lag = round(centre.colour_lag * side / 128)
    if lag:
        shown[:, lag:, 0] = shown[:, :-lag, 0].copy()
        shown[:-lag, :, 2] = shown[lag:, :, 2].copy()
    offset = int(rng.integers(_NOISE_SIZE - shown.size))
    noise = _sensor_noise()[offset : offset + shown.size].reshape(shown.shape)
    out = np.empty(shown.shape, np.uint8)
    text = burn_in(centre.text, video, second, side)
    _finish(shown, noise, centre.noise, frame_cover(centre, side), np.asarray(centre.black, np.float32), text, out)
    return out


@compiled()
def _sharpen(image: np.ndarray, amount: float, out: np.ndarray) -> None:
    """Fill `out` with image + amount * (image - its 3 x 3 binomial blur); a negative amount softens."""
    side = image.shape[0]
    for i in range(side):
        a, b = max(i - 1, 0), min(i + 1, side - 1)
        for j in range(side):
            k, m = max(j - 1, 0), min(j + 1, side - 1)
            for c in range(3):
                blur = image[a, k, c] + image[a, m, c] + image[b, k, c] + image[b, m, c]
                blur += 2 * (image[a, j, c] + image[b, j, c] + image[i, k, c] + image[i, m, c])
                blur = (blur + 4 * image[i, j, c]) * np.float32(0.0625)
                out[i, j, c] = image[i, j, c] + amount * (image[i, j, c] - blur)


@compiled()
def _tone(
    light: np.ndarray, balance: np.ndarray, saturation: float, vignette: np.ndarray, curve: np.ndarray, out: np.ndarray
) -> None:
    last = curve.size - 1.001
    for i in range(light.shape[0]):
        for j in range(light.shape[1]):
            grey = (0.3 * light[i, j, 0] + 0.6 * light[i, j, 1] + 0.1 * light[i, j, 2]) * (1 - saturation)
            for c in range(3):
                value = max(0.0, (light[i, j, c] * saturation + grey) * balance[c] * vignette[i, j])
                place = min(math.sqrt(value / _CURVE_END) * (curve.size - 1), last)
                k = int(place)
                f = place - k
                out[i, j, c] = curve[k] * (1 - f) + curve[k + 1] * f


@compiled()
def _finish(
    shown: np.ndarray, noise: np.ndarray, strength: float, cover: np.ndarray, black: np.ndarray, text: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    for i in range(shown.shape[0]):
        for j in range(shown.shape[1]):
            part, ink = cover[i, j], text[i, j]
            for c in range(3):
                value = 255 * (shown[i, j, c] + strength * (noise[i, j, c] + noise[i, j, 0]) * 0.7)
                value = value * part + (black[c] + 2 * noise[i, j, c] * strength / 0.01) * (1 - part)
                value = value * (1 - ink) + 235 * ink
                out[i, j, c] = np.uint8(min(max(value, 0.0), 255.0))
