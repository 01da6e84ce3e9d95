"""How far a score or a difference depends on sets, seeds and test images together: a hierarchical bootstrap.

Each resample draws sets, seeds, and in every set groups of test images (a video, a patient, or an image of its own).
Seeds are drawn once for all sets, because one encoder serves them all, and groups once for all seeds, because seeds may
be tested on the same images: the levels cross. Of n units n - 1 are drawn, which makes the spread of the resamples that
of the mean; n of n would show (n - 1) / n of its variance, half with two seeds.

With two to five seeds the resamples take few values, and their percentiles cover the truth too seldom. The resamples
give the standard error here, and Student's t the interval: its degrees of freedom come from the share that each level
has in the variance (Satterthwaite 1946; the shares are jackknife variances). Where only seeds vary, this is the paired
t interval over seeds; where the test images vary most, it is nearly the normal one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from meddel.errors import MedDELError
from meddel.evidence.bootstrap import RESAMPLES, Measure, Statistic, contrast, draws
from meddel.evidence.counts import HeadCounts, Unit, by_head
from meddel.evidence.over_images import all_of, selections_of_sets, without_one_group
from meddel.evidence.vocabulary import ARM, Reference

Level = Literal["set", "seed", "image"]
LEVELS: tuple[Level, ...] = ("set", "seed", "image")


def hierarchical_intervals(
    images: pd.DataFrame,
    against: Reference | None = None,
    *,
    measure: Measure = "foreground_iou",
    over: Sequence[Level] = LEVELS,
    unit: Unit = "group",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return every arm's score, or its paired difference to a reference, with its hierarchical bootstrap interval.

    Parameters
    ----------
    images, against, measure, unit, level, resamples, seed
        As for `evidence.image_intervals`.
    over : sequence of {"set", "seed", "image"}
        What is drawn anew. Without ``"set"`` the mean of the sets speaks of these sets only. A single set's rows draw
        no sets.

    Returns
    -------
    DataFrame
        set, head, selector, ratio, against, seeds, groups, estimate, se, freedom, low, high, p (fractions). `p` is
        two-sided, of no difference, and not corrected; NaN without a reference. One seed gives no interval if seeds
        are drawn. A set whose test images are one group adds no spread of images.

    Raises
    ------
    MedDELError
        An unknown level, or counts that can't be paired.
    """
    unknown = [name for name in over if name not in LEVELS]
    if unknown or not over:
        raise MedDELError(f"unknown level {unknown or over!r}", fix="choose among set, seed and image")
    parts = []
    for head, counts in by_head(images, unit).items():
        drawn = _drawn(counts, over, resamples, seed)
        for name, sets, places in selections_of_sets(counts):
            statistic = Statistic(counts, sets, contrast(counts.arms, against), measure)
            weights = (drawn[0] if len(sets) > 1 else drawn[0][:, :1] * 0 + 1, drawn[1], [drawn[2][k] for k in places])
            table = _table(statistic, weights, over, level)
            groups = sum(of_set.union.shape[1] for of_set in sets)
            parts.append(table.assign(set=name, head=head, against=against or "", groups=groups))
    table = pd.concat(parts, ignore_index=True)
    if against is None:
        table["p"] = np.nan
    columns = [*ARM, "against", "seeds", "groups", "estimate", "se", "freedom", "low", "high", "p"]
    return table.loc[table.seeds > 0, columns].reset_index(drop=True)


def _drawn(
    counts: HeadCounts, over: Sequence[Level], resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Weights of the sets, of the seeds, and of the groups of every set; all 1 where a level is not drawn."""
    rng = np.random.default_rng(seed)

    def weights(name: Level, n: int) -> np.ndarray:
        if name in over and n > 1:
            return draws(rng, n, resamples, n - 1)
        return np.ones((resamples, n))

    seeds = weights("seed", len(counts.seeds))
    groups = [weights("image", of_set.union.shape[1]) for of_set in counts.sets.values()]
    return weights("set", len(counts.sets)), seeds, groups


def _table(
    statistic: Statistic,
    weights: tuple[np.ndarray, np.ndarray, list[np.ndarray]],
    over: Sequence[Level],
    level: float,
) -> pd.DataFrame:
    ones = [np.ones((1, counts.union.shape[1])) for counts in statistic.sets]
    estimate = statistic(*all_of(statistic, 1), ones)[0]
    resampled = statistic(*weights)
    seeds = statistic.seeds().sum(axis=0)
    se = np.array([np.std(column[np.isfinite(column)], ddof=1) for column in resampled.T])
    freedom = _freedom(_components(statistic, over))
    if "seed" in over:
        se = np.where(seeds > 1, se, np.nan)
    se = np.where(se < 1e-12, 0.0, se)
    half = np.where(se == 0, 0.0, se * stats.t.ppf(0.5 + level / 2, freedom))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(se == 0, np.where(np.abs(estimate) > 1e-12, 0.0, 1.0), 2 * stats.t.sf(abs(estimate) / se, freedom))
    arms = pd.DataFrame(statistic.contrast.arms, columns=["selector", "ratio"])
    ends = {"low": estimate - half, "high": estimate + half, "p": p}
    return arms.assign(seeds=seeds, estimate=estimate, se=se, freedom=freedom, **ends)


def _components(statistic: Statistic, over: Sequence[Level]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Jackknife variance of every level that is drawn, and its number of units: float64 [m] each."""
    sets, seeds = len(statistic.sets), len(statistic.counts.seeds)
    left_out = []
    if "set" in over and sets > 1:
        left_out.append(statistic(1 - np.eye(sets), *_rest(statistic, sets)))
    if "seed" in over and seeds > 1:
        of_sets, _ = all_of(statistic, seeds)
        known = statistic.seeds()
        values = statistic(of_sets, 1 - np.eye(seeds), _rest(statistic, seeds)[1])
        left_out.append(np.where(known, values, np.nan))
    if "image" in over:
        left_out += [values for values in without_one_group(statistic) if len(values) > 1]
    components = []
    for values in left_out:
        n = np.isfinite(values).sum(axis=0)
        spread = np.nansum((values - _nanmean(values, n)) ** 2, axis=0)
        components.append((spread * (n - 1) / np.maximum(n, 1), n))
    return components


def _rest(statistic: Statistic, resamples: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Weights that count every seed and every group once."""
    groups = [np.ones((resamples, counts.union.shape[1])) for counts in statistic.sets]
    return np.ones((resamples, len(statistic.counts.seeds))), groups


def _nanmean(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.nansum(values, axis=0) / np.maximum(count, 1)


def _freedom(components: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray | float:
    """Satterthwaite's degrees of freedom of a sum of variances, each with one less than its units."""
    if not components:
        return np.nan
    total = sum(variance for variance, _ in components)
    parts = sum(np.where(n > 1, variance**2 / np.maximum(n - 1, 1), 0.0) for variance, n in components)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(parts > 0, total**2 / parts, np.nan)
