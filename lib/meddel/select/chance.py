"""Selectors which don't look at the images: what every other selector has to beat (section 4.6)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.random import Generator

from meddel.select.pool import Pool, pool, turns
from meddel.select.registry import register


@register("random")
def random(embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator) -> pa.Table:
    """Keep the first `budget` images of one permutation: uniform, and a smaller selection is part of a larger one."""
    images = pool(embeddings, index, budget)
    return images.selection(rng.permutation(len(images)), budget, reason="not drawn")


@register("random-per-video")
def random_per_video(embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator) -> pa.Table:
    """Keep `budget` images drawn in turns: in each turn every video which has images left gives one of them.

    A long video can't crowd the others out. The videos of a turn come in random order; `cluster` is the video.
    """
    images = pool(embeddings, index, budget)
    video, drawn, place_in_turn = video_of(images), rng.permutation(len(images)), rng.permutation(len(images))
    # A second draw: `drawn` would put the long videos, whose least draw is small, first in each turn.
    order = np.lexsort((place_in_turn, turns(video, drawn)))
    return images.selection(order, budget, reason="not drawn", cluster=video)


@register("uniform-in-time")
def uniform_in_time(embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator) -> pa.Table:
    """Keep `budget` images at even distances on the line of all videos, one after the other.

    The usual way is every r-th frame, but every tenth frame is not among every fourth. So that a smaller selection is
    part of a larger one, the line is halved again and again: positions are taken in van der Corput's order (binary
    digits reversed), after an exclusive or with one number which `rng` draws. Any stretch of n frames then holds its
    share of the budget but for about log2(n) images. Frames without a number follow the others of their video.
    """
    images = pool(embeddings, index, budget)
    video = video_of(images)
    frames = [np.iinfo(np.int64).max if frame is None else frame for frame in images.column("frame")]
    line = np.lexsort((np.array(frames, np.int64), video))
    halved = np.zeros(1, np.int64)
    while len(halved) < len(line):
        halved = np.concatenate([2 * halved, 2 * halved + 1])
    halved ^= rng.integers(len(halved))
    return images.selection(line[halved[halved < len(line)]], budget, reason="not drawn", cluster=video)


def video_of(images: Pool) -> np.ndarray:
    """Return the number of each image's video (int64 [n], by place): a source and a video's name in it.

    Videos are numbered by source and name; then come the images without one by id, each a video by itself.
    """
    pairs = zip(images.column("source"), images.column("video"), strict=True)
    keys = [
        (name is None, source or "", name or "", place if name is None else 0)
        for place, (source, name) in enumerate(pairs)
    ]
    number = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([number[key] for key in keys], np.int64)
