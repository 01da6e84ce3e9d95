"""A frame's light before the camera's electronics: point lights at the lens, falloff, gloss, and the exact mask."""

from __future__ import annotations

import math

import numpy as np

from endosim.anatomy import ANGLE_COUNT, tube_coordinates, turn_of, wall_gap
from endosim.compiled import allocating, compiled, inlined, sine
from endosim.instrument import shade_tool, to_camera
from endosim.optics import lit
from endosim.polyp import along_axes, polyp_normal
from endosim.skin import colour_of, sample, sample_relief
from endosim.texture import SIDE

WALL, POLYP, INSTRUMENT = 0, 1, 2
_CHUNK = 128


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
        up, side, along = along_axes(x, y, z, foot, lumps)
        u = 1.6 * scale * (side + 0.6 * up) + 3.1 * skin.shift_row
        v = 1.6 * scale * (along - 0.4 * up) + 1.7 * skin.shift_column
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
        low = sine(2 * math.pi * (turn - skin.down) + 0.5 * math.pi)
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


@allocating()
def render_light(
    position: np.ndarray, axes: np.ndarray, rays: np.ndarray, inside: np.ndarray, pixel: float, depth: np.ndarray,
    weight: np.ndarray, which: np.ndarray, tools: np.ndarray, radius: np.ndarray, slopes: np.ndarray,
    line: np.ndarray, lumps: np.ndarray, first: np.ndarray, surface: np.ndarray, colours: np.ndarray,
    parts: np.ndarray, skin: tuple, vessels: np.ndarray, clouds: np.ndarray, relief: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return linear light, float32 [s, s, 3], of the pixels where `inside` is not 0.

    `depth`, `weight` and `which` are the answer of ``depth_map``, `tools` that of ``fill_tools``.
    """
    side = inside.shape[0]
    light, todo = np.zeros((side * side, 3), np.float32), np.empty(side * side, np.int64)
    count = _shade_tools(axes, rays, inside, tools, parts, light, todo)
    # Short loops over few pixels each: the processor overlaps neighbours better than in one long loop.
    normals, tissue = np.empty((_CHUNK, 6)), np.empty((_CHUNK, 9))
    for start in range(0, count, _CHUNK):
        some = todo[start : min(start + _CHUNK, count)]
        _fill_normals(some, position, rays, depth, weight, which, radius, slopes, line, lumps, first, surface, normals)
        _fill_tissue(some, position, rays, pixel, depth, weight, which, lumps, first, colours, skin, vessels, clouds,
                     relief, normals, tissue)  # fmt: skip
        _fill_light(some, rays, depth, weight, normals, tissue, axes, skin, clouds, light)
    return light.reshape(side, side, 3)


@compiled()
def _shade_tools(
    axes: np.ndarray, rays: np.ndarray, inside: np.ndarray, tools: np.ndarray, parts: np.ndarray, light: np.ndarray,
    todo: np.ndarray,
) -> int:  # fmt: skip
    """Fill in the light of pixels that show an instrument; list the others in `todo`, and return their number."""
    side, count = inside.shape[0], 0
    for i in range(side):
        for j in range(side):
            here = i * side + j
            if tools[here] >= 0:
                camera = to_camera(rays[here, 0], rays[here, 1], rays[here, 2], axes)
                light[here, 0], light[here, 1], light[here, 2] = shade_tool(*camera, parts[tools[here]])
            elif inside[i, j] != 0:
                todo[count] = here
                count += 1
    return count


@compiled()
def _fill_normals(
    some: np.ndarray, position: np.ndarray, rays: np.ndarray, depth: np.ndarray, weights: np.ndarray,
    which: np.ndarray, radius: np.ndarray, slopes: np.ndarray, line: np.ndarray, lumps: np.ndarray,
    first: np.ndarray, surface: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Fill in normal (3), radius, turn, and how open the space before it is (0.5 to 1), for pixels `some`."""
    for n in range(some.size):
        here = some[n]
        t, weight = depth[here], weights[here]
        x, y, z = position[0] + t * rays[here, 0], position[1] + t * rays[here, 1], position[2] + t * rays[here, 2]
        nx, ny, nz, r, turn = wall_normal(x, y, z, slopes, line)
        if which[here] >= 0 and weight > 0:
            px, py, pz = polyp_normal(x, y, z, which[here], lumps, first, surface)
            nx, ny, nz = nx + (px - nx) * weight, ny + (py - ny) * weight, nz + (pz - nz) * weight
            size = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
            nx, ny, nz = nx * size, ny * size, nz * size
        out[n, 0], out[n, 1], out[n, 2], out[n, 3], out[n, 4] = nx, ny, nz, r, turn
        if here & 1 == 0 or n == 0 or some[n - 1] != here - 1:
            gap = wall_gap(x + 0.2 * nx, y + 0.2 * ny, z + 0.2 * nz, radius, line)
            out[n, 5] = max(0.5, min(1.0, 0.4 + 3.4 * gap))
        else:
            out[n, 5] = out[n - 1, 5]


@compiled()
def _fill_tissue(
    some: np.ndarray, position: np.ndarray, rays: np.ndarray, pixel: float, depth: np.ndarray, weights: np.ndarray,
    which: np.ndarray, lumps: np.ndarray, first: np.ndarray, colours: np.ndarray, skin: tuple, vessels: np.ndarray,
    clouds: np.ndarray, relief: np.ndarray, normals: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Fill in what ``_tissue`` returns for pixels `some`."""
    for n in range(some.size):
        here = some[n]
        t = depth[here]
        foot = first[which[here]] if which[here] >= 0 else 0
        red, green, blue, u, v, a, b, fa, fb = _tissue(
            position[0] + t * rays[here, 0], position[1] + t * rays[here, 1], position[2] + t * rays[here, 2],
            normals[n, 3], normals[n, 4], weights[here], t, skin, vessels, clouds, relief, lumps, foot, colours,
            which[here], pixel,
        )  # fmt: skip
        out[n, 0], out[n, 1], out[n, 2], out[n, 3], out[n, 4] = red, green, blue, u, v
        out[n, 5], out[n, 6], out[n, 7], out[n, 8] = a, b, fa, fb


@compiled()
def _fill_light(
    some: np.ndarray, rays: np.ndarray, depth: np.ndarray, weights: np.ndarray, normals: np.ndarray,
    tissue: np.ndarray, axes: np.ndarray, skin: tuple, clouds: np.ndarray, light: np.ndarray,
) -> None:  # fmt: skip
    """Fill in the light of pixels `some` from their normals and tissue."""
    for n in range(some.size):
        here = some[n]
        t, weight = depth[here], weights[here]
        nx, ny, nz, open_space = normals[n, 0], normals[n, 1], normals[n, 2], normals[n, 5]
        red, green, blue, u, v = tissue[n, 0], tissue[n, 1], tissue[n, 2], tissue[n, 3], tissue[n, 4]
        a, b, fa, fb = tissue[n, 5], tissue[n, 6], tissue[n, 7], tissue[n, 8]
        # Slopes tilt the normal along two directions square to it.
        ex, ey = nz, -nx
        size = 1.0 / math.sqrt(ex * ex + ey * ey + 1e-9)
        ex, ey = ex * size, ey * size
        gx, gy, gz = ny * ey, nz * ex - nx * ey, -ny * ex
        diffuse, mirrored = lit(
            t * rays[here, 0], t * rays[here, 1], t * rays[here, 2], nx - a * ex - b * gx, ny - b * gy,
            nz - a * ey - b * gz, nx - fa * ex - fb * gx, ny - fb * gy, nz - fa * ey - fb * gz,
            axes[0, 0], axes[0, 1], axes[0, 2], skin.polish,
        )  # fmt: skip
        if mirrored > 0:
            mirrored *= skin.gloss * max(0.0, skin.wet + sample(clouds, 0, 0.5 * u + 200, v))
        # The crease round a polyp's foot sees less of the light that the walls throw back.
        base = diffuse * open_space * (1.0 - 1.6 * weight * (1.0 - weight))
        # Far light has bounced off more mucosa: it is redder, and weaker than the square law has it.
        deep = 1.0 / (1.0 + 0.3 * t)
        light[here, 0] = red * base * (0.55 + 0.45 * deep) + 0.6 * mirrored
        light[here, 1] = green * base * deep + 0.6 * mirrored
        light[here, 2] = blue * base * deep + 0.6 * mirrored
