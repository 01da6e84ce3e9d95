"""From intervals to verdicts: what a study says of the paper's two comparisons, and when it may say nothing.

The comparisons are that MedDEL beats random selection (section 4.6, Fig. 6) and that it is comparable with all data
(section 4.3, Table 3); every other selector is judged in the same way. Where pre-training on all data does not beat no
pre-training, neither can be tested. Where several arms are compared, a verdict other than "not testable" has to hold
after correction for all selectors and ratios of the set and head.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import pandas as pd
from scipy import stats

from compendium import published
from meddel import wording
from meddel.errors import MedDELError
from meddel.evidence import (
    ARM,
    MARGIN,
    NO_SELECTION,
    Equivalence,
    Reference,
    Verdict,
    corrected_equivalence,
    equivalence,
    holm,
    interval,
    p_value,
    seed_differences,
    sensitivity,
)

ALPHA = 0.05
COLUMNS = [
    *["set", "head", "selector", "ratio", "claim", "seeds", "difference", "low", "high"],
    *["p", "corrected", "comparisons", "verdict", "because"],
]
_NO_SENSITIVITY = "pre-training on all data does not beat none beyond the interval"


def beats_random(selector: str) -> str:
    """Return the claim that a selector beats random selection, as text."""
    return f"{_capital(wording.name(selector))} beats random selection"


def comparable(selector: str) -> str:
    """Return the claim that a selector is comparable with all data, as text."""
    return f"{_capital(wording.name(selector))} is comparable with all data"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


BEATS_RANDOM = beats_random("meddel")
COMPARABLE = comparable("meddel")


@dataclass(frozen=True)
class Family:
    """What holds of one comparison together with the others that were made with it.

    `low` and `high` are the ends of its simultaneous interval (the level of a single one, divided by `comparisons`),
    `p` is its corrected p value.
    """

    comparisons: int
    low: float
    high: float
    p: float

    @property
    def words(self) -> str:
        """A clause on the correction, empty for one comparison."""
        return f", {wording.probability(self.p)} corrected for {self.comparisons} comparisons" * (self.comparisons > 1)


def check(verdict: str) -> Verdict:
    """Return `verdict` if it is one of the four that this project uses, or refuse it."""
    if verdict not in get_args(Verdict):
        raise MedDELError(f"unknown verdict {verdict!r}", fix=f"choose one of {', '.join(get_args(Verdict))}")
    return verdict


def on_greater(
    low: float, high: float, *, sensitive: bool, claimed: float = 0.0, family: Family | None = None
) -> tuple[Verdict, str]:
    """Judge a claim that one arm beats another.

    Parameters
    ----------
    low, high : float
        Interval of the paired difference (fractions); NaN for one seed.
    sensitive : bool
        Whether the set is sensitive (`evidence.sensitivity`).
    claimed : float
        The difference to look for, not negative; 0 if only the direction was claimed.
    family : Family, optional
        Of a comparison that is one of several: then it decides by its corrected p value and simultaneous interval.

    Returns
    -------
    tuple of str
        Verdict, and the reason in words. An interval that holds both 0 and `claimed` decides nothing.
    """
    if math.isnan(low) or math.isnan(high):
        return "not testable at this scale", "one seed gives no interval"
    if not sensitive:
        return "not testable at this scale", _NO_SENSITIVITY
    words = "" if family is None else family.words
    if low > 0 and (family is None or family.p < ALPHA):
        return "reproduced", f"the interval lies above 0{words}"
    highest = high if family is None else family.high
    if highest < claimed:
        return "not reproduced", f"the interval excludes a difference of {100 * claimed:.1f} points"
    if highest <= 0:
        return "not reproduced", "the interval does not reach above 0"
    if low > 0:
        return "not testable at this scale", f"the interval lies above 0, but not with all others{words}"
    if high < claimed or high <= 0:
        return "not testable at this scale", f"the interval lies below what is claimed, but not with all others{words}"
    return "not testable at this scale", f"the interval holds 0 and {100 * claimed:.1f} points"


def on_comparable(result: Equivalence, *, sensitive: bool, family: Family | None = None) -> tuple[Verdict, str]:
    """Judge a claim that two arms are comparable, from two one-sided tests (`evidence.equivalence`).

    Parameters
    ----------
    result : Equivalence
        Of several comparisons, one of `evidence.corrected_equivalence`.
    sensitive, family
        As for `on_greater`.

    Returns
    -------
    tuple of str
        Verdict, and the reason in words. An interval that lies partly inside the margins decides nothing.
    """
    margin = f"±{100 * result.margin:g} points"
    if math.isnan(result.low):
        return "not testable at this scale", "one seed gives no interval"
    if not sensitive:
        return "not testable at this scale", _NO_SENSITIVITY
    words = "" if family is None else family.words
    if result.equivalent:
        return "reproduced", f"the difference lies within {margin}{words}"
    low, high = (result.low, result.high) if family is None else (family.low, family.high)
    if low > result.margin or high < -result.margin:
        return "not reproduced", f"the difference lies outside {margin}"
    if -result.margin < result.low and result.high < result.margin:
        return "not testable at this scale", f"the interval lies within {margin}, but not with all others{words}"
    return "not testable at this scale", f"the interval reaches beyond {margin}"


def verdicts(
    final: pd.DataFrame,
    metric: str = "foreground_iou",
    selector: str | None = None,
    margin: float = MARGIN,
    resampled: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Judge both comparisons for every set, head, selector and ratio.

    Parameters
    ----------
    final : DataFrame
        As `evidence.final_scores` returns it, with `evidence.with_mean_of_sets` for the main result.
    metric : str
        ``foreground_iou`` or ``two_class_miou``.
    selector : str, optional
        Judge this selector only, and correct for its own ratios only. By default every selector under test.
    margin : float
        Equivalence margin, a fraction of IoU.
    resampled : DataFrame, optional
        Differences to random that hold the test images' chance too (`evidence.hierarchical_intervals`, which has to be
        against random). Where it has a row, "beats" is judged by the wider of both intervals and the larger p value.

    Returns
    -------
    DataFrame
        `COLUMNS`: differences and intervals are fractions; the interval is the 95 % one for "beats" and the 90 % one,
        which belongs to two one-sided tests, for "comparable". It and `p` are those of a single comparison over seeds;
        `corrected` is Holm's p value for the `comparisons` made of the same kind in the set and head. The difference
        that "beats" looks for is MedDEL's in Fig. 6, but not more than pre-training itself gains here. Every verdict of
        a set and head without a row of all data and of none reads "not testable at this scale".
    """
    seen = sensitivity(final, metric).set_index(["set", "head"])
    sensitive, gain = seen.sensitive.to_dict(), seen.all_minus_none.to_dict()
    wider = {} if resampled is None else {tuple(getattr(row, k) for k in ARM): row for row in resampled.itertuples()}
    claimed = _published_gains()

    def expected(key: tuple[Any, ...]) -> float:
        return max(0.0, min(claimed.get(key[3], 0.0), gain.get(key[:2], 0.0)))

    rows: list[tuple[Any, ...]] = []
    for values in _families(_differences(final, "random", metric, selector)):
        rows += _against_random(values, wider, sensitive, expected)
    for values in _families(_differences(final, "all", metric, selector)):
        rows += _against_all(values, margin, sensitive)
    return pd.DataFrame(rows, columns=COLUMNS)


Differences = list[tuple[tuple[Any, ...], pd.Series]]


def _differences(final: pd.DataFrame, against: Reference, metric: str, selector: str | None) -> Differences:
    """The differences of every arm under test, one a seed, by set, head, selector and ratio."""
    pairs = seed_differences(final, against, metric)
    tested = ~pairs.selector.isin(NO_SELECTION) if selector is None else pairs.selector == selector
    return [(key, group.difference) for key, group in pairs[tested].groupby(ARM, sort=True)]


def _against_random(
    values: Differences,
    wider: dict[tuple[Any, ...], Any],
    sensitive: dict[Any, bool],
    expected: Callable[[tuple[Any, ...]], float],
) -> list[tuple[Any, ...]]:
    """Judge one family of differences to random; rows of `COLUMNS`."""
    made = _tests_made(values)
    results = [_beats(differences, wider.get(key), made) for key, differences in values]
    together = holm([result["p_judged"] for result in results]).tolist()
    rows = []
    for (key, _), result, p in zip(values, results, together, strict=True):
        judged = on_greater(
            result["low_judged"],
            result["high_judged"],
            sensitive=sensitive.get(key[:2], False),
            claimed=expected(key),
            family=Family(made, result["all_low"], result["all_high"], p),
        )
        numbers = [result[name] for name in ("seeds", "difference", "low", "high", "p")]
        rows.append((*key, beats_random(key[2]), *numbers, p, made, *judged))
    return rows


def _against_all(values: Differences, margin: float, sensitive: dict[Any, bool]) -> list[tuple[Any, ...]]:
    """Judge one family of differences to all data; rows of `COLUMNS`."""
    made = _tests_made(values)
    single = [equivalence(differences, margin, ALPHA) for _, differences in values]
    rows = []
    for (key, differences), one, both in zip(values, single, corrected_equivalence(single, ALPHA), strict=True):
        family = Family(made, *interval(differences, 1 - 2 * ALPHA / made), both.p)
        judged = on_comparable(both, sensitive=sensitive.get(key[:2], False), family=family)
        numbers = (len(differences), one.mean, one.low, one.high, one.p, both.p, made)
        rows.append((*key, comparable(key[2]), *numbers, *judged))
    return rows


def _tests_made(values: Differences) -> int:
    """How many of the comparisons can be tested, which takes two seeds; at least 1."""
    return max(1, sum(len(differences) > 1 for _, differences in values))


def _families(values: Differences) -> list[Differences]:
    """The comparisons that are corrected together: those of one set and head."""
    places = sorted({key[:2] for key, _ in values})
    return [[pair for pair in values if pair[0][:2] == place] for place in places]


def _beats(differences: pd.Series, wider: Any, comparisons: int) -> dict[str, float]:
    """One comparison with random: its interval and p value, and those that judge it, over test images too if known."""
    low, high = interval(differences)
    p = p_value(differences)
    all_low, all_high = interval(differences, 1 - ALPHA / comparisons)
    result = {"seeds": len(differences), "difference": float(differences.mean()), "low": low, "high": high, "p": p}
    ends, p_judged = (low, high), p
    if wider is not None and len(differences) > 1:
        half = 0.0 if wider.se == 0 else wider.se * stats.t.ppf(1 - ALPHA / comparisons / 2, wider.freedom)
        ends, p_judged = (min(low, wider.low), max(high, wider.high)), max(p, wider.p)
        all_low, all_high = min(all_low, wider.estimate - half), max(all_high, wider.estimate + half)
    judged = {"low_judged": ends[0], "high_judged": ends[1], "p_judged": p_judged}
    return {**result, **judged, "all_low": all_low, "all_high": all_high}


def _published_gains() -> dict[float, float]:
    """MedDEL minus random in Fig. 6, by ratio."""
    means = published.generalisation_means().pivot(index="ratio", columns="selector", values="mean_miou")
    return (means.meddel - means.random).dropna().to_dict()
