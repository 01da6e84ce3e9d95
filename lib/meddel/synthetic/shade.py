"""A frame's light before the camera's electronics: point lights at the lens, falloff, gloss, and the exact mask."""

from __future__ import annotations

import math

import numpy as np

from meddel.synthetic.anatomy import ANGLE_COUNT, tube_coordinates, turn_of, wall_gap
from meddel.synthetic.compiled import compiled, inlined
from meddel.synthetic.instrument import hit_capsule
from meddel.synthetic.polyp import polyp_distance
from meddel.synthetic.skin import colour_of, sample, sample_relief
from meddel.synthetic.texture import SIDE

WALL, POLYP, INSTRUMENT = 0, 1, 2
_LAMP = 0.07
_RIGHT = np.array([1.0, 0.0, 0.0])


@inlined()
def wall_normal(x: float, y: float, z: float, slopes: np.ndarray, line: np.ndarray) -> tuple:
    """Return the wall's unit normal towards the lumen (3), the radius and the turn (in [0, 1)) at a point."""
    dx, dy, r, row = tube_coordinates(x, y, z, line)
    turn = turn_of(dy, dx)
    column = turn * ANGLE_COUNT
    i, j = int(row), int(column)
    f, g = row - i, column - j
    j &= ANGLE_COUNT - 1
    k = (j + 1) & (ANGLE_COUNT - 1)
    a, b, c, d = (1 - f) * (1 - g), (1 - f) * g, f * (1 - g), f * g
    slope_z = a * slopes[i, j, 0] + b * slopes[i, k, 0] + c * slopes[i + 1, j, 0] + d * slopes[i + 1, k, 0]
    slope_a = a * slopes[i, j, 1] + b * slopes[i, k, 1] + c * slopes[i + 1, j, 1] + d * slopes[i + 1, k, 1]
    inverse = 1.0 / r
    nx = (-slope_a * dy * inverse - dx) * inverse
    ny = (slope_a * dx * inverse - dy) * inverse
    nz = slope_z + (dx * line[i, 2] + dy * line[i, 3]) * inverse
    scale = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz)
    return nx * scale, ny * scale, nz * scale, r, turn


@compiled()
def _polyp_normal(
    x: float, y: float, z: float, which: int, lumps: np.ndarray, first: np.ndarray, surface: np.ndarray
) -> tuple:
    e = 0.004
    here = polyp_distance(x, y, z, which, lumps, first, surface)
    nx = polyp_distance(x + e, y, z, which, lumps, first, surface) - here
    ny = polyp_distance(x, y + e, z, which, lumps, first, surface) - here
    nz = polyp_distance(x, y, z + e, which, lumps, first, surface) - here
    scale = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12)
    return nx * scale, ny * scale, nz * scale


@inlined()
def _light(
    x: float, y: float, z: float, nx: float, ny: float, nz: float, wx: float, wy: float, wz: float,
    right: np.ndarray, power: float,
) -> tuple:  # fmt: skip
    """Return diffuse light for normal n and mirrored light for the wet film's normal w, at a point seen from 0."""
    inverse = 1.0 / math.sqrt(x * x + y * y + z * z + 1e-12)
    lx, ly, lz = right[0] * _LAMP - x, right[1] * _LAMP - y, right[2] * _LAMP - z
    square = lx * lx + ly * ly + lz * lz + 1e-6
    scale = 1.0 / math.sqrt(square)
    lx, ly, lz = lx * scale, ly * scale, lz * scale
    fall = 1.0 / (square + 0.02)
    diffuse = fall * max(0.28, (nx * lx + ny * ly + nz * lz + 0.5) / 1.5)
    hx, hy, hz = lx - x * inverse, ly - y * inverse, lz - z * inverse
    along = wx * hx + wy * hy + wz * hz
    facing = along * abs(along) / ((hx * hx + hy * hy + hz * hz) * (wx * wx + wy * wy + wz * wz) + 1e-12)
    mirrored = fall * math.exp(0.5 * power * (facing - 1.0)) if along > 0 and power * (1.0 - facing) < 16.0 else 0.0
    return diffuse, mirrored


@inlined()
def _tissue(
    x: float, y: float, z: float, r: float, turn: float, weight: float, depth: float, skin: tuple, vessels: np.ndarray,
    clouds: np.ndarray, relief: np.ndarray, lumps: np.ndarray, foot: int, colours: np.ndarray, which: int, pixel: float,
) -> tuple:  # fmt: skip
    """Return albedo (3), place in the textures (2), and the slopes of tissue (2) and wet film (2) at a point."""
    scale = SIDE * skin.tiles / (2 * math.pi)
    u = (z - 0.6 * r) * scale + skin.shift_row
    v = turn * skin.tiles * SIDE + skin.shift_column
    if weight > 0.5:
        qx, qy, qz = x - lumps[foot, 0], y - lumps[foot, 1], z - lumps[foot, 2]
        up = qx * lumps[foot, 3] + qy * lumps[foot, 4] + qz * lumps[foot, 5]
        u = (
            1.6 * scale * (qx * lumps[foot, 6] + qy * lumps[foot, 7] + qz * lumps[foot, 8] + 0.6 * up)
            + 3.1 * skin.shift_row
        )
        v = (
            1.6 * scale * (qx * lumps[foot, 9] + qy * lumps[foot, 10] + qz * lumps[foot, 11] - 0.4 * up)
            + 1.7 * skin.shift_column
        )
    footprint = pixel * depth * scale
    fine = 1.0 / (1.0 + 0.06 * footprint * footprint)
    grain, ripple_a, ripple_b, grain_a, grain_b = sample_relief(relief, u, v)
    cloud = sample(clouds, 0, 0.5 * u, v)
    tree = sample(vessels, skin.vessel_map, u, v) * fine
    blood = skin.blood + skin.mottling * cloud + skin.grain * grain * fine + skin.vessels * tree
    pale, yellow = skin.pale, skin.yellow
    if weight > 0.35:
        w = min((weight - 0.35) / 0.3, 1.0)
        pits = min(max(grain - 0.4, 0.0), 1.5) * colours[which, 3] * fine
        blood -= w * skin.vessels * tree * (1.0 - colours[which, 4])
        blood += w * (colours[which, 0] * (0.7 + 0.3 * cloud) + 0.45 * pits)
        pale = min(0.9, pale + w * colours[which, 1])
        yellow += w * colours[which, 2]
    red, green, blue = colour_of(blood, pale, yellow)
    ripple, rough = skin.ripple_relief, skin.grain_relief * fine
    if skin.residue > -3.0:
        low = math.cos(2 * math.pi * (turn - skin.down))
        dirt = sample(clouds, 0, 0.5 * u + 90, v) + 0.4 * sample(clouds, 1, u, v) + 1.3 * low
        cover = min(max((dirt - 2.0 + 0.8 * skin.residue) * 0.9, 0.0), 0.85)
        red = red * (1 - cover) + cover * (0.55 + 0.07 * grain)
        green = green * (1 - cover) + cover * (0.36 + 0.05 * grain - 0.18 * skin.residue_hue)
        blue = blue * (1 - cover) + cover * (0.09 + 0.02 * grain)
        rough += 0.15 * cover
    a, b = ripple * ripple_a + rough * grain_a, ripple * ripple_b + rough * grain_b
    film = skin.film
    fa, fb = film * (ripple_a + skin.drops * grain_a), film * (ripple_b + skin.drops * grain_b)
    return red, green, blue, u, v, a, b, fa, fb


@compiled()
def render_light(
    position: np.ndarray, axes: np.ndarray, rays: np.ndarray, inside: np.ndarray, pixel: float, depth: np.ndarray,
    weights: np.ndarray, polyp_of: np.ndarray, radius: np.ndarray, slopes: np.ndarray, line: np.ndarray,
    lumps: np.ndarray, first: np.ndarray, surface: np.ndarray, colours: np.ndarray, parts: np.ndarray, skin: tuple,
    vessels: np.ndarray, clouds: np.ndarray, relief: np.ndarray, light: np.ndarray, material: np.ndarray,
) -> None:  # fmt: skip
    """Fill `light` (float32 [s, s, 3], linear) and `material` (uint8 [s, s]: WALL, POLYP or INSTRUMENT).

    Only pixels where `inside` (uint8 [s, s]) is not 0 are computed. `depth`, `weights` and `polyp_of` are the answer
    of ``depth_map``, `pixel` the angle of a pixel in radians, `rays` unit directions in the scene's coordinates.
    """
    for i in range(rays.shape[0]):
        open_space = 1.0
        for j in range(rays.shape[1]):
            material[i, j] = WALL
            light[i, j, 0] = light[i, j, 1] = light[i, j, 2] = 0.0
            if inside[i, j] == 0:
                continue
            rx, ry, rz = rays[i, j, 0], rays[i, j, 1], rays[i, j, 2]
            t, weight, which = depth[i, j], weights[i, j], polyp_of[i, j]
            if parts.shape[0] > 0 and _instrument(rx, ry, rz, t, axes, parts, light, i, j):
                material[i, j] = INSTRUMENT
                continue
            x, y, z = position[0] + t * rx, position[1] + t * ry, position[2] + t * rz
            nx, ny, nz, r, turn = wall_normal(x, y, z, slopes, line)
            foot = 0
            if which >= 0 and weight > 0:
                px, py, pz = _polyp_normal(x, y, z, which, lumps, first, surface)
                nx, ny, nz = nx + (px - nx) * weight, ny + (py - ny) * weight, nz + (pz - nz) * weight
                size = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
                nx, ny, nz = nx * size, ny * size, nz * size
                foot = first[which]
                if weight > 0.5:
                    material[i, j] = POLYP
            if j & 1 == 0:
                gap = wall_gap(x + 0.2 * nx, y + 0.2 * ny, z + 0.2 * nz, radius, line)
                open_space = max(0.5, min(1.0, 0.4 + 3.4 * gap))
            red, green, blue, u, v, a, b, fa, fb = _tissue(
                x, y, z, r, turn, weight, t, skin, vessels, clouds, relief, lumps, foot, colours, which, pixel
            )
            # Slopes tilt the normal along two directions square to it.
            ex, ey = nz, -nx
            size = 1.0 / math.sqrt(ex * ex + ey * ey + 1e-9)
            ex, ey = ex * size, ey * size
            gx, gy, gz = ny * ey, nz * ex - nx * ey, -ny * ex
            diffuse, mirrored = _light(
                t * rx, t * ry, t * rz, nx - a * ex - b * gx, ny - b * gy, nz - a * ey - b * gz,
                nx - fa * ex - fb * gx, ny - fb * gy, nz - fa * ey - fb * gz, axes[0], skin.polish,
            )  # fmt: skip
            if mirrored > 0:
                mirrored *= skin.gloss * max(0.0, skin.wet + sample(clouds, 0, 0.5 * u + 200, v))
            # The crease round a polyp's foot sees less of the light that the walls throw back.
            base = diffuse * open_space * (1.0 - 1.6 * weight * (1.0 - weight))
            # Far light has bounced off more mucosa: it is redder, and weaker than the square law has it.
            deep = 1.0 / (1.0 + 0.3 * t)
            light[i, j, 0] = red * base * (0.55 + 0.45 * deep) + 0.6 * mirrored
            light[i, j, 1] = green * base * deep + 0.6 * mirrored
            light[i, j, 2] = blue * base * deep + 0.6 * mirrored


@compiled()
def _instrument(
    rx: float,
    ry: float,
    rz: float,
    limit: float,
    axes: np.ndarray,
    parts: np.ndarray,
    light: np.ndarray,
    i: int,
    j: int,
) -> bool:
    """Shade pixel (i, j) with the nearest capsule before `limit` along its ray, if there is one."""
    cx = rx * axes[0, 0] + ry * axes[0, 1] + rz * axes[0, 2]
    cy = rx * axes[1, 0] + ry * axes[1, 1] + rz * axes[1, 2]
    cz = rx * axes[2, 0] + ry * axes[2, 1] + rz * axes[2, 2]
    nearest, best = limit, -1
    for m in range(parts.shape[0]):
        t = hit_capsule(cx, cy, cz, parts[m])
        if t > 0.02 and t < nearest:
            nearest, best = t, m
    if best < 0:
        return False
    part = parts[best]
    x, y, z = nearest * cx, nearest * cy, nearest * cz
    bx, by, bz = part[3] - part[0], part[4] - part[1], part[5] - part[2]
    length = math.sqrt(bx * bx + by * by + bz * bz) + 1e-9
    along = ((x - part[0]) * bx + (y - part[1]) * by + (z - part[2]) * bz) / length
    s = min(max(along / length, 0.0), 1.0)
    nx, ny, nz = x - part[0] - s * bx, y - part[1] - s * by, z - part[2] - s * bz
    size = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
    nx, ny, nz = nx * size, ny * size, nz * size
    shade = 1.0
    if part[11] > 0:
        ring = math.sin(2 * math.pi * part[11] * along)
        shade = 0.72 + 0.28 * ring
        nx, ny, nz = nx + 0.35 * ring * bx / length, ny + 0.35 * ring * by / length, nz + 0.35 * ring * bz / length
    diffuse, mirrored = _light(x, y, z, nx, ny, nz, nx, ny, nz, _RIGHT, 40.0)
    mirrored *= part[10]
    facing = max(0.0, -(nx * cx + ny * cy + nz * cz))
    rim = (1.0 - facing) ** 2
    base = 0.32 * diffuse * shade * (0.35 + 0.65 * facing)
    tint = 0.25 * diffuse * rim
    light[i, j, 0] = part[7] * base + 0.5 * mirrored + 0.5 * tint
    light[i, j, 1] = part[8] * base + 0.5 * mirrored + 0.2 * tint
    light[i, j, 2] = part[9] * base + 0.5 * mirrored + 0.13 * tint
    return True
