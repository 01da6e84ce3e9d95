"""Differences of every arm to a reference, paired by seed."""

from __future__ import annotations

import pandas as pd

from meddel.evidence.intervals import interval, p_value
from meddel.evidence.vocabulary import ARM, Reference, check_metric


def seed_differences(final: pd.DataFrame, against: Reference, metric: str = "foreground_iou") -> pd.DataFrame:
    """Return the differences of every arm to a reference arm, seed by seed.

    Parameters
    ----------
    final : DataFrame
        As `final_scores` returns it.
    against : {"random", "none", "all"}
        The reference: random selection at the same ratio, no pre-training, or pre-training on all data.
    metric : str
        The score.

    Returns
    -------
    DataFrame
        set, head, selector, ratio, seed, difference (arm minus reference). Seeds without a partner are left out.
    """
    check_metric(metric)
    keys = ["set", "head", "seed", *(["ratio"] if against == "random" else [])]
    reference = final[final.selector == against][[*keys, metric]]
    others = final[final.selector != against]
    pairs = others.merge(reference, on=keys, suffixes=("", "_reference"))
    pairs["difference"] = pairs[metric] - pairs[f"{metric}_reference"]
    return pairs[[*ARM, "seed", "difference"]].sort_values([*ARM, "seed"]).reset_index(drop=True)


def paired_differences(
    final: pd.DataFrame,
    against: Reference,
    metric: str = "foreground_iou",
    level: float = 0.95,
) -> pd.DataFrame:
    """Return the mean paired difference of every arm to a reference arm, with its t interval over seeds.

    Parameters
    ----------
    final, against, metric
        As for `seed_differences`.
    level : float
        Confidence level.

    Returns
    -------
    DataFrame
        set, head, selector, ratio, against, seeds, difference, low, high, p (fractions; NaN interval and p for one
        seed). `p` is that of a single two-sided paired t test, not corrected for the number of rows.
    """
    rows = []
    for key, group in seed_differences(final, against, metric).groupby(ARM, sort=True):
        values = group.difference.to_numpy()
        rows.append((*key, against, len(values), float(values.mean()), *interval(values, level), p_value(values)))
    return pd.DataFrame(rows, columns=[*ARM, "against", "seeds", "difference", "low", "high", "p"])


def between_trainings(
    final: pd.DataFrame, shorter: pd.DataFrame, metric: str = "foreground_iou", level: float = 0.95
) -> pd.DataFrame:
    """Return what a longer pre-training brings to every arm, paired by seed, with its t interval over seeds.

    Parameters
    ----------
    final, shorter : DataFrame
        As `final_scores` returns them, of the same arms pre-trained for longer and for less time (section 4.4).
    metric, level
        As for `paired_differences`.

    Returns
    -------
    DataFrame
        set, head, selector, ratio, seeds, longer, shorter, difference, low, high (fractions; NaN interval for one
        seed), for the arms and seeds that both hold.
    """
    check_metric(metric)
    both = final.merge(shorter, on=[*ARM, "seed"], suffixes=("", "_shorter"))
    rows = []
    for key, group in both.groupby(ARM, sort=True):
        long, short = group[metric], group[f"{metric}_shorter"]
        gap = long - short
        rows.append((*key, len(gap), long.mean(), short.mean(), gap.mean(), *interval(gap, level)))
    return pd.DataFrame(rows, columns=[*ARM, "seeds", "longer", "shorter", "difference", "low", "high"])
