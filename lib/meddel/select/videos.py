"""Which images are of one video, whatever the index knows of that."""

from __future__ import annotations

from typing import Any

import numpy as np

from meddel.select.pool import Pool


def video_of(images: Pool) -> np.ndarray:
    """Return the number of each image's video.

    A video is a source and a video's name in it. An image without one is a video by itself, as in a folder of stills.

    Returns
    -------
    int64 [n], by place. Videos are numbered from 0 by source and name; then come the images without one, by id.
    """
    sources, names = column(images, "source"), column(images, "video")
    keys = [
        (name is None, source or "", name or "", place if name is None else 0)
        for place, (source, name) in enumerate(zip(sources, names, strict=True))
    ]
    number = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([number[key] for key in keys], np.int64)


def column(images: Pool, name: str) -> list[Any]:
    """Return a column of the index by place: None everywhere where there is no such column."""
    if name not in images.index.column_names:
        return [None] * len(images)
    return images.index[name].take(images.by_id).to_pylist()
