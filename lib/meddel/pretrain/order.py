"""How long a pre-training is, in which order it sees its images, and the draws of each step."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from meddel.config import PretrainConfig
from meddel.errors import MedDELError


@dataclass(frozen=True)
class Schedule:
    """Images seen, largest batch, steps, and the peak learning rate at that batch."""

    images: int
    batch: int
    steps: int
    lr: float


def schedule(config: PretrainConfig, kept: int, pool: int) -> Schedule:
    """Return how long to train on `kept` of `pool` images (Table 2: equal compute), or refuse too few.

    With ``equal="compute"`` the images seen are `images_seen` whatever `kept`; with ``"epochs"`` they are its share
    ``kept / pool``. SimCLR takes an image at most once in a batch, as it would be its own negative: there a subset
    smaller than the batch is the batch, with more steps, and the peak rate falls in proportion to the batch, which is
    MAE's rule and keeps rate times images. (The paper prints 1.5e-4 at batch 16; `lr` is the peak at `batch`.)
    """
    if kept < 1 or kept > pool:
        raise MedDELError(f"{kept} of {pool} images are kept for pre-training", fix="keep at least one of the pool")
    if config.method == "simclr" and kept < 2:
        raise MedDELError("SimCLR needs two images and 1 is kept", fix="keep more, or use method mae")
    batch = min(config.batch, kept) if config.method == "simclr" else config.batch
    images = config.images_seen if config.equal == "compute" else max(1, round(config.images_seen * kept / pool))
    return Schedule(images, batch, len(batch_bounds(images, batch)) - 1, config.lr * batch / config.batch)


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
    """Return which of `count` images is seen at each of `images` places: int32 [images], in [0, count).

    Permutations follow each other. Where a batch spans two of them, the second begins with images that the batch does
    not hold yet, so that no batch of at most `count` images holds one twice.
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
