"""The generated images of the workshop: a pool to select from, labelled images to test on, and plain descriptors.

The seed decides the images and their ids, so that a list of ids means the same on every laptop of the room.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from PIL import Image

import endosim
from compendium.figures.pictures import Picture, draw
from endosim.data_sets import DATA_SETS, LABELLED, SOURCES
from meddel import artefacts
from meddel.config import SyntheticConfig
from meddel.images.index import from_rows

CONFIG = SyntheticConfig(frames_per_source=200, images_per_set=160, size=64, video_length=20)
SEED, SIDE = 0, 32  # SIDE: pixels per side of all images
TESTED = tuple(data_set.name for data_set in LABELLED if data_set.purpose == "polyp")
"""The labelled sets that the leaderboard tests on."""


@dataclass(frozen=True)
class Pictures:
    """Images in memory, in the order of their ids.

    `index` is an INDEX of n rows, `images` are RGB, uint8 [n, s, s, 3], and `masks` uint8 [n, s, s] are 1 where a polyp
    is. The arrays are read-only: they are drawn once a process.
    """

    index: pa.Table
    images: np.ndarray
    masks: np.ndarray

    @property
    def ids(self) -> list[str]:
        """The n ids, sorted."""
        return self.index["id"].to_pylist()


def pool(frames: int = CONFIG.frames_per_source) -> Pictures:
    """Draw the pool: the first `frames` images of each of the three sources."""
    names = tuple(data_set.name for data_set in SOURCES)
    return _drawn(names, CONFIG.model_copy(update={"frames_per_source": frames}))


def labelled(name: str, images: int = CONFIG.images_per_set) -> Pictures:
    """Draw the first `images` of the labelled set `name`, one of `TESTED`."""
    return _drawn((name,), CONFIG.model_copy(update={"images_per_set": images}))


def describe(images: np.ndarray, cells: int = 8) -> np.ndarray:
    """Describe each image by the mean colours of a grid, minus those of the mean image: an embedding without a network.

    Parameters
    ----------
    images : uint8 [n, s, s, 3]
    cells : int
        Rows and columns of the grid; it divides s.

    Returns
    -------
    float32 [n, 3 cells^2]
    """
    n, side = images.shape[:2]
    block = side // cells
    means = images.reshape(n, cells, block, cells, block, 3).mean(axis=(2, 4)).reshape(n, -1)
    return (means - means.mean(axis=0)).astype(np.float32)


def sheet(images: np.ndarray, titles: Sequence[str], message: str, columns: int = 8) -> Figure:
    """Draw images (uint8 [m, s, s, 3]) in rows of `columns`, with titles; `message` says what to see."""
    shown = [Picture(image, title) for image, title in zip(images, titles, strict=True)]
    rows = [("", shown[first : first + columns]) for first in range(0, len(shown), columns)]
    return draw(rows, columns, message, f"{message}: {len(images)} images. {', '.join(filter(None, titles))}")


@functools.lru_cache(maxsize=16)
def _drawn(names: tuple[str, ...], config: SyntheticConfig) -> Pictures:
    rows, squares = [], {}
    for name in names:
        for video, frames in enumerate(DATA_SETS[name].videos(config)):
            for frame in frames:
                image, mask = _square(endosim.render_frame(SEED, name, video, frame, config))
                stem = f"v{video:04d}_f{frame:04d}"
                squares[f"{name}/{stem}"] = image, mask
                rows.append(
                    {
                        "id": f"{name}/{stem}",
                        "path": f"{name}/images/{stem}.jpg",
                        "source": name,
                        "video": f"{name}-{video:04d}",
                        "frame": frame,
                        "width": SIDE,
                        "height": SIDE,
                        "sha256": artefacts.hash_of(image),
                        "mask_sha256": artefacts.hash_of(mask),
                    }
                )
    images, masks = (np.stack([squares[name][part] for name in sorted(squares)]) for part in (0, 1))
    for array in (images, masks):
        array.flags.writeable = False
    return Pictures(from_rows(rows), images, masks)


def _square(drawn: endosim.Frame) -> tuple[np.ndarray, np.ndarray]:
    """Return image and mask in small: averages, and the majority of each pixel's area."""
    image = Image.fromarray(drawn.image).resize((SIDE, SIDE), Image.Resampling.BOX)
    area = Image.fromarray(drawn.polyp.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(image), (np.asarray(area) > 0.5).astype(np.uint8)
