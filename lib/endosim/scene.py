"""One video's world: wall, mucosa, polyps, instrument and camera path, all drawn from (seed, set, video)."""

from __future__ import annotations

import dataclasses
import functools
import math
import zlib

import numpy as np

from endosim.anatomy import Wall, build_wall
from endosim.camera import CameraPath, plan_path
from endosim.data_sets import DATA_SETS, Centre, DataSet
from endosim.disruption import LABELLED_KINDS, SOURCE_KINDS, Disruption, plan_disruptions
from endosim.instrument import NO_PARTS, Instrument, fill_tools, take_instrument
from endosim.march import depth_map, march
from endosim.optics import frame_cover, rays_of, turn
from endosim.polyp import NO_LUMPS, SHAPES, Polyp, grow_polyp
from endosim.shade import INSTRUMENT, POLYP, WALL, render_light, wall_normal
from endosim.skin import Skin, draw_skin
from endosim.texture import texture_bank
from meddel.config import SyntheticConfig

POLYP_AREA = (0.015, 0.45)
_PREVIEW = 40
_ATTEMPTS, _REFILLS = 12, 4


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything that a video's frames show. `plan` holds each written frame's disruption, if any."""

    data_set: DataSet
    wall: Wall
    skin: Skin
    path: CameraPath
    polyps: tuple[Polyp, ...]
    instrument: Instrument | None
    frames: tuple[int, ...]
    plan: tuple[tuple[Disruption, int] | None, ...]
    exposure: float

    @functools.cached_property
    def packed_polyps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return all lumps, where each polyp's begin, and each one's bounds, surface and colour."""
        if not self.polyps:
            return NO_LUMPS, np.zeros(1, np.int64), np.zeros((0, 4)), np.zeros((0, 5)), np.zeros((0, 5))
        first = np.cumsum([0] + [len(polyp.lumps) for polyp in self.polyps])
        stacks = (np.stack([getattr(p, name) for p in self.polyps]) for name in ("bounds", "surface", "colour"))
        return np.concatenate([polyp.lumps for polyp in self.polyps]), first, *stacks

    def look(self, frame: int, side: int, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame's linear light, float32 [side, side, 3], and materials, uint8 [side, side]."""
        *traced, material = self._trace(frame, side, parts)
        lumps, first, _, surface, colours = self.packed_polyps
        light = render_light(self.path.position[frame], self.path.axes[frame], *traced, self.wall.radius,
                             self.wall.slopes, self.wall.line, lumps, first, surface, colours, parts, self.skin,
                             *texture_bank())  # fmt: skip
        return light, material

    def materials(self, frame: int, side: int, parts: np.ndarray) -> np.ndarray:
        """Return the materials that ``look`` returns, without the light."""
        return self._trace(frame, side, parts)[-1]

    def _trace(self, frame: int, side: int, parts: np.ndarray) -> tuple:
        """Return rays, pixels inside the picture, a pixel's angle, what ``depth_map`` does, capsules and materials."""
        centre, wall = self.data_set.centre, self.wall
        position, axes = self.path.position[frame], self.path.axes[frame]
        rays, tools = np.empty((side * side, 3)), np.empty(side * side, np.int64)
        turn(rays_of(centre, side).reshape(-1, 3), axes, rays)
        inside = (frame_cover(centre, side) > 0).astype(np.uint8)
        pixel = math.radians(centre.field) / side / (1 - 2 * centre.margin)
        depth, weight, which = depth_map(
            position, rays, inside, pixel, wall.radius, wall.line, *self.packed_polyps[:4]
        )  # fmt: skip
        fill_tools(axes, rays, inside, depth, parts, tools)
        tissue = np.where((inside.ravel() != 0) & (weight > 0.5), POLYP, WALL)
        material = np.where(tools >= 0, INSTRUMENT, tissue).astype(np.uint8).reshape(side, side)
        return rays, inside, pixel, depth, weight, which, tools, material


def generator_of(seed: int, data_set: str, *numbers: int) -> np.random.Generator:
    """Return the random generator that belongs to a set, a video, a frame: whatever `numbers` say."""
    return np.random.default_rng([seed, zlib.crc32(data_set.encode()), *numbers])


@functools.lru_cache(maxsize=8)
def build_scene(seed: int, name: str, video: int, config: SyntheticConfig) -> Scene:
    """Return the scene of a video. Depends on its arguments only.

    In a labelled set, draws are repeated until its polyps (or its instrument) show in every frame that is written,
    polyps with 1.5 to 45 % of the picture.
    """
    data_set = DATA_SETS[name]
    for attempt in range(_ATTEMPTS):
        base = _draw_scene(generator_of(seed, name, video, attempt), data_set, video, config)
        for refill in range(_REFILLS):
            scene = _furnish(generator_of(seed, name, video, attempt, refill), base)
            if data_set.purpose == "source" or _shows(scene):
                return scene
    return scene


def _draw_scene(rng: np.random.Generator, data_set: DataSet, video: int, config: SyntheticConfig) -> Scene:
    """Return a colon with a camera in it, and nothing else."""
    centre = data_set.centre
    wall = build_wall(rng, folds=centre.folds)
    path = plan_path(rng, wall, config.video_length, facing_wall=centre.facing_wall)
    frames = tuple(data_set.frames_of_video(config))
    share = centre.disruption * len(frames)
    count = math.floor(share * (video + 1) + 0.5) - math.floor(share * video + 0.5)
    kinds = SOURCE_KINDS if data_set.purpose == "source" else LABELLED_KINDS
    return Scene(
        data_set, wall, draw_skin(rng, centre), path, (), None, frames,
        tuple(plan_disruptions(rng, len(frames), count, kinds)), centre.exposure * rng.uniform(0.88, 1.2),
    )  # fmt: skip


def _furnish(rng: np.random.Generator, scene: Scene) -> Scene:
    """Return the scene with the polyps and the instrument that its set may show."""
    data_set, polyps, instrument = scene.data_set, (), None
    if rng.random() < data_set.instruments:
        instrument = take_instrument(rng, reach=rng.uniform(0.5, 1.2))
    if rng.random() < data_set.polyps:
        amount = 2 if rng.random() < 0.2 else 1
        polyps = tuple(_place_polyp(rng, data_set.centre, scene.wall, scene.path) for _ in range(amount))
    return dataclasses.replace(scene, polyps=polyps, instrument=instrument)


def _place_polyp(rng: np.random.Generator, centre: Centre, wall: Wall, path: CameraPath) -> Polyp:
    """Return a polyp where a random ray of the middle frame meets the wall, of a random size in the picture."""
    middle = len(path.position) // 2
    shape = SHAPES[rng.choice(3, p=(0.65, 0.2, 0.15))]
    share = math.exp(rng.uniform(math.log(0.035), math.log(0.6)))
    for _ in range(20):
        spread, turn = math.sqrt(rng.uniform(0, 0.8)), rng.uniform(0, 2 * math.pi)
        angle = spread * math.radians(centre.field) / 2
        ray = np.array([math.sin(angle) * math.cos(turn), math.sin(angle) * math.sin(turn), math.cos(angle)])
        ray = ray @ path.axes[middle]
        depth = _length(path.position[middle], ray, wall)
        if 0.25 < depth < 2.4:
            break
    foot = path.position[middle] + depth * ray
    normal = np.asarray(wall_normal(*foot, wall.slopes, wall.line)[:3])
    size = depth * math.tan(math.sqrt(4 * share / math.pi) * math.radians(centre.field) / 2)
    if shape == "pedunculated":
        size *= 0.75
    return grow_polyp(rng, shape, foot, normal, min(size, 0.85, 0.8 * depth))


def _length(position: np.ndarray, ray: np.ndarray, wall: Wall) -> float:
    """Return how far a ray, float64 [3], goes before it meets the wall."""
    depth, clear, weight, *scratch = np.full((5, 1), 0.02)
    march(position, ray[None], np.zeros(1, np.int64), 0.005, 0.005, 80, wall.radius, wall.line, NO_LUMPS,
          np.zeros(1, np.int64), np.zeros((0, 4)), np.zeros((0, 5)), depth, clear, weight,
          np.zeros(1, np.int64), *scratch)  # fmt: skip
    return float(depth[0])


def _shows(scene: Scene) -> bool:
    """Check whether the set's target is visible, and not too small or large, in every written frame."""
    cover = frame_cover(scene.data_set.centre, _PREVIEW) > 0.5
    low, high = POLYP_AREA if scene.data_set.purpose == "polyp" else (0.012, 0.4)
    target = POLYP if scene.data_set.purpose == "polyp" else INSTRUMENT
    for frame in scene.frames:
        material = scene.materials(frame, _PREVIEW, scene.instrument.at(frame) if scene.instrument else NO_PARTS)
        share = ((material == target) & cover).sum() / cover.sum()
        if not low <= share <= high:
            return False
    return True
