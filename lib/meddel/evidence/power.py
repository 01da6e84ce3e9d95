"""What a study can see at all: its sensitivity to pre-training, and the least difference that it would find."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import optimize, stats

from meddel.evidence.differences import paired_differences, seed_differences
from meddel.evidence.vocabulary import ARM


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


def sensitivity(
    final: pd.DataFrame, metric: str = "foreground_iou", level: float = 0.95, comparisons: int = 1
) -> pd.DataFrame:
    """Tell, per set and head, whether the study can see what pre-training does at all.

    A set is *sensitive* if pre-training on all data beats no pre-training beyond the interval of the paired difference.
    Where it is not, no selector can be told from another.

    Parameters
    ----------
    final, metric, level
        As for `summary`.
    comparisons : int
        Number of comparisons that `detectable` allows for: each at 1 / `comparisons` of the 5 % level, as the hardest
        step of Holm's correction. Whether a set is sensitive is one question and does not depend on it.

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
        sd = _pooled_sd(contrasts if len(contrasts) else mine)
        detectable = minimum_detectable_effect(sd, gain.seeds, 0.05 / max(comparisons, 1))
        rows.append(
            (gain.set, gain.head, gain.seeds, gain.difference, gain.low, gain.high, detectable, bool(gain.low > 0))
        )
    columns = ["set", "head", "seeds", "all_minus_none", "low", "high", "detectable", "sensitive"]
    return pd.DataFrame(rows, columns=columns)


def _pooled_sd(differences: pd.DataFrame) -> float:
    groups = differences.groupby(ARM).difference
    freedom = groups.size() - 1
    if freedom.sum() < 1:
        return math.nan
    return float(np.sqrt((groups.var(ddof=1).fillna(0) * freedom).sum() / freedom.sum()))
