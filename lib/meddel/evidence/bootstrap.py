"""Bootstrap by weights: draws, the BCa interval, and the mean over sets and seeds of a score or of a paired difference.

A resample is a matrix of weights, and its statistic a matrix product, so that thousands of resamples of all arms take
seconds. All arms share the weights: that is what pairs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from meddel.errors import MedDELError
from meddel.evidence.counts import Arm, HeadCounts, SetCounts
from meddel.evidence.vocabulary import Reference
from meddel.normdel import normdel

RESAMPLES = 2000
Measure = Literal["foreground_iou", "normdel"]
_BLOCK = 500


@dataclass(frozen=True)
class Contrast:
    """Which arms are looked at (`columns`, int [m]), and which is taken from each (`references`, int [m], or None)."""

    arms: list[Arm]
    columns: np.ndarray
    references: np.ndarray | None


def contrast(arms: Sequence[Arm], against: Reference | None) -> Contrast:
    """Return every arm (`against` None), or every arm that has a reference arm, beside it."""
    numbers = {arm: number for number, arm in enumerate(arms)}
    if against is None:
        return Contrast(list(arms), np.arange(len(arms)), None)
    if against not in ("random", "none", "all"):
        raise MedDELError(f"unknown reference {against!r}", fix="choose random, none or all")
    share = {"none": 0.0, "all": 1.0}.get(against)
    pairs = [(arm, (against, arm[1] if share is None else share)) for arm in arms if arm[0] != against]
    chosen = [(arm, other) for arm, other in pairs if other in numbers]
    columns, references = (np.array([numbers[pair[side]] for pair in chosen], dtype=int) for side in (0, 1))
    return Contrast([arm for arm, _ in chosen], columns, references)


def draws(rng: np.random.Generator, n: int, resamples: int, drawn: int | None = None) -> np.ndarray:
    """Return how often each of `n` units is drawn, with replacement, in each resample: float64 [resamples, n].

    `drawn` is how many are drawn, n by default.
    """
    return rng.multinomial(n if drawn is None else drawn, np.full(n, 1 / n), size=resamples).astype(float)


def bca(
    resamples: np.ndarray, observed: np.ndarray, jackknives: Sequence[np.ndarray], level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bias-corrected and accelerated interval (Efron 1987), as ``scipy.stats.bootstrap`` computes it.

    Parameters
    ----------
    resamples : np.ndarray
        float [b, m]: the statistics of m arms on b resamples. NaN, a resample without a statistic, is left out.
    observed : np.ndarray
        float [m].
    jackknives : sequence of np.ndarray
        For each sample (here: set of images) float [n, m], the statistics without one unit of it.
    level : float
        Confidence level.

    Returns
    -------
    tuple of np.ndarray
        Low and high ends, float64 [m]. Where all resamples lie on one side of `observed`, which leaves the correction
        undefined, the side counts as half a resample.
    """
    ordered = np.sort(resamples, axis=0)
    count = np.isfinite(ordered).sum(axis=0)
    share = ((resamples < observed).sum(axis=0) + (resamples <= observed).sum(axis=0)) / (2 * np.maximum(count, 1))
    bias = special.ndtri(np.clip(share, 0.5 / np.maximum(count, 1), 1 - 0.5 / np.maximum(count, 1)))
    influence = [(len(values) - 1) * (values.mean(axis=0) - values) for values in jackknives]
    third = sum((u**3).sum(axis=0) / len(u) ** 3 for u in influence)
    second = sum((u**2).sum(axis=0) / len(u) ** 2 for u in influence)
    with np.errstate(invalid="ignore", divide="ignore"):
        acceleration = np.where(second > 0, third / (6 * second**1.5), 0.0)
    ends = []
    for tail in (0.5 - level / 2, 0.5 + level / 2):
        shift = bias + special.ndtri(tail)
        ends.append(_quantile(ordered, count, special.ndtr(bias + shift / (1 - acceleration * shift))))
    return ends[0], ends[1]


def _quantile(ordered: np.ndarray, count: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Interpolate between the order statistics of every column, each at its own share."""
    place = share * (np.maximum(count, 1) - 1)
    lower = np.floor(place).astype(int)
    upper = np.minimum(lower + 1, np.maximum(count, 1) - 1)
    columns = np.arange(ordered.shape[1])
    return ordered[lower, columns] + (place - lower) * (ordered[upper, columns] - ordered[lower, columns])


@dataclass(frozen=True)
class Statistic:
    """The mean over sets and seeds of a score, or of its paired difference, as a function of weights.

    Only seeds that every set has for an arm (and its reference) count, as in `evidence.with_mean_of_sets`.
    """

    counts: HeadCounts
    sets: list[SetCounts]
    contrast: Contrast
    measure: Measure = "foreground_iou"

    def seeds(self) -> np.ndarray:
        """Return which seeds count for which arm: bool [seeds, m]."""
        whole = [self._values(counts, np.ones((1, counts.union.shape[1])))[:, 0] for counts in self.sets]
        return np.isfinite(whole).all(axis=0)

    def __call__(self, of_sets: np.ndarray, of_seeds: np.ndarray, of_groups: Sequence[np.ndarray]) -> np.ndarray:
        """Return the statistic, float64 [b, m], NaN where nothing is left of an arm.

        Parameters
        ----------
        of_sets, of_seeds : np.ndarray
            float [b, sets] and [b, seeds]: how often each counts.
        of_groups : sequence of np.ndarray
            For each set, float [b, groups].
        """
        known = self.seeds()
        starts = range(0, len(of_sets), _BLOCK)
        blocks = [slice(start, start + _BLOCK) for start in starts]
        return np.concatenate(
            [self._block(known, of_sets[b], of_seeds[b], [weights[b] for weights in of_groups]) for b in blocks]
        )

    def _block(
        self, known: np.ndarray, of_sets: np.ndarray, of_seeds: np.ndarray, of_groups: Sequence[np.ndarray]
    ) -> np.ndarray:
        means = []
        for counts, weights in zip(self.sets, of_groups, strict=True):
            values = self._values(counts, weights)
            means.append(_mean(values, of_seeds.T[:, :, None] * known[:, None, :]))
        return _mean(np.stack(means), of_sets.T[:, :, None])

    def _values(self, counts: SetCounts, weights: np.ndarray) -> np.ndarray:
        quality = counts.iou(weights)
        if self.measure == "normdel":
            quality = _normdel(quality, np.array([ratio for _, ratio in self.counts.arms]))
        chosen = quality[..., self.contrast.columns]
        return chosen if self.contrast.references is None else chosen - quality[..., self.contrast.references]


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the first axis of what is there."""
    there = np.isfinite(values) * weights
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(values) * there).sum(axis=0) / there.sum(axis=0)


def _normdel(quality: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """NormDEL of the qualities; NaN without a quality and at ratio 0, which the formula does not know."""
    there = np.isfinite(quality) & (ratios > 0)
    return np.where(there, normdel(np.where(there, quality, 0.0), np.where(ratios > 0, ratios, 1.0)), np.nan)
