"""The generated data sets, from centres that do not overlap: three pre-training sources, three segmentation sets.

Each centre has its own endoscope and processor, hence its own colours, optics, frame and burnt-in text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from meddel.config import SyntheticConfig

Purpose = Literal["source", "polyp", "instrument"]
FRAMES_PER_LABELLED_VIDEO = 4
FrameShape = Literal["octagon", "round", "cut_circle", "full", "octagon_box"]
TextLayout = Literal["none", "left", "top_right", "corners"]


@dataclass(frozen=True)
class Centre:
    """One hospital's endoscope, processor and patients."""

    name: str
    resolution: float  # side of its images as a multiple of the asked size
    field: float  # angle of view from edge to edge, degrees
    frame: FrameShape
    margin: float  # black, beside the picture, as a share of the side
    text: TextLayout
    balance: tuple[float, float, float]  # gains of red, green, blue
    mucosa: tuple[float, float, float]  # mean blood, paleness and yellowness
    saturation: float = 1.0
    exposure: float = 0.42  # the brightness that the automatic gain aims at
    gamma: float = 2.2
    vignette: float = 0.3
    blur: float = 0.45  # of the lens, in pixels of a 128 px image
    sharpening: float = 0.6
    noise: float = 0.010
    colour_lag: float = 0.0  # between the fields of a sequential chip, in pixels of a 128 px image
    black: tuple[int, int, int] = (4, 4, 5)
    jpeg_quality: int = 88
    gloss: float = 1.0
    vessels: float = 1.0
    residue: float = 0.3  # share of patients
    facing_wall: float = 0.45  # share of videos
    folds: float = 1.0  # their height; 1 is typical
    disruption: float = 0.2  # share of frames


NORTH = Centre(
    "north", 1.0, 140, "octagon", 0.0, "left", (1.05, 1.0, 0.95), (1.3, 0.02, 0.15), exposure=0.5, disruption=0.18
)
SOUTH = Centre(
    "south", 0.875, 105, "full", 0.0, "none", (1.08, 1.0, 0.86), (0.95, 0.06, 0.3), exposure=0.64, vignette=0.1,
    blur=0.55, sharpening=0.9, colour_lag=0.8, jpeg_quality=75, facing_wall=1.0, vessels=1.5, folds=0.5,
    disruption=0.14,
)  # fmt: skip
COAST = Centre(
    "coast", 1.0, 150, "round", 0.0, "none", (1.0, 1.0, 0.85), (1.15, 0.03, 0.5), exposure=0.41, vignette=0.35,
    blur=0.7, sharpening=0.5, noise=0.012, jpeg_quality=80, gloss=0.3, residue=0.8, folds=1.3, disruption=0.26,
)  # fmt: skip
EAST = Centre(
    "east", 1.0, 140, "octagon_box", 0.0, "left", (1.08, 0.98, 0.92), (1.4, 0.02, 0.2), exposure=0.53,
    sharpening=0.7, jpeg_quality=85, gloss=1.2, facing_wall=0.6, disruption=0.11,
)  # fmt: skip
HILL = Centre(
    "hill", 1.125, 145, "cut_circle", 0.06, "corners", (1.0, 0.98, 0.9), (0.9, 0.05, 0.35), exposure=0.45,
    gamma=2.1, vignette=0.4, blur=0.6, sharpening=0.4, noise=0.008, black=(10, 10, 12), jpeg_quality=92,
    residue=0.4, facing_wall=0.55, disruption=0.12,
)  # fmt: skip
LAKE = Centre(
    "lake", 1.0, 135, "octagon", 0.03, "top_right", (1.0, 1.0, 1.0), (1.15, 0.05, 0.1), exposure=0.48,
    sharpening=0.8, jpeg_quality=82, gloss=1.1, disruption=0.12,
)  # fmt: skip


@dataclass(frozen=True)
class DataSet:
    """One generated data set. `polyps` and `instruments` are the shares of its videos that hold one."""

    name: str
    centre: Centre
    purpose: Purpose
    polyps: float
    instruments: float

    def frames_of_video(self, config: SyntheticConfig) -> list[int]:
        """Return the numbers of the frames that a whole video gives: all of a source's, a few of a labelled set's."""
        if self.purpose == "source":
            return list(range(config.video_length))
        kept = min(FRAMES_PER_LABELLED_VIDEO, config.video_length)
        return [index * config.video_length // kept for index in range(kept)]

    def videos(self, config: SyntheticConfig) -> list[list[int]]:
        """Return each video's frame numbers; the last video may be shorter."""
        total = config.frames_per_source if self.purpose == "source" else config.images_per_set
        frames = self.frames_of_video(config)
        count = math.ceil(total / len(frames))
        return [frames[: min(len(frames), total - len(frames) * video)] for video in range(count)]


SOURCES = (
    DataSet("sim_colon_north", NORTH, "source", 0.35, 0.1),
    DataSet("sim_colon_south", SOUTH, "source", 0.3, 0.05),
    DataSet("sim_capsule_coast", COAST, "source", 0.25, 0.0),
)
LABELLED = (
    DataSet("sim_polyp_east", EAST, "polyp", 1.0, 0.12),
    DataSet("sim_polyp_hill", HILL, "polyp", 1.0, 0.08),
    DataSet("sim_instrument_lake", LAKE, "instrument", 0.3, 1.0),
)
DATA_SETS: dict[str, DataSet] = {data_set.name: data_set for data_set in (*SOURCES, *LABELLED)}
