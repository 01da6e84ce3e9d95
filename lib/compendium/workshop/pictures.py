"""The generated images of the workshop: a pool to select from, labelled images to test on, and plain descriptors.

They are drawn in memory in a second or two, by the seed: whoever draws them has the same ids, so that a list of ids
means the same on every laptop of the room. `write` makes files of them for who wants to select with ``meddel``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

import endosim
from endosim.data_sets import DATA_SETS, LABELLED, SOURCES
from meddel import artefacts
from meddel.config import SyntheticConfig
from meddel.images.index import from_rows

CONFIG = SyntheticConfig(frames_per_source=200, images_per_set=160, size=64, video_length=20)
SEED = 0
SIDE = 32
"""Pixels per side of all images in memory."""
TESTED = tuple(data_set.name for data_set in LABELLED if data_set.purpose == "polyp")
"""The labelled sets that the leaderboard tests on."""


@dataclass(frozen=True)
class Pictures:
    """Images in memory, in the order of their ids.

    Attributes
    ----------
    index : pyarrow.Table
        `meddel.images.index.INDEX_SCHEMA`, n rows; ``path`` is where `write` puts the image, below its folder.
    images : uint8 [n, s, s, 3]
        RGB. Read-only, as the masks are: they are drawn once a process.
    masks : uint8 [n, s, s]
        1 where a polyp is.
    """

    index: pa.Table
    images: np.ndarray
    masks: np.ndarray

    @property
    def ids(self) -> list[str]:
        """The n ids, sorted."""
        return self.index["id"].to_pylist()


def pool(frames: int = CONFIG.frames_per_source, side: int = SIDE) -> Pictures:
    """Draw the pool: the first `frames` images of each of the three sources, in squares of `side` pixels."""
    config = CONFIG.model_copy(update={"frames_per_source": frames})
    return _draw(tuple(data_set.name for data_set in SOURCES), config, side)


def labelled(name: str, images: int = CONFIG.images_per_set, side: int = SIDE) -> Pictures:
    """Draw the first `images` of the labelled set `name`, one of `TESTED`, in squares of `side` pixels."""
    return _draw((name,), CONFIG.model_copy(update={"images_per_set": images}), side)


def write(folder: Path) -> Path:
    """Write the pool as image files, ``<source>/images/<name>.jpg`` below `folder`, for ``meddel embed``; return it.

    Raises
    ------
    MedDELError
        The folder can't be written.
    """
    return endosim.generate(folder, CONFIG, SEED, names=[data_set.name for data_set in SOURCES])


def describe(images: np.ndarray, cells: int = 8) -> np.ndarray:
    """Describe each image by the mean colours of a grid, minus those of the mean image: an embedding without a network.

    Parameters
    ----------
    images : uint8 [n, s, s, 3]
        `cells` divides s.
    cells : int
        The grid has `cells` rows and columns.

    Returns
    -------
    float32 [n, 3 cells^2]
    """
    n, side = images.shape[:2]
    block = side // cells
    means = images.reshape(n, cells, block, cells, block, 3).mean(axis=(2, 4)).reshape(n, -1)
    return (means - means.mean(axis=0)).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _draw(names: tuple[str, ...], config: SyntheticConfig, side: int) -> Pictures:
    rows, squares = [], []
    for name in names:
        for video, frames in enumerate(DATA_SETS[name].videos(config)):
            for frame in frames:
                drawn = endosim.render_frame(SEED, name, video, frame, config)
                stem = f"v{video:04d}_f{frame:04d}"
                image, mask = _square(drawn, side)
                squares.append((image, mask))
                rows.append(
                    {
                        "id": f"{name}/{stem}",
                        "path": f"{name}/images/{stem}.jpg",
                        "source": name,
                        "video": f"{name}-{video:04d}",
                        "frame": frame,
                        "width": side,
                        "height": side,
                        "sha256": artefacts.hash_of(image),
                        "mask_sha256": artefacts.hash_of(mask),
                    }
                )
    order = sorted(range(len(rows)), key=lambda row: rows[row]["id"])
    images, masks = (np.stack([squares[row][part] for row in order]) for part in (0, 1))
    for array in (images, masks):
        array.flags.writeable = False
    return Pictures(from_rows(rows), images, masks)


def _square(drawn: endosim.Frame, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return image and mask at the side: averages, and the majority of each pixel's area."""
    image = Image.fromarray(drawn.image).resize((side, side), Image.Resampling.BOX)
    area = Image.fromarray(drawn.polyp.astype(np.float32)).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image), (np.asarray(area) > 0.5).astype(np.uint8)
