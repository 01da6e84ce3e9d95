"""Pixels per test image, arranged for resampling: one array a set, with seeds, groups of images and arms as its axes.

The foreground IoU of a split is the sum of its images' intersections over the sum of their unions, so that a resample
of the images is a matrix product with their weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from meddel.errors import MedDELError

Arm = tuple[str, float]
Unit = Literal["group", "id"]
COLUMNS = ["set", "head", "selector", "ratio", "seed", "id", "group", "intersection", "union"]
_SPLIT = ["set", "head", "seed"]


@dataclass(frozen=True)
class SetCounts:
    """Foreground pixels of one set and head: `intersection` and `union`, float64 [seeds, groups, arms].

    The zeros of groups that a seed does not test on change no sum; a seed and arm without any group has no IoU.
    """

    intersection: np.ndarray
    union: np.ndarray

    def iou(self, weights: np.ndarray) -> np.ndarray:
        """Return the foreground IoU (a fraction) for `weights` of the groups (float [b, groups]): [seeds, b, arms].

        NaN where no weight falls on an image of the seed and arm.
        """
        with np.errstate(invalid="ignore"):
            return (weights @ self.intersection) / (weights @ self.union)


@dataclass(frozen=True)
class HeadCounts:
    """All sets of one head, with seeds and arms in common."""

    arms: list[Arm]
    seeds: list[int]
    sets: dict[str, SetCounts]


def by_head(images: pd.DataFrame, unit: Unit = "group") -> dict[str, HeadCounts]:
    """Arrange the counts of all test images.

    Parameters
    ----------
    images : DataFrame
        `COLUMNS`: a row per head, arm, seed and test image, of one split; pixels as integers. Images of one `group` are
        not independent (a video, a patient, copies).
    unit : {"group", "id"}
        What is drawn together: groups, or single images.

    Returns
    -------
    dict
        From the head to its counts. Sets, seeds, groups and arms are sorted: the order of the rows has no effect.

    Raises
    ------
    MedDELError
        A column is missing, an image is counted twice, or arms of one set and seed were tested on different images.
    """
    _check(images)
    return {str(head): _arranged(part, unit) for head, part in images.groupby("head", sort=True)}


def _arranged(part: pd.DataFrame, unit: Unit) -> HeadCounts:
    arms = sorted(set(zip(part.selector, part.ratio.astype(float), strict=True)))
    numbers = {arm: number for number, arm in enumerate(arms)}
    seeds = sorted(int(seed) for seed in part.seed.unique())
    sets = {}
    for name, rows in part.groupby("set", sort=True):
        arm_of = rows.groupby(["selector", "ratio"], sort=False).ngroup(), rows[["selector", "ratio"]].drop_duplicates()
        order = np.array([numbers[(selector, float(ratio))] for selector, ratio in arm_of[1].to_numpy()])
        groups, labels = pd.factorize(rows[unit].astype(str), sort=True)
        shape = (len(seeds), len(labels), len(arms))
        cells = np.ravel_multi_index((np.searchsorted(seeds, rows.seed), groups, order[arm_of[0]]), shape)
        sums = [
            np.bincount(cells, rows[column].to_numpy(float), minlength=np.prod(shape)).reshape(shape)
            for column in ("intersection", "union")
        ]
        sets[str(name)] = SetCounts(*sums)
    return HeadCounts(arms, seeds, sets)


def _check(images: pd.DataFrame) -> None:
    missing = [column for column in COLUMNS if column not in images]
    if missing:
        raise MedDELError(f"the counts of images have no column {missing[0]!r}", fix="gather them with study.images")
    if images.duplicated([*_SPLIT, "selector", "ratio", "id"]).any():
        raise MedDELError("an image is counted twice in one run", fix="give the counts of one split only")
    splits = images.groupby(_SPLIT)
    sizes = images.groupby([*_SPLIT, "selector", "ratio"]).size()
    full = splits.id.nunique().reindex(sizes.index.droplevel(["selector", "ratio"])).to_numpy()
    if (sizes.to_numpy() != full).any():
        place = ", ".join(str(part) for part in sizes.index[sizes.to_numpy() != full][0])
        raise MedDELError("arms of one set and seed were tested on different images", place, "compute the study anew")
