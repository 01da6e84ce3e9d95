"""From intervals to verdicts: what a study says of the paper's two comparisons, and when it may say nothing.

The comparisons are that MedDEL beats random selection (section 4.6, Fig. 6) and that it is comparable with all data
(section 4.3, Table 3). Where pre-training on all data does not beat no pre-training, neither can be tested.
"""

from __future__ import annotations

import math
from typing import get_args

import pandas as pd

from meddel import published
from meddel.errors import MedDELError
from meddel.evidence import (
    ARM,
    MARGIN,
    Equivalence,
    Verdict,
    equivalence,
    paired_differences,
    seed_differences,
    sensitivity,
)

BEATS_RANDOM = "MedDEL beats random selection"
COMPARABLE = "MedDEL is comparable with all data"
COLUMNS = ["set", "head", "ratio", "claim", "seeds", "difference", "low", "high", "verdict", "because"]


def check(verdict: str) -> Verdict:
    """Return `verdict` if it is one of the four that this project uses, or refuse it."""
    if verdict not in get_args(Verdict):
        raise MedDELError(f"unknown verdict {verdict!r}", fix=f"choose one of {', '.join(get_args(Verdict))}")
    return verdict


def on_greater(low: float, high: float, *, sensitive: bool, claimed: float = 0.0) -> tuple[Verdict, str]:
    """Judge a claim that one arm beats another.

    Parameters
    ----------
    low, high : float
        Interval of the paired difference (fractions); NaN for one seed.
    sensitive : bool
        Whether the set is sensitive (`evidence.sensitivity`).
    claimed : float
        The difference to look for, not negative; 0 if only the direction was claimed.

    Returns
    -------
    tuple of str
        Verdict, and the reason in words. An interval that holds both 0 and `claimed` decides nothing.
    """
    if math.isnan(low) or math.isnan(high):
        return "not testable at this scale", "one seed gives no interval"
    if not sensitive:
        return "not testable at this scale", "pre-training on all data does not beat none beyond the interval"
    if low > 0:
        return "reproduced", "the interval lies above 0"
    if high < claimed:
        return "not reproduced", f"the interval excludes a difference of {100 * claimed:.1f} points"
    if high <= 0:
        return "not reproduced", "the interval does not reach above 0"
    return "not testable at this scale", f"the interval holds 0 and {100 * claimed:.1f} points"


def on_comparable(result: Equivalence, *, sensitive: bool) -> tuple[Verdict, str]:
    """Judge a claim that two arms are comparable, from two one-sided tests (`evidence.equivalence`).

    Returns
    -------
    tuple of str
        Verdict, and the reason in words. An interval that lies partly inside the margins decides nothing.
    """
    margin = f"±{100 * result.margin:g} points"
    if math.isnan(result.low):
        return "not testable at this scale", "one seed gives no interval"
    if not sensitive:
        return "not testable at this scale", "pre-training on all data does not beat none beyond the interval"
    if result.equivalent:
        return "reproduced", f"the difference lies within {margin}"
    if result.low > result.margin or result.high < -result.margin:
        return "not reproduced", f"the difference lies outside {margin}"
    return "not testable at this scale", f"the interval reaches beyond {margin}"


def verdicts(
    final: pd.DataFrame, metric: str = "foreground_iou", selector: str = "meddel", margin: float = MARGIN
) -> pd.DataFrame:
    """Judge both comparisons for every set, head and ratio.

    Parameters
    ----------
    final : DataFrame
        As `evidence.final_scores` returns it, with `evidence.with_mean_of_sets` for the main result.
    metric : str
        ``foreground_iou`` or ``two_class_miou``.
    selector : str
        The selector under test.
    margin : float
        Equivalence margin, a fraction of IoU.

    Returns
    -------
    DataFrame
        `COLUMNS`: differences and intervals are fractions; the interval is the 95 % one for "beats" and the 90 % one,
        which belongs to two one-sided tests, for "comparable". The difference that "beats" looks for is the one of
        Fig. 6, but not more than pre-training itself gains here. Every verdict of a set and head without a row of all
        data and of none reads "not testable at this scale".
    """
    seen = sensitivity(final, metric).set_index(["set", "head"])
    sensitive, gain = seen.sensitive.to_dict(), seen.all_minus_none.to_dict()
    claimed = _published_gains()
    rows = []
    for row in paired_differences(final, "random", metric).query("selector == @selector").itertuples():
        place = (row.set, row.head)
        expected = max(0.0, min(claimed.get(row.ratio, 0.0), gain.get(place, 0.0)))
        judged = on_greater(row.low, row.high, sensitive=sensitive.get(place, False), claimed=expected)
        rows.append((row.set, row.head, row.ratio, BEATS_RANDOM, row.seeds, row.difference, row.low, row.high, *judged))
    to_all = seed_differences(final, "all", metric).query("selector == @selector")
    for (name, head, _, ratio), group in to_all.groupby(ARM, sort=True):
        test = equivalence(group.difference, margin)
        judged = on_comparable(test, sensitive=sensitive.get((name, head), False))
        rows.append((name, head, ratio, COMPARABLE, len(group), test.mean, test.low, test.high, *judged))
    return pd.DataFrame(rows, columns=COLUMNS)


def _published_gains() -> dict[float, float]:
    """MedDEL minus random in Fig. 6, by ratio."""
    means = published.generalisation_means().pivot(index="ratio", columns="selector", values="mean_miou")
    return (means.meddel - means.random).dropna().to_dict()
