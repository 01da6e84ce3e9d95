"""The data multiplier: how many times as much random data a selection is worth.

A selection at ratio r reaches some quality; random selection reaches the same at some ratio R. The multiplier R / r is
counted in images, needs no weight between quality and data, and does not change if the quality is put in another unit.
It needs the random curve, and it is open where that curve never gets so high.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, stats

from compendium import published
from compendium.metrics.cells import EVERYTHING, WITHOUT_DATA
from meddel.errors import MedDELError
from meddel.evidence import ARM

REACHED, BEYOND, BELOW = "reached", "not reached", "reached by the smallest random ratio"
COLUMNS = ["set", "head", "selector", "ratio", "seeds", "quality", "random_ratio", "multiplier", "low", "high", "state"]
_STEPS = 1000
"""Ratios at which the interval is sought: its ends are exact to a thousandth of the curve's range on a log scale."""


@dataclass(frozen=True)
class Reach:
    """The ratio at which a curve reaches a quality, its interval, and `REACHED`, `BEYOND` or `BELOW`.

    `ratio` is NaN unless reached. `low` is 0 and `high` infinite where the curve sets no such bound; both are NaN for
    a single seed.
    """

    ratio: float
    low: float
    high: float
    state: str


def reach(target: ArrayLike, curve: ArrayLike, ratios: ArrayLike, level: float = 0.95) -> Reach:
    """Return the ratio at which a curve reaches a target, with the interval that the seeds allow.

    The mean curve is made monotone (pool adjacent violators) and read linearly in the logarithm of the ratio. The
    interval holds the ratios at which a paired t test over the seeds finds no difference between curve and target.

    Parameters
    ----------
    target : array_like of float [n]
        Quality to be reached, one per seed.
    curve : array_like of float [n, k]
        Quality at each ratio, of the same seeds.
    ratios : array_like of float [k]
        Positive and rising.
    level : float
        Confidence level.

    Returns
    -------
    Reach

    Raises
    ------
    MedDELError
        The curve has fewer than two ratios, they don't rise, or the shapes don't fit.
    """
    goal, values, share = (np.asarray(array, dtype=float) for array in (target, curve, ratios))
    if values.shape != (goal.size, share.size) or goal.ndim != 1 or not goal.size:
        raise MedDELError(
            f"curve of shape {values.shape} for {goal.size} seeds and {share.size} ratios", fix="give one row per seed"
        )
    if share.size < 2 or not (share[0] > 0 and np.all(np.diff(share) > 0)):
        raise MedDELError("a curve needs two or more rising ratios", fix="run random selection at a second ratio")
    rising = _monotone(values)
    mean, wanted = rising.mean(axis=0), goal.mean()
    low, high = _interval(goal, rising, np.log(share), level)
    # Means of equal numbers may differ in their last digit, which must not decide whether a quality is reached.
    if wanted > mean[-1] + 1e-12:
        return Reach(math.nan, low, high, BEYOND)
    if wanted < mean[0] - 1e-12:
        return Reach(math.nan, low, high, BELOW)
    end = int(np.searchsorted(mean, wanted - 1e-12))
    if end == 0:
        return Reach(float(share[0]), low, high, REACHED)
    part = min(1.0, (wanted - mean[end - 1]) / (mean[end] - mean[end - 1]))
    return Reach(float(share[end - 1] * (share[end] / share[end - 1]) ** part), low, high, REACHED)


def multipliers(final: pd.DataFrame, metric: str = "foreground_iou", level: float = 0.95) -> pd.DataFrame:
    """Return the data multiplier of every arm of a run.

    Parameters
    ----------
    final : DataFrame
        As `evidence.final_scores` returns it.
    metric : {"foreground_iou", "two_class_miou"}
        The quality.
    level : float
        Confidence level.

    Returns
    -------
    DataFrame
        `COLUMNS`: quality (mean over seeds, fraction), random_ratio (NaN unless reached), multiplier (random_ratio by
        ratio) and its interval, 0 and infinity where the curve sets no bound. Random selection ends in all data. A set
        and head with fewer than two such ratios, and an arm that shares no seed with the curve, are left out.
    """
    rows = []
    for (name, head), part in final.groupby(["set", "head"], sort=True):
        curve = part[part.selector.isin(["random", EVERYTHING])]
        curve = curve.pivot(index="seed", columns="ratio", values=metric).dropna()
        arms = part[~part.selector.isin(["random", EVERYTHING, WITHOUT_DATA])]
        for (_, _, selector, ratio), arm in arms.groupby(ARM, sort=True):
            target = arm.set_index("seed")[metric]
            seeds = curve.index.intersection(target.index)
            if len(curve.columns) < 2 or seeds.empty:
                continue
            goal = target.loc[seeds].to_numpy()
            found = reach(goal, curve.loc[seeds].to_numpy(), curve.columns.to_numpy(), level)
            rows.append((name, head, selector, ratio, len(seeds), goal.mean(), *_times(found, ratio)))
    return pd.DataFrame(rows, columns=COLUMNS)


def published_multipliers() -> pd.DataFrame:
    """Return the multipliers of Fig. 6's means over pairs of different sets: one run, so that there is no interval.

    Returns
    -------
    DataFrame
        selector, ratio, quality, random_ratio, multiplier, state.
    """
    table = published.generalisation_means()
    curve = table[table.selector.isin(["random", EVERYTHING])].sort_values("ratio")
    rows = []
    for arm in table[table.selector == "meddel"].itertuples():
        found = reach([arm.mean_miou], curve.mean_miou.to_numpy()[None], curve.ratio)
        random_ratio, times, _, _, state = _times(found, arm.ratio)
        rows.append((arm.selector, arm.ratio, arm.mean_miou, random_ratio, times, state))
    return pd.DataFrame(rows, columns=["selector", "ratio", "quality", "random_ratio", "multiplier", "state"])


def _times(found: Reach, ratio: float) -> tuple[float, float, float, float, str]:
    return found.ratio, found.ratio / ratio, found.low / ratio, found.high / ratio, found.state


def _monotone(values: np.ndarray) -> np.ndarray:
    """Pool the columns so that their means rise; the same pools for every seed keep the pairing."""
    starts = optimize.isotonic_regression(values.mean(axis=0)).blocks
    sizes = np.diff(starts)
    return np.repeat(np.add.reduceat(values, starts[:-1], axis=1) / sizes, sizes, axis=1)


def _interval(goal: np.ndarray, rising: np.ndarray, at: np.ndarray, level: float) -> tuple[float, float]:
    """The outermost ratios at which curve and target can't be told apart, 0 and infinity where they reach an end."""
    if goal.size < 2:
        return math.nan, math.nan
    grid = np.union1d(np.linspace(at[0], at[-1], _STEPS), at)
    gaps = np.array([np.interp(grid, at, row) for row in rising]) - goal[:, None]
    half = stats.t.ppf(0.5 + level / 2, goal.size - 1) * stats.sem(gaps, axis=0)
    enough, little = np.flatnonzero(gaps.mean(axis=0) + half >= 0), np.flatnonzero(gaps.mean(axis=0) - half <= 0)
    low = float(np.exp(at[-1] if not enough.size else grid[enough[0]]))
    high = float(np.exp(at[0] if not little.size else grid[little[-1]]))
    reaches_start, reaches_end = enough.size and enough[0] == 0, little.size and little[-1] == grid.size - 1
    return (0.0 if reaches_start else low), (math.inf if reaches_end else high)
