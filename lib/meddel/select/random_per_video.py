"""Random selection with equal shares for the videos: a long video can't crowd the others out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from meddel.select.base import register
from meddel.select.pool import pool
from meddel.select.videos import video_of


@register("random-per-video")
def select(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> pa.Table:
    """Keep `budget` images drawn in turns: in each turn every video that has images left gives one of them.

    With V videos of n_v images, b images are kept of each that has as many, and all of the others, where b is such that
    the sum over v of min(b, n_v) is the budget; the last turn, which the budget cuts short, goes through the videos in
    random order. Within a video the draw is uniform. The turns are the same for every budget: smaller selections lie
    inside larger ones. Where no image has a video (see `video_of`) this is the uniform draw.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
        Only checked.
    index : pyarrow.Table
        n rows with ``id`` and, where known, ``source`` and ``video``.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`; who goes was ``not drawn``. `cluster` is the number of the video.

    Raises
    ------
    MedDELError
        The budget or an embedding is refused.
    """
    images = pool(embeddings, index, budget)
    video, drawn, place_in_turn = video_of(images), rng.permutation(len(images)), rng.permutation(len(images))
    by_video = np.lexsort((drawn, video))
    sizes = np.bincount(video)
    turn = np.empty(len(images), np.int64)
    turn[by_video] = np.arange(len(images)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # A draw of its own: `drawn` would put the long videos, whose least draw is small, first in each turn.
    order = np.lexsort((place_in_turn, turn))
    return images.selection(order, budget, reason=np.full(len(images), "not drawn"), cluster=video)
