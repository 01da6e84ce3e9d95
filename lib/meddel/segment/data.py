"""A segmentation set in memory, checked, and the labelled images that a seed draws from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.pretrain.order import random_state

SPLITS = ("train", "val", "test")
EVALUATED = ("val", "test")


@dataclass(frozen=True)
class SegmentationSet:
    """Images (uint8 [n, s, s, 3], RGB) with masks (uint8 [n, s, s], 1 where the foreground is), splits and unique ids.

    A split is ``"train"``, ``"val"`` (optional) or ``"test"``.

    Raises
    ------
    MedDELError
        Shapes that don't fit, other values, no training or no test images, or an evaluated split that lacks
        foreground or background, whose IoU would not be defined.
    """

    name: str
    images: np.ndarray
    masks: np.ndarray
    splits: np.ndarray
    ids: np.ndarray

    def __post_init__(self) -> None:
        for field in ("splits", "ids"):
            object.__setattr__(self, field, np.asarray(getattr(self, field), dtype=str))
        problem, fix = self._problem()
        if problem:
            raise MedDELError(problem, self.name, fix)

    def _problem(self) -> tuple[str, str]:
        """Return what is wrong with the set, and what to do about it; empty if nothing is."""
        count, side = self.images.shape[0], self.images.shape[1]
        if self.images.dtype != np.uint8 or self.images.shape != (count, side, side, 3):
            return f"images are {self.images.dtype} {self.images.shape}", "decode them as uint8 [n, s, s, 3]"
        if self.masks.shape != (count, side, side):
            return f"masks {self.masks.shape} don't fit images {self.images.shape}", "resize them to one size"
        if self.splits.shape != (count,) or self.ids.shape != (count,) or len(np.unique(self.ids)) < count:
            return f"{count} images need {count} splits and unique ids", "pass one of each"
        unknown = sorted(set(np.unique(self.splits)) - set(SPLITS))
        if unknown:
            return f"unknown split {unknown[0]!r}", f"use {', '.join(SPLITS)}"
        if self.masks.dtype != np.uint8 or self.masks.max(initial=0) > 1:
            return "a mask holds other values than 0 and 1", "threshold the masks as uint8"
        for split in ("train", "test"):
            if not len(self.rows(split)):
                return f"no images to {split} on", f"put some images into the {split} split"
        for split in EVALUATED:
            masks = self.masks[self.rows(split)]
            if masks.size and masks.min() == masks.max():
                absent = "background" if masks.max() else "foreground"
                return f"the {split} split has no {absent}, its IoU is not defined", "put images with both into it"
        return "", ""

    def rows(self, split: str) -> np.ndarray:
        """Return the rows (int64) of a split."""
        return np.flatnonzero(self.splits == split)

    def labelled(self, labels: int | None, seed: int) -> np.ndarray:
        """Return the rows of `labels` training images (all if None or if there are no more), drawn by the seed.

        The draw depends on the seed and the ids only: every encoder at a seed is given the same labels, so that their
        scores are paired, and fewer labels are a part of more.
        """
        rows = self.rows("train")
        rows = rows[np.argsort(self.ids[rows], kind="stable")]
        drawn = np.random.default_rng(random_state(seed, "labels")).permutation(len(rows))
        return np.sort(rows[drawn[: len(rows) if labels is None else labels]])

    def content_hash(self) -> str:
        """Return the hash of everything that a score depends on."""
        return artefacts.hash_of(self.name, self.images, self.masks, self.splits.tolist(), self.ids.tolist())
