"""Student's t over the seeds: the interval of a mean, its p value, and the mean of every arm."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from meddel.evidence.vocabulary import ARM, check_metric


def interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return Student's t interval of the mean of `values` (float [n]); NaN for fewer than two values."""
    sample = np.asarray(values, dtype=float)
    if sample.size < 2:
        return math.nan, math.nan
    half = special.stdtrit(sample.size - 1, 0.5 + level / 2) * sample.std(ddof=1) / math.sqrt(sample.size)
    return float(sample.mean() - half), float(sample.mean() + half)


def p_value(values: ArrayLike, truth: float = 0.0, alternative: str = "two-sided") -> float:
    """Return the p value of Student's t test that the mean of `values` (float [n]) is `truth`; NaN for fewer than two.

    `alternative` is ``"two-sided"``, ``"greater"`` or ``"less"``. Equal values, whose spread is 0, give 0 or 1.
    """
    sample = np.asarray(values, dtype=float)
    if sample.size < 2:
        return math.nan
    shift = float(sample.mean()) - truth
    beyond = {"two-sided": abs(shift), "greater": shift, "less": -shift}[alternative]
    if sample.std() < 1e-12:
        return 0.0 if beyond > 1e-12 else 1.0
    tail = special.stdtr(sample.size - 1, -beyond / (sample.std(ddof=1) / math.sqrt(sample.size)))
    return float(2 * tail if alternative == "two-sided" else tail)


def summary(final: pd.DataFrame, metric: str = "foreground_iou", level: float = 0.95) -> pd.DataFrame:
    """Return the mean over seeds of each arm.

    Parameters
    ----------
    final : DataFrame
        As `final_scores` returns it.
    metric : {"foreground_iou", "two_class_miou"}
        The score.
    level : float
        Confidence level of the t interval.

    Returns
    -------
    DataFrame
        set, head, selector, ratio, seeds, mean, sd, low, high (fractions; sd and interval NaN for one seed).
    """
    check_metric(metric)
    rows = []
    for key, arm in final.groupby(ARM, sort=True):
        values = arm[metric].to_numpy()
        sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        rows.append((*key, len(values), float(values.mean()), sd, *interval(values, level)))
    return pd.DataFrame(rows, columns=[*ARM, "seeds", "mean", "sd", "low", "high"])
