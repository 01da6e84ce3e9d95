"""Student's t over the seeds: means, paired differences, and what a study can see at all.

Intervals hold what varies with the seed: selection, initialisation, order of the data, and splits that are drawn. Two
or three seeds give wide intervals; one seed gives none: its interval is NaN, and nothing can be concluded.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from meddel.evidence.readings import ARM, Reference, check_metric


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
    """Return the mean over seeds of each arm of `final` (`final_scores`), with Student's t interval.

    Columns: set, head, selector, ratio, seeds, mean, sd, low, high (fractions; sd and interval NaN for one seed).
    """
    check_metric(metric)
    rows = []
    for key, arm in final.groupby(ARM, sort=True):
        values = arm[metric]
        rows.append((*key, len(values), values.mean(), values.std(ddof=1), *interval(values, level)))
    return pd.DataFrame(rows, columns=[*ARM, "seeds", "mean", "sd", "low", "high"])


def seed_differences(final: pd.DataFrame, against: Reference, metric: str = "foreground_iou") -> pd.DataFrame:
    """Return the difference of every arm to a reference arm, seed by seed.

    `against` is random selection at the same ratio, no pre-training (``none``), or pre-training on all data (``all``).
    Columns: set, head, selector, ratio, seed, difference (arm minus reference). Seeds without a partner are left out.
    """
    check_metric(metric)
    keys = ["set", "head", "seed", *(["ratio"] if against == "random" else [])]
    reference = final[final.selector == against][[*keys, metric]]
    pairs = final[final.selector != against].merge(reference, on=keys, suffixes=("", "_reference"))
    pairs["difference"] = pairs[metric] - pairs[f"{metric}_reference"]
    return pairs[[*ARM, "seed", "difference"]].sort_values([*ARM, "seed"]).reset_index(drop=True)


def paired_differences(
    final: pd.DataFrame, against: Reference, metric: str = "foreground_iou", level: float = 0.95
) -> pd.DataFrame:
    """Return the mean of every arm's `seed_differences`, with its t interval over seeds.

    Columns: set, head, selector, ratio, against, seeds, difference, low, high, p (fractions; NaN interval and p for one
    seed). `p` is that of a single two-sided test, not corrected for the number of rows.
    """
    rows = []
    for key, group in seed_differences(final, against, metric).groupby(ARM, sort=True):
        values = group.difference
        rows.append((*key, against, len(values), values.mean(), *interval(values, level), p_value(values)))
    return pd.DataFrame(rows, columns=[*ARM, "against", "seeds", "difference", "low", "high", "p"])


def between_trainings(
    final: pd.DataFrame, shorter: pd.DataFrame, metric: str = "foreground_iou", level: float = 0.95
) -> pd.DataFrame:
    """Return what a longer pre-training brings to every arm (section 4.4), paired by seed, with its t interval.

    `final` and `shorter` are as `final_scores` returns them, of the same arms pre-trained for longer and for less time.
    Columns: set, head, selector, ratio, seeds, longer, shorter, difference, low, high (fractions), of what both hold.
    """
    check_metric(metric)
    rows = []
    for key, group in final.merge(shorter, on=[*ARM, "seed"], suffixes=("", "_shorter")).groupby(ARM, sort=True):
        long, short = group[metric], group[f"{metric}_shorter"]
        means = (long.mean(), short.mean(), (long - short).mean())
        rows.append((*key, len(group), *means, *interval(long - short, level)))
    return pd.DataFrame(rows, columns=[*ARM, "seeds", "longer", "shorter", "difference", "low", "high"])


def minimum_detectable_effect(sd: float, seeds: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest true difference that a paired two-sided t test over `seeds` finds with probability `power`.

    `sd` is the standard deviation of the paired differences. NaN for fewer than two seeds or an unknown `sd`.
    """
    if seeds < 2 or not np.isfinite(sd):
        return math.nan
    critical = stats.t.ppf(1 - alpha / 2, seeds - 1)

    def missing_power(shift: float) -> float:
        # The other tail adds less than alpha / 2, and only where the shift is small: it is left out.
        return float(stats.nct.sf(critical, seeds - 1, shift)) - power

    return float(optimize.brentq(missing_power, 0.0, 20.0 * critical) * sd / math.sqrt(seeds))


def sensitivity(
    final: pd.DataFrame, metric: str = "foreground_iou", level: float = 0.95, comparisons: int = 1
) -> pd.DataFrame:
    """Return, per set and head, whether the study can see at all what pre-training does.

    A set is *sensitive* if pre-training on all data beats no pre-training beyond the interval of the paired difference.
    Where it is not, no two selectors can be distinguished.

    Columns: set, head, seeds, all_minus_none, low, high, detectable, sensitive. `detectable` is the least difference to
    random that the study can see, from the pooled spread of those paired differences (of all minus none where there are
    none), at 1 / `comparisons` of the 5 % level, as in the hardest step of Holm's correction.
    """
    gained = seed_differences(final, "none", metric).query("selector == 'all'")
    spread = pd.concat([seed_differences(final, "random", metric), gained])
    rows = []
    for (name, head), gain in gained.groupby(["set", "head"], sort=True):
        mine = spread[(spread["set"] == name) & (spread["head"] == head)]
        contrasts = mine[~mine.selector.isin(["none", "all"])]
        low, high = interval(gain.difference, level)
        sd = _pooled_sd(contrasts if len(contrasts) else mine)
        detectable = minimum_detectable_effect(sd, len(gain), 0.05 / max(comparisons, 1))
        rows.append((name, head, len(gain), gain.difference.mean(), low, high, detectable, low > 0))
    columns = ["set", "head", "seeds", "all_minus_none", "low", "high", "detectable", "sensitive"]
    return pd.DataFrame(rows, columns=columns).astype({"sensitive": bool})


def _pooled_sd(differences: pd.DataFrame) -> float:
    groups = differences.groupby(ARM).difference
    freedom = groups.size() - 1
    if freedom.sum() < 1:
        return math.nan
    return float(np.sqrt((groups.var(ddof=1).fillna(0) * freedom).sum() / freedom.sum()))
