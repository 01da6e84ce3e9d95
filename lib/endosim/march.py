"""Where a ray ends: sphere tracing through the lumen to wall and polyps, first in coarse cells, then per pixel.

Every step of a ray waits for the one before, so many rays march abreast: the processor overlaps their steps.
"""

from __future__ import annotations

import math

import numpy as np

from endosim.anatomy import Z_COUNT, Z_START, Z_STEP, wall_gap
from endosim.compiled import allocating, compiled, inlined
from endosim.polyp import polyp_distance

FAR = 7.0
CELL = 8
_BLOCK = 4
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
        square = dx * dx + dy * dy + dz * dz
        if square > (bounds[p, 3] + 0.05) ** 2:
            if square < (bounds[p, 3] + distance) ** 2:
                distance = math.sqrt(square) - bounds[p, 3]
            continue
        own = 0.85 * polyp_distance(x, y, z, p, lumps, first, surface)
        blend = surface[p, 0]
        h = min(max(0.5 + 0.5 * (distance - own) / blend, 0.0), 1.0)
        distance = distance * (1 - h) + own * h - blend * h * (1 - h)
        if h > weight:
            weight, which = h, p
    return distance, weight, which


@compiled()
def march(
    position: np.ndarray, rays: np.ndarray, queue: np.ndarray, cone: float, wide: float, steps: int,
    radius: np.ndarray, line: np.ndarray, lumps: np.ndarray, first: np.ndarray, bounds: np.ndarray,
    surface: np.ndarray, depth: np.ndarray, clear: np.ndarray, weight: np.ndarray, which: np.ndarray,
    before: np.ndarray, last: np.ndarray,
) -> None:  # fmt: skip
    """Move the rays of `queue` (overwritten) on to where the surface is nearer than `cone` times their length.

    `rays`, float64 [n, 3], are unit directions in the scene's coordinates from `position`. `depth` is where each ray
    starts, then where it ends, at most ``FAR``. `clear` is filled with how far the wider cone round the ray, of slope
    `wide`, holds no surface; `weight` and `which` with the polyp's weight at the end, and which polyp it is (-1: none).
    `before` and `last` are scratch: length and gap at a ray's step before. All are [n].
    """
    for ray in queue:
        before[ray], last[ray], clear[ray] = depth[ray], 1e9, depth[ray]
    end = Z_START + Z_STEP * (Z_COUNT - 2)
    count = queue.size
    for _ in range(steps):
        kept = 0
        for n in range(count):
            ray = queue[n]
            t = depth[ray]
            z = position[2] + t * rays[ray, 2]
            gap, weight[ray], which[ray] = gap_to_surface(
                position[0] + t * rays[ray, 0], position[1] + t * rays[ray, 1], z,
                radius, line, lumps, first, bounds, surface,
            )  # fmt: skip
            if clear[ray] == before[ray] and gap >= wide * t + 0.0008:
                clear[ray] = t
            if gap < cone * t + 0.0008:
                # One secant step: along a ray the gap is nearly linear here. A ray that only passes by goes on.
                rest = gap * (t - before[ray]) / (last[ray] - gap) if last[ray] > gap else 1e9
                if rest < 6.0 * cone * t or gap < 0.2 * cone * t:
                    depth[ray] = t + min(rest, cone * t)
                    continue
            last[ray], before[ray] = gap, t
            depth[ray] = min(t + gap, FAR)
            if t + gap <= FAR and z + gap * rays[ray, 2] <= end:
                queue[kept] = ray
                kept += 1
        count = kept
        if count == 0:
            break


@allocating()
def coarse_depth(
    position: np.ndarray, rays: np.ndarray, side: int, cone: float, radius: np.ndarray, line: np.ndarray,
    lumps: np.ndarray, first: np.ndarray, bounds: np.ndarray, surface: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return for each cell of ``CELL`` x ``CELL`` pixels a distance that none of its rays ends before, [cells, cells].

    `rays`, float64 [side * side, 3], are the pixels' row by row; `cone` is half the angle of a cell's diagonal, as a
    tangent.
    """
    cells = (side + CELL - 1) // CELL
    middle = np.empty((cells * cells, 3))
    for i in range(cells):
        for j in range(cells):
            row, column = min(i * CELL + CELL // 2, side - 1), min(j * CELL + CELL // 2, side - 1)
            for axis in range(3):
                middle[i * cells + j, axis] = rays[row * side + column, axis]
    depth, clear, weight = np.full(cells * cells, 0.01), np.empty(cells * cells), np.empty(cells * cells)
    which = np.empty(cells * cells, np.int64)
    march(position, middle, np.arange(cells * cells), cone, cone, 40, radius, line, lumps, first, bounds, surface,
          depth, clear, weight, which, np.empty(cells * cells), np.empty(cells * cells))  # fmt: skip
    return clear.reshape(cells, cells)


@allocating()
def depth_map(
    position: np.ndarray, rays: np.ndarray, inside: np.ndarray, pixel: float, radius: np.ndarray, line: np.ndarray,
    lumps: np.ndarray, first: np.ndarray, bounds: np.ndarray, surface: np.ndarray,
) -> tuple:  # fmt: skip
    """Return, per pixel, the distance to the surface, the polyp's weight there, and which polyp it is (-1: none).

    Every fourth pixel of every fourth row is traced. Those between, then the rest, start from the mean of their known
    neighbours and are traced only if the surface is not there within half a pixel. Where `inside`, uint8 [s, s], is 0,
    a pixel is not needed and its answer undefined; `pixel` is the angle of one in radians.
    """
    side = inside.shape[0]
    blocks = (side + _BLOCK - 1) // _BLOCK
    start = coarse_depth(position, rays, side, pixel * CELL * 0.75, radius, line, lumps, first, bounds, surface)
    depth, clear, weight = np.empty(side * side), np.empty(side * side), np.empty(side * side)
    before, last = np.empty(side * side), np.empty(side * side)
    which, queue = np.empty(side * side, np.int64), np.empty(side * side, np.int64)
    for i in range(blocks):
        for j in range(blocks):
            here = (i * side + j) * _BLOCK
            queue[i * blocks + j], depth[here] = here, start[i * _BLOCK // CELL, j * _BLOCK // CELL]
    # The wide cone holds the rays of a block, whose first pixel this is: they start where it ends.
    march(position, rays, queue[: blocks * blocks], 0.5 * pixel, 4.3 * pixel, 64, radius, line, lumps, first, bounds,
          surface, depth, clear, weight, which, before, last)  # fmt: skip
    for stage in (1, 2):
        count = _guess(position, rays, inside, pixel, stage, radius, line, lumps, first, bounds, surface,
                       depth, clear, weight, which, queue)  # fmt: skip
        march(position, rays, queue[:count], 0.5 * pixel, 4.3 * pixel, 64, radius, line, lumps, first, bounds, surface,
              depth, clear, weight, which, before, last)  # fmt: skip
    return depth, weight, which


@compiled()
def _guess(
    position: np.ndarray, rays: np.ndarray, inside: np.ndarray, pixel: float, stage: int, radius: np.ndarray,
    line: np.ndarray, lumps: np.ndarray, first: np.ndarray, bounds: np.ndarray, surface: np.ndarray,
    depth: np.ndarray, clear: np.ndarray, weight: np.ndarray, which: np.ndarray, queue: np.ndarray,
) -> int:  # fmt: skip
    """Fill in the pixels of a stage that end where their neighbours say; queue the others, and return their number."""
    side, count = inside.shape[0], 0
    step, grid = 4 >> stage, 8 >> stage
    last = (side - 1) & ~(grid - 1)
    for i in range(0, side, step):
        a = i & ~(grid - 1)
        c = min(a + grid, last) if i != a else a
        for j in range(0, side, step):
            if (i | j) & (grid - 1) == 0 or (stage == 2 and inside[i, j] == 0):
                continue
            here = i * side + j
            b = j & ~(grid - 1)
            d = min(b + grid, last) if j != b else b
            p, q, r, s = depth[a * side + b], depth[a * side + d], depth[c * side + b], depth[c * side + d]
            t = 0.25 * (p + q + r + s)
            if max(max(p, q), max(r, s)) - min(min(p, q), min(r, s)) < 0.12 * t:
                gap, h, k = gap_to_surface(
                    position[0] + t * rays[here, 0], position[1] + t * rays[here, 1], position[2] + t * rays[here, 2],
                    radius, line, lumps, first, bounds, surface,
                )  # fmt: skip
                if abs(gap) < 0.5 * pixel * t:
                    depth[here], weight[here], which[here] = t + gap, h, k
                    continue
            depth[here] = clear[(i & ~(_BLOCK - 1)) * side + (j & ~(_BLOCK - 1))]
            queue[count] = here
            count += 1
    return count
