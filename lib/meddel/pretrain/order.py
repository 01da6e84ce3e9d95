"""In which order the images of a subset are seen: epochs on end, and no image twice in one batch."""

from __future__ import annotations

import zlib

import numpy as np


def random_state(seed: int, purpose: str, number: int = 0) -> int:
    """Return a 64-bit seed for draw `number` of `purpose`, unrelated to those of other purposes and numbers."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), number])
    # torch's generators take signed 64-bit seeds
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def batch_bounds(images: int, batch: int) -> np.ndarray:
    """Return where the batches of a run begin and end: int64 [steps + 1], from 0 to `images`.

    As few batches as `batch` allows, whose sizes differ by at most one, so that none is a leftover.
    """
    steps = -(-images // batch)
    return np.arange(steps + 1, dtype=np.int64) * images // steps


def image_order(count: int, images: int, batch: int, seed: int) -> np.ndarray:
    """Return which of `count` images is seen at each of `images` places, in the batches of `batch_bounds`.

    Permutations follow each other. Where a batch spans two of them, the second begins with images that the batch does
    not hold yet, so that no batch of at most `count` images holds one twice.

    Returns
    -------
    ndarray
        int32 [images], values in [0, count).
    """
    rng = np.random.default_rng(random_state(seed, "order"))
    bounds = batch_bounds(images, batch)
    order = np.empty(-(-images // count) * count, np.int32)
    for start in range(0, len(order), count):
        epoch = rng.permutation(count).astype(np.int32)
        step = int(np.searchsorted(bounds, start, side="right")) - 1
        begin, end = bounds[step : step + 2]
        if begin < start and end - begin <= count:
            held = np.isin(epoch, order[begin:start])
            fresh = np.flatnonzero(~held)[: end - start]
            epoch = np.concatenate([epoch[fresh], np.delete(epoch, fresh)])
        order[start : start + count] = epoch
    return order[:images]
