"""How far a score or a difference depends on the test images: BCa intervals, with sets and seeds as they are.

They answer: what if the same trained networks had been tested on other images of these sets? They do not hold what a
new seed, that is a new training, would change; `evidence.hierarchical_intervals` holds both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from meddel.evidence import bootstrap
from meddel.evidence.bootstrap import RESAMPLES, Measure, Statistic, contrast, draws
from meddel.evidence.counts import HeadCounts, SetCounts, Unit, by_head
from meddel.evidence.vocabulary import ARM, MEAN_SET, Reference


def image_intervals(
    images: pd.DataFrame,
    against: Reference | None = None,
    *,
    measure: Measure = "foreground_iou",
    unit: Unit = "group",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return every arm's score, or its paired difference to a reference, with the BCa interval over test images.

    Parameters
    ----------
    images : DataFrame
        Pixels per test image, `evidence.counts.COLUMNS`.
    against : {"random", "none", "all"}, optional
        The reference; without it the score itself.
    measure : {"foreground_iou", "normdel"}
        Foreground IoU of the whole split (sum of intersections over sum of unions), or NormDEL of it.
    unit : {"group", "id"}
        What is drawn together: videos (and copies), or single images, which is too narrow where they are alike.
    level : float
        Confidence level.
    resamples, seed : int
        Number of resamples, and what they are drawn from: equal seeds give equal intervals.

    Returns
    -------
    DataFrame
        set, head, selector, ratio, against, seeds, groups, estimate (mean over seeds, a fraction), low, high; last the
        `MEAN_SET` where there are several sets. NormDEL knows no ratio 0: no row. NaN ends for a set of one group.
    """
    parts = []
    for head, counts in by_head(images, unit).items():
        rng = np.random.default_rng(seed)
        weights = [draws(rng, of_set.union.shape[1], resamples) for of_set in counts.sets.values()]
        for name, sets, places in selections_of_sets(counts):
            statistic = Statistic(counts, sets, contrast(counts.arms, against), measure)
            low, high, observed = _interval(statistic, [weights[place] for place in places], level)
            facts = {"against": against or "", "seeds": statistic.seeds().sum(axis=0)}
            groups = sum(of_set.union.shape[1] for of_set in sets)
            ends = {"groups": groups, "estimate": observed, "low": low, "high": high}
            arms = pd.DataFrame(statistic.contrast.arms, columns=["selector", "ratio"])
            parts.append(arms.assign(set=name, head=head, **facts, **ends))
    columns = [*ARM, "against", "seeds", "groups", "estimate", "low", "high"]
    table = pd.concat(parts, ignore_index=True)[columns]
    return table[table.seeds > 0].reset_index(drop=True)


def selections_of_sets(counts: HeadCounts) -> Iterator[tuple[str, list[SetCounts], list[int]]]:
    """Yield every set alone, then all sets as `MEAN_SET`: name, counts, and the sets' places."""
    sets = list(counts.sets.items())
    for place, (name, of_set) in enumerate(sets):
        yield name, [of_set], [place]
    if len(sets) > 1:
        yield MEAN_SET, [of_set for _, of_set in sets], list(range(len(sets)))


def without_one_group(statistic: Statistic) -> list[np.ndarray]:
    """Return the statistic without each group of images, set by set: float64 [groups, m] each."""
    sizes = [counts.union.shape[1] for counts in statistic.sets]
    left_out = []
    for place, size in enumerate(sizes):
        weights = [np.ones((size, other)) for other in sizes]
        weights[place] = 1 - np.eye(size)
        left_out.append(statistic(*all_of(statistic, size), weights))
    return left_out


def all_of(statistic: Statistic, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights that count every set and every seed once."""
    return np.ones((resamples, len(statistic.sets))), np.ones((resamples, len(statistic.counts.seeds)))


def _interval(statistic: Statistic, weights: list[np.ndarray], level: float) -> tuple[np.ndarray, ...]:
    observed = statistic(*all_of(statistic, 1), [np.ones((1, of_set.shape[1])) for of_set in weights])[0]
    if min(of_set.shape[1] for of_set in weights) < 2:
        unknown = np.full(observed.shape, np.nan)
        return unknown, unknown, observed
    resampled = statistic(*all_of(statistic, len(weights[0])), weights)
    jackknives = [np.where(np.isfinite(values), values, observed) for values in without_one_group(statistic)]
    return *bootstrap.bca(resampled, observed, jackknives, level), observed
