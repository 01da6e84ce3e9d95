"""What the scores of a study allow to say: intervals, paired differences, sensitivity, equivalence, verdicts.

Everything is computed over *seeds*: one value per seed, Student's t over the seeds. The intervals hold what varies with
the seed (selection, initialisation, order of the data), not the choice of test images. Two or three seeds give wide
intervals, one seed gives none: then the interval is NaN and nothing can be concluded. Rows of single sets are
descriptive and not corrected for their number; the row `MEAN_SET`, the mean over the sets, is the study's main result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike
from scipy import optimize, stats

from meddel.errors import MedDELError

Reading = Literal["last", "best_on_val", "paper"]
Verdict = Literal["reproduced", "not reproduced", "not testable here", "not testable at this scale"]

ARM = ["set", "head", "selector", "ratio"]
METRICS = ("foreground_iou", "two_class_miou")
MEAN_SET = "mean of sets"
MARGIN = 0.02
"""Equivalence margin for "comparable": 2 points of IoU, about what a change of seed does in such studies."""


@dataclass(frozen=True)
class Equivalence:
    """Result of two one-sided tests: mean difference, its (1 - 2 alpha) interval, p value, and the margin."""

    mean: float
    low: float
    high: float
    p: float
    margin: float
    equivalent: bool


def final_scores(scores: pa.Table | pd.DataFrame, reading: Reading = "last") -> pd.DataFrame:
    """Return one test score per set, head, selector, ratio and seed.

    Parameters
    ----------
    scores : pa.Table or DataFrame
        SCORES rows: one per epoch and split.
    reading : {"last", "best_on_val", "paper"}
        Which epoch's test value counts: the last one; the one with the best foreground IoU on the validation split (the
        earliest if several); or the paper's, which is the last one, chosen without a validation split (section 4.2:
        Table 3 holds the ends of Fig. 3's curves).

    Returns
    -------
    DataFrame
        set, head, selector, ratio, seed, epoch, foreground_iou, two_class_miou (fractions), seconds; sorted.

    Raises
    ------
    MedDELError
        The reading is unknown, test or validation rows are missing, or a run has two values for an epoch.
    """
    if reading not in ("last", "best_on_val", "paper"):
        raise MedDELError(f"unknown reading {reading!r}", fix="choose last, best_on_val or paper")
    table = scores.to_pandas() if isinstance(scores, pa.Table) else scores
    run = [*ARM, "seed"]
    if table.duplicated([*run, "epoch", "split"]).any():
        raise MedDELError("the scores hold two values for one run and epoch", fix="remove the rows of the older run")
    test = table[table.split == "test"].sort_values([*run, "epoch"])
    if test.empty:
        raise MedDELError("the scores hold no test rows", fix="run the segmentation step")
    if reading == "best_on_val":
        val = table[table.split == "val"].sort_values([*run, "epoch"])
        best = val.loc[val.groupby(run).foreground_iou.idxmax(), [*run, "epoch"]]
        chosen = best.merge(test, on=[*run, "epoch"])
        if len(chosen) < len(test.groupby(run)):
            raise MedDELError("some runs have no validation scores", fix="use the reading last")
    else:
        chosen = test.groupby(run, as_index=False).tail(1)
    return chosen[[*run, "epoch", *METRICS, "seconds"]].sort_values(run).reset_index(drop=True)


def with_mean_of_sets(final: pd.DataFrame) -> pd.DataFrame:
    """Append, for every head, selector, ratio and seed that all sets have, the mean over the sets as set `MEAN_SET`."""
    if final.set.nunique() < 2:
        return final
    groups = final.groupby(["head", "selector", "ratio", "seed"], as_index=False)
    means = groups.agg(
        set=("set", "size"), **{metric: (metric, "mean") for metric in METRICS}, seconds=("seconds", "sum")
    )
    complete = means[means.set == final.set.nunique()].assign(set=MEAN_SET)
    return pd.concat([final, complete], ignore_index=True)


def interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return Student's t interval of the mean of `values` (float [n]); NaN for fewer than two values."""
    sample = np.asarray(values, dtype=float)
    if sample.size < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.5 + level / 2, sample.size - 1) * stats.sem(sample)
    return float(sample.mean() - half), float(sample.mean() + half)


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
    _check_metric(metric)
    rows = []
    for key, arm in final.groupby(ARM, sort=True):
        values = arm[metric].to_numpy()
        sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        rows.append((*key, len(values), float(values.mean()), sd, *interval(values, level)))
    return pd.DataFrame(rows, columns=[*ARM, "seeds", "mean", "sd", "low", "high"])


def seed_differences(
    final: pd.DataFrame, against: Literal["random", "none", "all"], metric: str = "foreground_iou"
) -> pd.DataFrame:
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
    _check_metric(metric)
    keys = ["set", "head", "seed", *(["ratio"] if against == "random" else [])]
    reference = final[final.selector == against][[*keys, metric]]
    others = final[final.selector != against]
    pairs = others.merge(reference, on=keys, suffixes=("", "_reference"))
    pairs["difference"] = pairs[metric] - pairs[f"{metric}_reference"]
    return pairs[[*ARM, "seed", "difference"]].sort_values([*ARM, "seed"]).reset_index(drop=True)


def paired_differences(
    final: pd.DataFrame,
    against: Literal["random", "none", "all"],
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
        set, head, selector, ratio, against, seeds, difference, low, high (fractions; NaN interval for one seed).
    """
    rows = []
    for key, group in seed_differences(final, against, metric).groupby(ARM, sort=True):
        values = group.difference.to_numpy()
        rows.append((*key, against, len(values), float(values.mean()), *interval(values, level)))
    return pd.DataFrame(rows, columns=[*ARM, "against", "seeds", "difference", "low", "high"])


def minimum_detectable_effect(sd: float, seeds: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest true difference that a paired two-sided t test over `seeds` finds with probability `power`.

    Parameters
    ----------
    sd : float
        Standard deviation of the paired differences (fraction). With few seeds it is itself known only roughly.
    seeds : int
        Number of pairs.

    Returns
    -------
    float
        Difference as a fraction; NaN for fewer than two seeds or an unknown `sd`.
    """
    if seeds < 2 or not np.isfinite(sd):
        return math.nan
    freedom = seeds - 1
    critical = stats.t.ppf(1 - alpha / 2, freedom)

    def missing_power(shift: float) -> float:
        # The other tail adds less than alpha / 2 and only where the shift is small: it is left out.
        return float(stats.nct.sf(critical, freedom, shift)) - power

    shift = optimize.brentq(missing_power, 0.0, 20.0 * critical)
    return float(shift * sd / math.sqrt(seeds))


def sensitivity(final: pd.DataFrame, metric: str = "foreground_iou", level: float = 0.95) -> pd.DataFrame:
    """Tell, per set and head, whether the study can see what pre-training does at all.

    A set is *sensitive* if pre-training on all data beats no pre-training beyond the interval of the paired difference.
    Where it is not, no selector can be told from another.

    Parameters
    ----------
    final, metric, level
        As for `summary`.

    Returns
    -------
    DataFrame
        set, head, seeds, all_minus_none, low, high, detectable (least difference to random that the study can see, from
        the pooled spread of those paired differences, or of all minus none where there are none), sensitive.
    """
    gains = paired_differences(final, "none", metric, level).query("selector == 'all'")
    gained = seed_differences(final, "none", metric).query("selector == 'all'")
    spread = pd.concat([seed_differences(final, "random", metric), gained])
    rows = []
    for gain in gains.itertuples():
        mine = spread[(spread.set == gain.set) & (spread["head"] == gain.head)]
        contrasts = mine[~mine.selector.isin(["none", "all"])]
        detectable = minimum_detectable_effect(_pooled_sd(contrasts if len(contrasts) else mine), gain.seeds)
        rows.append(
            (gain.set, gain.head, gain.seeds, gain.difference, gain.low, gain.high, detectable, bool(gain.low > 0))
        )
    columns = ["set", "head", "seeds", "all_minus_none", "low", "high", "detectable", "sensitive"]
    return pd.DataFrame(rows, columns=columns)


def equivalence(differences: ArrayLike, margin: float = MARGIN, alpha: float = 0.05) -> Equivalence:
    """Test whether a mean paired difference lies within ± `margin` (two one-sided t tests, TOST).

    Parameters
    ----------
    differences : array_like of float [n]
        One paired difference per seed, fractions.
    margin : float
        Equivalence margin, a fraction, positive.
    alpha : float
        Level of each one-sided test.

    Returns
    -------
    Equivalence
        With NaN interval and p, and ``equivalent`` False, for fewer than two differences.

    Raises
    ------
    MedDELError
        `margin` is not positive.
    """
    if not margin > 0:
        raise MedDELError(f"equivalence margin {margin} is not positive", fix="give a fraction, such as 0.02")
    sample = np.asarray(differences, dtype=float)
    mean = float(sample.mean()) if sample.size else math.nan
    if sample.size < 2:
        return Equivalence(mean, math.nan, math.nan, math.nan, margin, False)
    low, high = interval(sample, 1 - 2 * alpha)
    if sample.std() < 1e-12:
        p = 0.0 if abs(mean) < margin else 1.0
    else:
        above = stats.ttest_1samp(sample, -margin, alternative="greater").pvalue
        below = stats.ttest_1samp(sample, margin, alternative="less").pvalue
        p = float(max(above, below))
    return Equivalence(mean, low, high, p, margin, p < alpha)


def _pooled_sd(differences: pd.DataFrame) -> float:
    groups = differences.groupby(ARM).difference
    freedom = groups.size() - 1
    if freedom.sum() < 1:
        return math.nan
    return float(np.sqrt((groups.var(ddof=1).fillna(0) * freedom).sum() / freedom.sum()))


def _check_metric(metric: str) -> None:
    if metric not in METRICS:
        raise MedDELError(f"unknown score {metric!r}", fix=f"choose one of {', '.join(METRICS)}")
