"""One frame: a pure function of seed, set, video and frame number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosim.data_sets import DATA_SETS
from endosim.disruption import Disruption, disrupt
from endosim.instrument import NO_PARTS, take_instrument
from endosim.optics import develop, exposure_gain, frame_cover
from endosim.scene import build_scene, generator_of
from endosim.shade import INSTRUMENT, POLYP
from meddel.config import SyntheticConfig
from meddel.errors import MedDELError

FRAMES_PER_SECOND = 6
_RUN, _FRAME = 1_000_001, 1_000_002


@dataclass(frozen=True)
class Frame:
    """A rendered frame.

    Attributes
    ----------
    image : ndarray, uint8 [s, s, 3]
        sRGB-like, with the black frame and burnt-in text.
    polyp, instrument : ndarray, bool [s, s]
        Exact masks: pixels inside the picture whose centre's ray ends there.
    """

    image: np.ndarray
    polyp: np.ndarray
    instrument: np.ndarray
    disruption: Disruption | None


def render_frame(seed: int, data_set: str, video: int, frame: int, config: SyntheticConfig | None = None) -> Frame:
    """Return a frame of a generated data set.

    `frame` counts from 0 to ``config.video_length - 1``. A centre's side s is its `resolution` times ``config.size``,
    rounded to 8.
    """
    config = config or SyntheticConfig()
    if data_set not in DATA_SETS:
        raise MedDELError(f"unknown data set {data_set!r}", fix=f"choose one of {', '.join(DATA_SETS)}")
    if not 0 <= frame < config.video_length or video < 0:
        raise MedDELError(f"no frame {frame} in video {video}", data_set, "count from 0 to video_length - 1")
    scene = build_scene(seed, data_set, video, config)
    centre = scene.data_set.centre
    side = max(32, round(config.size * centre.resolution / 8) * 8)
    planned = dict(zip(scene.frames, scene.plan, strict=True)).get(frame)
    kind, run = planned or (None, 0)
    frame_rng, tool = generator_of(seed, data_set, video, _FRAME, frame), scene.instrument
    if kind is not None:
        run_rng = generator_of(seed, data_set, video, _RUN, run)
        tool = take_instrument(run_rng, reach=0.5, close_up=True) if kind == "instrument_close_up" else tool
    light, material = scene.look(frame, side, tool.at(frame) if tool else NO_PARTS)
    cover = frame_cover(centre, side)
    gain = exposure_gain(light, cover, centre, scene.exposure)
    if kind is not None:
        light, factor = disrupt(light * np.float32(0.2 * gain), kind, run_rng, frame_rng)
        gain = 5.0 * factor
    image = develop(light, centre, gain, frame_rng, video=video, second=frame // FRAMES_PER_SECOND)
    inside = cover > 0.5
    return Frame(image, (material == POLYP) & inside, (material == INSTRUMENT) & inside, kind)
