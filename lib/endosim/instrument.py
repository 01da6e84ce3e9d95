"""Instruments out of the working channel: capsules in the camera's own coordinates, cut by rays exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from endosim.compiled import compiled, inlined
from endosim.optics import lit

Tool = Literal["forceps", "snare", "needle", "sheath"]
TOOLS: tuple[Tool, ...] = ("forceps", "snare", "needle", "sheath")
NO_PARTS = np.zeros((0, 12))
_STEEL, _WIRE = (0.62, 0.62, 0.64), (0.7, 0.68, 0.6)
_SHEATHS = ((0.72, 0.70, 0.66), (0.25, 0.36, 0.55), (0.5, 0.52, 0.52), (0.08, 0.08, 0.09), (0.55, 0.38, 0.22),
            (0.3, 0.45, 0.42))  # fmt: skip


@dataclass(frozen=True)
class Instrument:
    """One instrument: its capsules, and how its tip moves in and out over the frames.

    A capsule has start and end (camera coordinates: right, down, forward; lumen radii), radius, albedo (3), gloss, and
    rings per lumen radius (0: smooth).
    """

    tool: Tool
    parts: np.ndarray  # float64 [m, 12]
    sway: float  # lumen radii
    phase: float  # radians

    def at(self, frame: int) -> np.ndarray:
        """Return the capsules at a frame, float64 [m, 12]: pushed forward and back along the channel."""
        parts = self.parts.copy()
        push = self.sway * math.sin(frame / 9 + self.phase)
        direction = parts[0, 3:6] - parts[0, :3]
        direction = direction / np.linalg.norm(direction)
        parts[:, 3:6] += push * direction
        parts[1:, :3] += push * direction
        return parts


def take_instrument(rng: np.random.Generator, *, reach: float, close_up: bool = False) -> Instrument:
    """Return a random instrument whose tip is at most `reach` lumen radii away; a close-up fills much of the image."""
    tool: Tool = TOOLS[rng.choice(4, p=(0.35, 0.3, 0.15, 0.2))]
    radius = rng.uniform(0.06, 0.1) if close_up else rng.uniform(0.02, 0.055)
    angle = rng.uniform(0, 2 * math.pi)
    channel = np.array([math.cos(angle), math.sin(angle), 0.0]) * rng.uniform(0.22, 0.32)
    start = channel - np.array([0.0, 0.0, 0.05])
    length = rng.uniform(0.25, 0.45) if close_up else rng.uniform(0.35, max(0.4, reach))
    aim = np.append(-channel[:2] * rng.uniform(0.0, 1.2) + rng.normal(0, 0.06, 2), length)
    end = start + aim
    direction = aim / np.linalg.norm(aim)
    sheath = _SHEATHS[rng.integers(len(_SHEATHS))]
    rings = rng.choice([0.0, 1.2 / radius]) if tool in ("forceps", "sheath") else 0.0
    parts = [_part(start, end, radius, _STEEL if rings else sheath, 0.5, rings)]
    side = np.cross(direction, rng.standard_normal(3))
    side /= np.linalg.norm(side)
    if tool == "forceps":
        opening = rng.uniform(0.05, 0.7)
        parts.append(_part(end, end + direction * radius, radius * 0.9, _STEEL, 1.0))
        for sign in (-1, 1):
            jaw = direction * math.cos(opening) + sign * side * math.sin(opening)
            hinge = end + direction * radius * 1.3
            parts.append(_part(hinge, hinge + jaw * radius * 2.6, radius * 0.62, _STEEL, 1.0))
    elif tool == "snare":
        parts += _loop(rng, end, direction, side, radius)
    elif tool == "needle":
        tip = end + direction * rng.uniform(0.1, 0.25)
        parts.append(_part(end, tip, max(0.009, radius * 0.3), _STEEL, 1.2))
    sway = rng.uniform(0.0, 0.15) * length
    return Instrument(tool, np.asarray(parts), sway, rng.uniform(0, 2 * math.pi))


def _part(
    start: np.ndarray, end: np.ndarray, radius: float, albedo: tuple, gloss: float, rings: float = 0
) -> np.ndarray:
    return np.concatenate([start, end, [radius], albedo, [gloss, rings]])


def _loop(
    rng: np.random.Generator, end: np.ndarray, direction: np.ndarray, side: np.ndarray, radius: float
) -> list[np.ndarray]:
    length, width = rng.uniform(0.2, 0.55), rng.uniform(0.08, 0.24)
    wire = max(0.008, radius * 0.24)
    corners = []
    for turn in np.linspace(0, 2 * math.pi, 11):
        out, across = 0.5 * length * (1 - math.cos(turn)), 0.5 * width * math.sin(turn) * (1.3 - 0.3 * math.cos(turn))
        corners.append(end + out * direction + across * side)
    return [_part(a, b, wire, _WIRE, 1.0) for a, b in pairwise(corners)]


@compiled()
def hit_capsule(dx: float, dy: float, dz: float, part: np.ndarray) -> float:
    """Return the distance along a unit ray from the camera to a capsule, or -1 where it misses or starts inside."""
    bx, by, bz = part[3] - part[0], part[4] - part[1], part[5] - part[2]
    ox, oy, oz, radius = -part[0], -part[1], -part[2], part[6]
    bb = bx * bx + by * by + bz * bz
    bd = bx * dx + by * dy + bz * dz
    bo = bx * ox + by * oy + bz * oz
    do = dx * ox + dy * oy + dz * oz
    oo = ox * ox + oy * oy + oz * oz
    a = bb - bd * bd
    b = bb * do - bo * bd
    c = bb * oo - bo * bo - radius * radius * bb
    h = b * b - a * c
    if h < 0:
        return -1.0
    t = (-b - math.sqrt(h)) / (a + 1e-12)
    y = bo + t * bd
    if y > 0 and y < bb:
        return t
    if y > 0:
        ox, oy, oz = -part[3], -part[4], -part[5]
    b = dx * ox + dy * oy + dz * oz
    h = b * b - (ox * ox + oy * oy + oz * oz - radius * radius)
    return -b - math.sqrt(h) if h > 0 else -1.0


@compiled()
def fill_tools(
    axes: np.ndarray, rays: np.ndarray, inside: np.ndarray, depth: np.ndarray, parts: np.ndarray, tools: np.ndarray
) -> None:
    """Fill `tools`, int64 [s * s], with the nearest capsule that a pixel's ray hits before `depth`, or -1."""
    side = inside.shape[0]
    for i in range(side):
        for j in range(side):
            here = i * side + j
            tools[here] = -1
            if parts.shape[0] == 0 or inside[i, j] == 0:
                continue
            cx, cy, cz = to_camera(rays[here, 0], rays[here, 1], rays[here, 2], axes)
            nearest = depth[here]
            for m in range(parts.shape[0]):
                t = hit_capsule(cx, cy, cz, parts[m])
                if t > 0.02 and t < nearest:
                    nearest, tools[here] = t, m


@inlined()
def to_camera(x: float, y: float, z: float, axes: np.ndarray) -> tuple:
    """Return a direction in camera coordinates (right, down, forward)."""
    return (
        x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2],
        x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2],
        x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2],
    )


@compiled()
def shade_tool(cx: float, cy: float, cz: float, part: np.ndarray) -> tuple:
    """Return the light (red, green, blue) of a capsule where a ray from the camera meets it."""
    nearest = hit_capsule(cx, cy, cz, part)
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
    diffuse, mirrored = lit(x, y, z, nx, ny, nz, nx, ny, nz, 1.0, 0.0, 0.0, 40.0)
    mirrored *= part[10]
    facing = max(0.0, -(nx * cx + ny * cy + nz * cz))
    rim = (1.0 - facing) ** 2
    base = 0.32 * diffuse * shade * (0.35 + 0.65 * facing)
    tint = 0.25 * diffuse * rim
    return (
        part[7] * base + 0.5 * mirrored + 0.5 * tint,
        part[8] * base + 0.5 * mirrored + 0.2 * tint,
        part[9] * base + 0.5 * mirrored + 0.13 * tint,
    )
