"""The generated data sets: three pre-training sources and three segmentation sets, from centres that do not overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from endosim import centre
from endosim.centre import Centre
from meddel.config import SyntheticConfig

Purpose = Literal["source", "polyp", "instrument"]
FRAMES_PER_LABELLED_VIDEO = 4


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
    DataSet("sim_colon_north", centre.NORTH, "source", 0.35, 0.1),
    DataSet("sim_colon_south", centre.SOUTH, "source", 0.3, 0.05),
    DataSet("sim_capsule_coast", centre.COAST, "source", 0.25, 0.0),
)
LABELLED = (
    DataSet("sim_polyp_east", centre.EAST, "polyp", 1.0, 0.12),
    DataSet("sim_polyp_hill", centre.HILL, "polyp", 1.0, 0.08),
    DataSet("sim_instrument_lake", centre.LAKE, "instrument", 0.3, 1.0),
)
DATA_SETS: dict[str, DataSet] = {data_set.name: data_set for data_set in (*SOURCES, *LABELLED)}
