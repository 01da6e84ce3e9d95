"""How far a score or a difference depends on sets, seeds and test images together: a hierarchical bootstrap.

Each resample draws sets, seeds, and in every set groups of test images (a video, a patient, or an image of its own).
Seeds are drawn once for all sets, because one encoder serves them all, and groups once for all seeds, because seeds may
be tested on the same images: the levels cross. Of n units n - 1 are drawn, which makes the spread of the resamples that
of the mean; n of n would show (n - 1) / n of its variance, half with two seeds.

With two to five seeds the percentiles of the resamples cover the truth too seldom. So the resamples give the standard
error, and Student's t the interval: its degrees of freedom come from the share of each level in the variance
(Satterthwaite 1946; the shares are jackknife variances). Where only seeds vary, this is the paired t interval.

The foreground IoU of a split is the sum of its images' intersections over the sum of their unions. So a resample is a
vector of weights, and all of them one matrix product. All arms share the weights: that is what pairs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from meddel.errors import MedDELError
from meddel.evidence.readings import ARM, MEAN_SET, Reference

Level = Literal["set", "seed", "image"]
LEVELS: tuple[Level, ...] = ("set", "seed", "image")
RESAMPLES = 2000
COLUMNS = ["set", "head", "selector", "ratio", "seed", "id", "group", "intersection", "union"]
_BLOCK = 500
_TINY = 1e-12


def hierarchical_intervals(
    images: pd.DataFrame,
    against: Reference | None = None,
    *,
    over: Sequence[Level] = LEVELS,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return every arm's foreground IoU, or its paired difference to a reference, with its bootstrap interval.

    Parameters
    ----------
    images : DataFrame
        `COLUMNS` (`study.image_counts`). Images of one `group` are not independent and are drawn together.
    against : {"random", "none", "all"}, optional
        The reference; without it the score itself.
    over : sequence of {"set", "seed", "image"}
        What is drawn. Without ``"set"`` the mean of the sets speaks of these sets only.

    Returns
    -------
    DataFrame
        set, head, selector, ratio, against, seeds, groups, estimate, se, freedom, low, high, p (fractions); last the
        `MEAN_SET` where there are several sets. `p` is two-sided, of no difference, and not corrected; NaN without a
        reference. One seed gives no interval if seeds are drawn.
    """
    unknown = [name for name in over if name not in LEVELS]
    if unknown or not over:
        raise MedDELError(f"unknown level {unknown or over!r}", fix="choose among set, seed and image")
    _check(images)
    parts = []
    for head, rows in images.groupby("head", sort=True):
        counts = _Counts(rows)
        of_sets, of_seeds, of_groups = _drawn(counts, over, resamples, seed)
        chosen = {name: [name] for name in counts.sets}
        if len(chosen) > 1:
            chosen[MEAN_SET] = list(counts.sets)
        for name, sets in chosen.items():
            statistic = _Statistic(counts, sets, against)
            weights = [
                of_sets if len(sets) > 1 else np.ones((resamples, 1)),
                of_seeds,
                *(of_groups[one] for one in sets),
            ]
            table = _table(statistic, weights, over, level)
            parts.append(table.assign(set=name, head=head, against=against or "", groups=sum(statistic.sizes[2:])))
    table = pd.concat(parts, ignore_index=True)
    if against is None:
        table["p"] = np.nan
    columns = [*ARM, "against", "seeds", "groups", "estimate", "se", "freedom", "low", "high", "p"]
    return table.loc[table.seeds > 0, columns].reset_index(drop=True)


def _check(images: pd.DataFrame) -> None:
    missing = [column for column in COLUMNS if column not in images]
    if missing:
        fix = "gather them with study.image_counts"
        raise MedDELError(f"the counts of images have no column {missing[0]!r}", fix=fix)
    split, arm = ["set", "head", "seed"], ["selector", "ratio"]
    if images.duplicated([*split, *arm, "id"]).any():
        raise MedDELError("an image is counted twice in one run", fix="give the counts of one split only")
    sizes = images.groupby([*split, *arm]).size()
    whole = images.groupby(split).id.nunique().reindex(sizes.index.droplevel(arm))
    short = sizes.index[sizes.to_numpy() != whole.to_numpy()]
    if len(short):
        place = ", ".join(map(str, short[0]))
        raise MedDELError("arms of one set and seed were tested on different images", place, "compute the study again")


class _Counts:
    """Pixels of one head: by set, intersections and unions, float64 [seeds, groups, arms]; sorted.

    The zeros of groups that a seed does not test on change no sum; a seed and arm without any group has no IoU.
    """

    def __init__(self, images: pd.DataFrame) -> None:
        by_arm = images.groupby(["selector", "ratio"], sort=True)
        arm, self.arms = by_arm.ngroup().to_numpy(), by_arm.size().index.tolist()
        seeds, seed = np.unique(images.seed, return_inverse=True)
        self.seeds, self.sets = len(seeds), {}
        for name, places in images.groupby("set", sort=True).indices.items():
            rows = images.iloc[places]
            group, groups = pd.factorize(rows.group.astype(str), sort=True)
            shape = (len(seeds), len(groups), len(self.arms))
            cells = np.ravel_multi_index((seed[places], group, arm[places]), shape)
            sums = [np.bincount(cells, rows[column], np.prod(shape)) for column in ("intersection", "union")]
            self.sets[str(name)] = [pixels.reshape(shape) for pixels in sums]


def _drawn(
    counts: _Counts, over: Sequence[Level], resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return how often each set, seed and group is drawn, float64 [resamples, n]; 1 where a level is not drawn."""
    rng = np.random.default_rng(seed)

    def weights(name: Level, n: int) -> np.ndarray:
        if name in over and n > 1:
            return rng.multinomial(n - 1, np.full(n, 1 / n), size=resamples).astype(float)
        return np.ones((resamples, n))

    of_seeds = weights("seed", counts.seeds)
    of_groups = {name: weights("image", union.shape[1]) for name, (_, union) in counts.sets.items()}
    return weights("set", len(counts.sets)), of_seeds, of_groups


class _Statistic:
    """The mean over sets and seeds of a score, or of its paired difference, as a function of weights.

    Weights are a list: float [b, sets], [b, seeds], and for each set [b, groups]. Only seeds that every set has for an
    arm (and its reference) count (`known`, bool [seeds, arms]), as in `evidence.with_mean_of_sets`.
    """

    def __init__(self, counts: _Counts, names: Sequence[str], against: Reference | None) -> None:
        self.sets = [counts.sets[name] for name in names]
        self.sizes = [len(names), counts.seeds, *(union.shape[1] for _, union in self.sets)]
        self.arms, self.columns, self.references = _contrast(counts.arms, against)
        whole = [self._values(place, np.ones((1, size)))[:, 0] for place, size in enumerate(self.sizes[2:])]
        self.known = np.isfinite(whole).all(axis=0)

    def ones(self, count: int) -> list[np.ndarray]:
        """Return weights that count every unit once."""
        return [np.ones((count, size)) for size in self.sizes]

    def __call__(self, weights: Sequence[np.ndarray]) -> np.ndarray:
        """Return the statistic, float64 [b, arms], NaN where nothing is left of an arm."""
        starts = range(0, len(weights[0]), _BLOCK)
        return np.concatenate([self._block([part[start : start + _BLOCK] for part in weights]) for start in starts])

    def left_out(self, over: Sequence[Level]) -> list[np.ndarray]:
        """Return, for every level that is drawn, the statistic without each of its units: float64 [units, arms]."""
        found = []
        for place, (size, name) in enumerate(zip(self.sizes, [*LEVELS, *["image"] * len(self.sets)], strict=False)):
            if name in over and size > 1:
                weights = self.ones(size)
                weights[place] = 1 - np.eye(size)
                values = self(weights)
                found.append(np.where(self.known, values, np.nan) if name == "seed" else values)
        return found

    def _block(self, weights: Sequence[np.ndarray]) -> np.ndarray:
        of_sets, of_seeds, *of_groups = weights
        of_known = of_seeds.T[:, :, None] * self.known[:, None, :]
        means = [_mean(self._values(place, part), of_known) for place, part in enumerate(of_groups)]
        return _mean(np.stack(means), of_sets.T[:, :, None])

    def _values(self, place: int, weights: np.ndarray) -> np.ndarray:
        """Return the score or difference for weights of a set's groups: float64 [seeds, b, arms]."""
        intersection, union = self.sets[place]
        with np.errstate(invalid="ignore"):
            quality = (weights @ intersection) / (weights @ union)
        chosen = quality[..., self.columns]
        return chosen if self.references is None else chosen - quality[..., self.references]


def _contrast(
    arms: list[tuple[str, float]], against: Reference | None
) -> tuple[list[tuple[str, float]], np.ndarray, np.ndarray | None]:
    """Return the arms that have a reference arm, their columns, and those of their references; or all and None."""
    if against is None:
        return arms, np.arange(len(arms)), None
    if against not in ("random", "none", "all"):
        raise MedDELError(f"unknown reference {against!r}", fix="choose random, none or all")
    share = {"none": 0.0, "all": 1.0}.get(against)
    other = {arm: (against, arm[1] if share is None else share) for arm in arms if arm[0] != against}
    chosen = [arm for arm in other if other[arm] in arms]
    columns = [arms.index(arm) for arm in chosen], [arms.index(other[arm]) for arm in chosen]
    return chosen, np.array(columns[0], dtype=int), np.array(columns[1], dtype=int)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean of the known values over the first axis."""
    known = np.isfinite(values) * weights
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(values) * known).sum(axis=0) / known.sum(axis=0)


def _table(statistic: _Statistic, weights: Sequence[np.ndarray], over: Sequence[Level], level: float) -> pd.DataFrame:
    estimate, resampled = statistic(statistic.ones(1))[0], statistic(weights)
    seeds = statistic.known.sum(axis=0)
    se = np.array([np.std(column[np.isfinite(column)], ddof=1) for column in resampled.T])
    if "seed" in over:
        se = np.where(seeds > 1, se, np.nan)
    se, freedom = np.where(se < _TINY, 0.0, se), _freedom(statistic.left_out(over))
    half = np.where(se == 0, 0.0, se * stats.t.ppf(0.5 + level / 2, freedom))
    certain = np.where(np.abs(estimate) > _TINY, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(se == 0, certain, 2 * stats.t.sf(abs(estimate) / se, freedom))
    arms = pd.DataFrame(statistic.arms, columns=["selector", "ratio"])
    ends = {"low": estimate - half, "high": estimate + half, "p": p}
    return arms.assign(seeds=seeds, estimate=estimate, se=se, freedom=freedom, **ends)


def _freedom(left_out: Sequence[np.ndarray]) -> np.ndarray | float:
    """Return Satterthwaite's degrees of freedom of the sum of the levels' jackknife variances."""
    total, parts = np.zeros(1), np.zeros(1)
    for values in left_out:
        n = np.isfinite(values).sum(axis=0)
        mean = np.nansum(values, axis=0) / np.maximum(n, 1)
        variance = np.nansum((values - mean) ** 2, axis=0) * (n - 1) / np.maximum(n, 1)
        total = total + variance
        parts = parts + np.where(n > 1, variance**2 / np.maximum(n - 1, 1), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(parts > 0, total**2 / parts, np.nan)
