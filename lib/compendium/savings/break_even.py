"""Where selecting pays for itself: from how many images on, and after how many pre-trainings on the same subset.

Selecting costs a(n) = fixed + (E b + e) n + c * cosines(n): E b n for an encoder of one's own, pre-trained on the
whole pool for E epochs at b per image seen; e n for embedding; and K-means with its comparisons. A pre-training on a
share r of the images saves E b (1 - r) n *if it makes as many epochs*. At *equal compute* a subset sees as many images
as the whole pool would, and its training saves nothing: then selecting is only a cost.

With an encoder of one's own, a(n) holds E b n, which is more than one pre-training can save: the first one never pays,
whatever n is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from compendium.savings.rates import Rates
from meddel import evidence
from meddel.config import check_ratio

OWN, READY = "own encoder", "ready-made encoder"
WAYS = (OWN, READY)
"""Where the encoder that embeds comes from: pre-trained on the whole pool for this, or there already."""
_SIZES = np.geomspace(1, 1e12, 12 * 256 + 1)
"""Pools among which the break-even size is sought: their steps are 0.9 %."""


def net(rates: Rates, ratio: float, way: str, trainings: int, n: np.ndarray | float) -> np.ndarray:
    """Return what selecting once from `n` images saves over so many pre-trainings of equal epochs; negative: costs."""
    return trainings * (1 - ratio) * rates.training(n) - rates.selecting(n, way == OWN)


def reuses(found: Sequence[Rates], ratios: Sequence[float]) -> pd.DataFrame:
    """Return how many pre-trainings of equal epochs must use the subset to pay for selecting, at this run's size.

    Parameters
    ----------
    found : sequence of Rates
        One a seed.
    ratios : sequence of float
        Retention ratios, below 1.

    Returns
    -------
    DataFrame
        ratio, way (one of `WAYS`), images (of the pool, mean), trainings (mean over the seeds; need not be whole), low,
        high (its 95 % interval; NaN for one seed), whole (the next whole number that pays).
    """
    rows = []
    for ratio in ratios:
        for way in WAYS:
            ns = np.array([rate.images for rate in found])
            costs = np.array([float(rate.selecting(rate.images, way == OWN)) for rate in found])
            saved = np.array([(1 - check_ratio(ratio)) * float(rate.training(rate.images)) for rate in found])
            needed = costs / saved
            low, high = evidence.interval(needed)
            whole = math.nan if np.isnan(needed).any() else max(1, math.ceil(needed.mean()))
            rows.append((ratio, way, ns.mean(), needed.mean(), low, high, whole))
    return pd.DataFrame(rows, columns=["ratio", "way", "images", "trainings", "low", "high", "whole"])


def sizes(found: Sequence[Rates], ratios: Sequence[float], trainings: Sequence[int] = (1, 2)) -> pd.DataFrame:
    """Return between which pool sizes selecting pays within so many pre-trainings of equal epochs.

    The lower end is where the fixed cost is earned back; the upper one where K-means, which grows faster than the pool,
    eats the saving. Far from the measured size both are extrapolations along the formula above.

    Parameters
    ----------
    found, ratios
        As for `reuses`.
    trainings : sequence of int
        How many pre-trainings use the subset.

    Returns
    -------
    DataFrame
        ratio, way, trainings; from_images, to_images (at the mean rates); seeds (how many have such sizes) and the
        least and greatest ends among those: from_least, from_greatest, to_least, to_greatest. NaN where no size pays;
        1 and 1e12 are the ends of what is searched.
    """
    rows = []
    for ratio in ratios:
        for way in WAYS:
            for count in trainings:
                ends = [end for rate in found if (end := _ends(rate, check_ratio(ratio), way, count)) is not None]
                lower, upper = np.array(ends or [(np.nan, np.nan)]).T
                here = _ends(_mean(found), ratio, way, count) or (np.nan, np.nan)
                rows.append((ratio, way, count, *here, len(ends), lower.min(), lower.max(), upper.min(), upper.max()))
    names = ["from_images", "to_images", "seeds", "from_least", "from_greatest", "to_least", "to_greatest"]
    return pd.DataFrame(rows, columns=["ratio", "way", "trainings", *names])


def curve(found: Sequence[Rates], ratio: float, most: int = 8) -> pd.DataFrame:
    """Return what 1 to `most` encoders cost, with the subset and without, at this run's size.

    Returns
    -------
    DataFrame
        case, trainings, share (of what as many pre-trainings on all images cost; mean over the seeds), least, greatest
        (over the seeds). The cases are equal epochs for both `WAYS`, and equal compute with one's own encoder.
    """
    rows = []
    cases = [(f"equal epochs, {way}", way, check_ratio(ratio)) for way in WAYS]
    for case, way, kept in [(f"equal compute, {OWN}", OWN, 1.0), *cases]:
        for count in range(1, most + 1):
            shares = [1 - float(net(rate, kept, way, count, rate.images)) / _all(rate, count) for rate in found]
            rows.append((case, count, np.mean(shares), min(shares), max(shares)))
    return pd.DataFrame(rows, columns=["case", "trainings", "share", "least", "greatest"])


def _all(rates: Rates, trainings: int) -> float:
    return trainings * float(rates.training(rates.images))


def _mean(found: Sequence[Rates]) -> Rates:
    names = ("epochs", "train", "embed", "fixed", "cosine")
    return replace(found[0], **{name: float(np.mean([getattr(rate, name) for rate in found])) for name in names})


def _ends(rates: Rates, ratio: float, way: str, trainings: int) -> tuple[float, float] | None:
    """The smallest and the largest pool that pays, None if none does."""
    pays = _SIZES[net(rates, ratio, way, trainings, _SIZES) >= 0]
    return (float(pays[0]), float(pays[-1])) if len(pays) else None
