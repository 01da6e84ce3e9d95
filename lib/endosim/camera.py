"""A camera that moves slowly through the tube: one smooth path a video, and which of its frames are near duplicates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from endosim.anatomy import Z_START, Z_STEP, Wall, wall_gap

NEAR_DUPLICATE_MOTION = 0.12
_CLEARANCE = 0.1


@dataclass(frozen=True)
class CameraPath:
    """Poses of a video's frames, float64."""

    position: np.ndarray  # [frames, 3], in lumen radii
    axes: np.ndarray  # [frames, 3, 3], rows: right, down, forward; orthonormal

    def motion(self, first: int, second: int) -> float:
        """Return how far the camera moved between two frames: lumen radii plus radians."""
        shift = float(np.linalg.norm(self.position[first] - self.position[second]))
        cosine = (np.trace(self.axes[first] @ self.axes[second].T) - 1) / 2
        return shift + math.acos(min(1.0, max(-1.0, float(cosine))))

    def near_duplicate_groups(self, disrupted: np.ndarray) -> np.ndarray:
        """Return each frame's group, int32 [frames], counted from 0.

        A clear frame joins the group of the last clear frame that opened one while the camera has moved less than
        ``NEAR_DUPLICATE_MOTION`` (lumen radii plus radians) from there. A disrupted frame is a group by itself.
        """
        groups = np.zeros(len(self.position), np.int32)
        opener, opened, count = None, -1, 0
        for frame in range(len(groups)):
            if not disrupted[frame] and opener is not None and self.motion(opener, frame) < NEAR_DUPLICATE_MOTION:
                groups[frame] = opened
                continue
            groups[frame] = count
            if not disrupted[frame]:
                opener, opened = frame, count
            count += 1
        return groups


def plan_path(rng: np.random.Generator, wall: Wall, frames: int, *, facing_wall: float) -> CameraPath:
    """Return a path that keeps clear of the wall; `facing_wall` is the chance that the camera looks at it."""
    for _ in range(60):
        position = _draw_positions(rng, wall, frames)
        if min(wall_gap(*place, wall.radius, wall.line) for place in position) > _CLEARANCE:
            break
    return CameraPath(position, _draw_axes(rng, wall, position, facing_wall))


def _draw_positions(rng: np.random.Generator, wall: Wall, frames: int) -> np.ndarray:
    """Return a smooth way along the tube, float64 [frames, 3], often nearer to one side."""
    advance = np.cumsum(np.clip(_drift(rng, frames, 0.014) + rng.uniform(-0.012, 0.018), -0.04, 0.04))
    z = rng.uniform(0.3, 1.3) + advance
    far, turn = rng.uniform(0.0, 0.8), rng.uniform(0, 2 * math.pi)
    x = far * math.cos(turn) + np.cumsum(_drift(rng, frames, 0.006))
    y = far * math.sin(turn) + np.cumsum(_drift(rng, frames, 0.006))
    line = wall.line[((z - Z_START) / Z_STEP).astype(int)]
    return np.stack([x + line[:, 0], y + line[:, 1], z], axis=1)


def _draw_axes(rng: np.random.Generator, wall: Wall, position: np.ndarray, facing_wall: float) -> np.ndarray:
    """Return smooth orientations, float64 [frames, 3, 3]: along the tube, or towards the wall."""
    frames = len(position)
    tilt = rng.uniform(0.8, 1.6) if rng.random() < facing_wall else rng.uniform(0.0, 0.75)
    heading = rng.uniform(0, 2 * math.pi)
    pitch, yaw = (
        tilt * part + np.cumsum(_drift(rng, frames, 0.012)) + 0.002 * rng.standard_normal(frames)
        for part in (math.sin(heading), math.cos(heading))
    )
    roll = rng.uniform(0, 2 * math.pi) + np.cumsum(_drift(rng, frames, 0.008))
    slope = wall.line[((position[:, 2] - Z_START) / Z_STEP).astype(int), 2:]
    forward = np.concatenate([slope, np.ones((frames, 1))], axis=1)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    base = np.stack([right, np.cross(forward, right), forward], axis=1)
    return _turns(roll, (0, 1)) @ _turns(pitch, (1, 2)) @ _turns(yaw, (0, 2)) @ base


def _drift(rng: np.random.Generator, frames: int, size: float) -> np.ndarray:
    """Return a smooth speed per frame, with rests: sines of a few dozen frames, gated."""
    time = np.arange(frames)
    speed = sum(
        rng.normal(0, size) * np.sin(2 * math.pi * time / rng.uniform(18, 60) + rng.uniform(0, 2 * math.pi))
        for _ in range(3)
    )
    rest = 1 / (1 + np.exp(-4 * (np.sin(2 * math.pi * time / rng.uniform(20, 50) + rng.uniform(0, 6.3)) + 0.5)))
    return speed * rest


def _turns(angle: np.ndarray, plane: tuple[int, int]) -> np.ndarray:
    """Return rotations by `angle` (radians, [frames]) in the plane of two axes, [frames, 3, 3]."""
    turns = np.tile(np.eye(3), (len(angle), 1, 1))
    a, b = plane
    turns[:, a, a] = turns[:, b, b] = np.cos(angle)
    turns[:, a, b], turns[:, b, a] = np.sin(angle), -np.sin(angle)
    return turns
