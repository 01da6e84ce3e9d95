"""Where a ray ends: sphere tracing through the lumen to wall and polyps, first in coarse cells, then per pixel."""

from __future__ import annotations

import math

import numpy as np

from meddel.synthetic.anatomy import Z_COUNT, Z_START, Z_STEP, wall_gap
from meddel.synthetic.compiled import compiled, inlined
from meddel.synthetic.polyp import polyp_distance

FAR = 7.0
CELL = 8
_SAFE = 0.55


@inlined()
def gap_to_surface(
    x: float, y: float, z: float, radius: np.ndarray, line: np.ndarray, lumps: np.ndarray, first: np.ndarray,
    bounds: np.ndarray, surface: np.ndarray,
) -> tuple:  # fmt: skip
    """Return the distance to the surface (a lower bound), the polyp's weight in it (0 wall, 1 polyp), and which."""
    distance = _SAFE * wall_gap(x, y, z, radius, line)
    weight, which = 0.0, -1
    for p in range(bounds.shape[0]):
        dx, dy, dz = x - bounds[p, 0], y - bounds[p, 1], z - bounds[p, 2]
        away = math.sqrt(dx * dx + dy * dy + dz * dz) - bounds[p, 3]
        if away > 0.05:
            if away < distance:
                distance = away
            continue
        own = 0.85 * polyp_distance(x, y, z, p, lumps, first, surface)
        blend = surface[p, 0]
        h = min(max(0.5 + 0.5 * (distance - own) / blend, 0.0), 1.0)
        distance = distance * (1 - h) + own * h - blend * h * (1 - h)
        if h > weight:
            weight, which = h, p
    return distance, weight, which


@compiled()
def trace(
    ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, start: float, cone: float, steps: int,
    radius: np.ndarray, line: np.ndarray, lumps: np.ndarray, first: np.ndarray, bounds: np.ndarray,
    surface: np.ndarray,
) -> tuple:  # fmt: skip
    """Return the distance along a ray where the surface is nearer than `cone` times it, and that of the step before.

    Also the polyp's weight there and which polyp it is (-1: none).
    """
    t, before = start, start
    weight, which, last = 0.0, -1, 1e9
    end = Z_START + Z_STEP * (Z_COUNT - 2)
    for _ in range(steps):
        gap, weight, which = gap_to_surface(
            ox + t * dx, oy + t * dy, oz + t * dz, radius, line, lumps, first, bounds, surface
        )
        if gap < cone * t + 0.0008:
            # One secant step: along a ray the gap is nearly linear here. A ray that only passes by goes on.
            rest = gap * (t - before) / (last - gap) if last > gap else 1e9
            if rest < 6.0 * cone * t or gap < 0.2 * cone * t:
                return t + min(rest, cone * t), before, weight, which
        last, before = gap, t
        t += gap
        if t > FAR or oz + t * dz > end:
            break
    return min(t, FAR), before, weight, which


@compiled()
def coarse_depth(
    position: np.ndarray, rays: np.ndarray, cone: float, radius: np.ndarray, line: np.ndarray, lumps: np.ndarray,
    first: np.ndarray, bounds: np.ndarray, surface: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return for each cell of ``CELL`` x ``CELL`` pixels a distance that none of its rays ends before.

    Parameters
    ----------
    position : ndarray, float64 [3]
        The camera.
    rays : ndarray, float64 [s, s, 3]
        Unit directions in the scene's coordinates.
    cone : float
        Half the angle of a cell's diagonal, as a tangent.
    """
    cells = (rays.shape[0] + CELL - 1) // CELL
    depth = np.zeros((cells, cells))
    for i in range(cells):
        for j in range(cells):
            row = min(i * CELL + CELL // 2, rays.shape[0] - 1)
            column = min(j * CELL + CELL // 2, rays.shape[1] - 1)
            ray = rays[row, column]
            _, before, _, _ = trace(position[0], position[1], position[2], ray[0], ray[1], ray[2], 0.01, cone, 40,
                            radius, line, lumps, first, bounds, surface)  # fmt: skip
            depth[i, j] = max(0.01, before)
    return depth


@compiled()
def depth_map(
    position: np.ndarray, rays: np.ndarray, start: np.ndarray, inside: np.ndarray, pixel: float, radius: np.ndarray,
    line: np.ndarray, lumps: np.ndarray, first: np.ndarray, bounds: np.ndarray, surface: np.ndarray,
    depth: np.ndarray, weight: np.ndarray, which: np.ndarray,
) -> None:  # fmt: skip
    """Fill, per pixel, the distance to the surface, the polyp's weight there, and which polyp it is (-1: none).

    Every fourth pixel of every fourth row is traced. Those between, then the rest, start from the mean of their known
    neighbours and are traced only if the surface is not there within half a pixel.

    Parameters
    ----------
    start : ndarray, float64 [cells, cells]
        The answer of ``coarse_depth``.
    inside : ndarray, uint8 [s, s]
        0 for pixels that are not needed.
    pixel : float
        Angle of a pixel, radians.
    depth, weight : ndarray, float64 [s, s]
    which : ndarray, int64 [s, s]
    """
    ox, oy, oz = position[0], position[1], position[2]
    side = rays.shape[0]
    for stage in range(3):
        step, grid = 4 >> stage, 8 >> stage
        last = (side - 1) & ~(grid - 1)
        for i in range(0, side, step):
            for j in range(0, side, step):
                known = stage > 0 and (i | j) & (grid - 1) == 0
                if known or (stage == 2 and inside[i, j] == 0):
                    continue
                dx, dy, dz = rays[i, j, 0], rays[i, j, 1], rays[i, j, 2]
                if stage > 0:
                    a, b = i & ~(grid - 1), j & ~(grid - 1)
                    c = min(a + grid, last) if i != a else a
                    d = min(b + grid, last) if j != b else b
                    p, q, r, s = depth[a, b], depth[a, d], depth[c, b], depth[c, d]
                    t = 0.25 * (p + q + r + s)
                    if max(max(p, q), max(r, s)) - min(min(p, q), min(r, s)) < 0.12 * t:
                        gap, h, k = gap_to_surface(
                            ox + t * dx, oy + t * dy, oz + t * dz, radius, line, lumps, first, bounds, surface
                        )
                        if abs(gap) < 0.5 * pixel * t:
                            depth[i, j], weight[i, j], which[i, j] = t + gap, h, k
                            continue
                t, _, h, k = trace(ox, oy, oz, dx, dy, dz, start[i // CELL, j // CELL], 0.5 * pixel, 64,
                                   radius, line, lumps, first, bounds, surface)  # fmt: skip
                depth[i, j], weight[i, j], which[i, j] = t, h, k
