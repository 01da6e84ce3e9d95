"""Frames at even distances in time: what is done without any embedding, and so what a selector has to beat on video."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from meddel.select.base import register
from meddel.select.pool import Pool, pool
from meddel.select.videos import column, video_of


@register("uniform-in-time")
def select(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> pa.Table:
    """Keep `budget` images that lie evenly on the line of all videos one after the other.

    Every r-th frame is the usual way, but the every tenth are not among the every fourth. So that smaller selections
    lie inside larger ones, the line is halved again and again instead: the positions on it, from 0 to n - 1, are taken
    in van der Corput's order (the binary digits reversed), after an exclusive or with one number drawn by `rng`. For n
    = 2^m the first 2^j images are then just one of each of 2^j equal stretches; for any n and budget a stretch holds
    its share of the budget but for about log2(n) images. Each video gets its share by its length, and videos count as
    sampled at one rate.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
        Only checked.
    index : pyarrow.Table
        n rows with ``id`` and, where known, ``source``, ``video`` and ``frame``. Frames without a number follow the
        others of their video, by id; images without a video follow all videos, by id.
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
    video = video_of(images)
    line = _in_time(images, video)
    halved = np.zeros(1, np.int64)
    while len(halved) < len(line):
        halved = np.concatenate([2 * halved, 2 * halved + 1])
    halved ^= rng.integers(len(halved))
    order = line[halved[halved < len(line)]]
    return images.selection(order, budget, reason=np.full(len(images), "not drawn"), cluster=video)


def _in_time(images: Pool, video: np.ndarray) -> np.ndarray:
    """Return the places in the order of videos and time."""
    last = np.iinfo(np.int64).max
    frames = [last if frame is None else frame for frame in column(images, "frame")]
    return np.lexsort((np.array(frames, np.int64), video))
