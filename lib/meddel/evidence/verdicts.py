"""From intervals to verdicts: what a study says of the paper's two comparisons, and when it can say nothing.

The comparisons are that MedDEL beats random selection (section 4.6, Fig. 6) and that it is comparable with all data
(section 4.3, Table 3); every other selector is judged in the same way. Where pre-training on all data does not beat no
pre-training, neither can be tested. Where several arms are compared, a verdict other than "not testable" has to hold
after correction for all selectors and ratios of the set and head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy import stats

from meddel import wording
from meddel.errors import MedDELError
from meddel.evidence.intervals import interval, p_value, seed_differences, sensitivity
from meddel.evidence.readings import ARM, NO_SELECTION, Reference, Verdict
from meddel.evidence.testing import MARGIN, Equivalence, corrected_equivalence, equivalence, holm

ALPHA = 0.05
COLUMNS = [
    *["set", "head", "selector", "ratio", "claim", "seeds", "difference", "low", "high"],
    *["p", "corrected", "comparisons", "verdict", "because"],
]
_UNTESTABLE: Verdict = "not testable at this scale"


def beats_random(selector: str) -> str:
    """Return the claim that a selector beats random selection, as text."""
    name = wording.name(selector)
    return f"{name[:1].upper()}{name[1:]} beats random selection"


def comparable(selector: str) -> str:
    """Return the claim that a selector is comparable with all data, as text."""
    name = wording.name(selector)
    return f"{name[:1].upper()}{name[1:]} is comparable with all data"


BEATS_RANDOM = beats_random("meddel")
COMPARABLE = comparable("meddel")


@dataclass(frozen=True)
class Family:
    """One comparison among the others that were made with it: their number, its simultaneous interval, corrected p.

    The simultaneous interval has the level of a single one divided by `comparisons`.
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
    """Judge a claim that one arm beats another, from the interval of the difference; return verdict and reason.

    `sensitive` is whether the set is (`evidence.sensitivity`). An interval that holds both 0 and the difference
    `claimed` decides nothing. In a `family` its corrected p value and simultaneous interval decide.
    """
    if reason := _undecidable(low + high, sensitive):
        return _UNTESTABLE, reason
    words = "" if family is None else family.words
    if low > 0 and (family is None or family.p < ALPHA):
        return "reproduced", f"the interval is above 0{words}"
    highest = high if family is None else family.high
    if highest < claimed:
        return "not reproduced", f"the interval excludes a difference of {100 * claimed:.1f} points"
    if highest <= 0:
        return "not reproduced", "the interval does not reach above 0"
    if low > 0:
        return _UNTESTABLE, f"the interval is above 0, but not with all others{words}"
    if high < claimed or high <= 0:
        return _UNTESTABLE, f"the interval is below what is claimed, but not with all others{words}"
    return _UNTESTABLE, f"the interval holds 0 and {100 * claimed:.1f} points"


def on_comparable(result: Equivalence, *, sensitive: bool, family: Family | None = None) -> tuple[Verdict, str]:
    """Judge a claim that two arms are comparable (`evidence.equivalence`); return verdict and reason.

    An interval that is partly inside the margins decides nothing. In a `family` its simultaneous interval decides.
    """
    margin = f"±{100 * result.margin:g} points"
    if reason := _undecidable(result.low, sensitive):
        return _UNTESTABLE, reason
    words = "" if family is None else family.words
    if result.equivalent:
        return "reproduced", f"the difference is within {margin}{words}"
    low, high = (result.low, result.high) if family is None else (family.low, family.high)
    if low > result.margin or high < -result.margin:
        return "not reproduced", f"the difference is outside {margin}"
    if -result.margin < result.low and result.high < result.margin:
        return _UNTESTABLE, f"the interval is within {margin}, but not with all others{words}"
    return _UNTESTABLE, f"the interval reaches beyond {margin}"


def _undecidable(ends: float, sensitive: bool) -> str:
    if math.isnan(ends):
        return "one seed gives no interval"
    return "" if sensitive else "pre-training on all data does not beat none beyond the interval"


def verdicts(
    final: pd.DataFrame,
    claimed: Mapping[float, float] | None = None,
    *,
    metric: str = "foreground_iou",
    selector: str | None = None,
    margin: float = MARGIN,
    resampled: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Judge both comparisons for every set, head, selector and ratio; return `COLUMNS`, in fractions.

    Parameters
    ----------
    final : DataFrame
        As `evidence.final_scores` returns it, with `evidence.with_mean_of_sets` for the main result.
    claimed : mapping, optional
        The published lead over random (a fraction) by ratio. A claim is "not reproduced" where the interval excludes
        it, or excludes what pre-training itself gains here if that is less. Default: the direction alone.
    selector : str, optional
        Judge this selector only, and correct for its own ratios only. By default every selector under test.
    margin : float
        Margin of equivalence.
    resampled : DataFrame, optional
        Differences to random that hold the test images' chance too (`evidence.hierarchical_intervals`). Where it has a
        row, "beats" is judged by the wider of both intervals and the larger p value.

    Notes
    -----
    Intervals and `p` are those of a single comparison over seeds: at 95 % for "beats", at 90 %, which belongs to two
    one-sided tests, for "comparable". `corrected` is Holm's p value for the `comparisons` of the same kind in the set
    and head. Without rows of all data and of none nothing is testable.
    """
    seen = sensitivity(final, metric).set_index(["set", "head"])
    wider = {} if resampled is None else {tuple(getattr(row, k) for k in ARM): row for row in resampled.itertuples()}
    rows: list[tuple[Any, ...]] = []
    for place, arms in _families(final, "random", metric, selector):
        sensitive, gain = bool(seen.sensitive.get(place, False)), seen.all_minus_none.get(place, 0.0)
        made = _tests_made(arms)
        tests = [_against_random(values, made, wider.get((*place, *arm))) for arm, values in arms.items()]
        together = holm([alone for _, _, alone in tests]).tolist()
        for (arm, values), (ends, simultaneous, _), p in zip(arms.items(), tests, together, strict=True):
            lead = max(0.0, min((claimed or {}).get(arm[1], 0.0), gain))
            family = Family(made, *simultaneous, p)
            verdict = on_greater(*ends, sensitive=sensitive, claimed=lead, family=family)
            numbers = (len(values), values.mean(), *interval(values), p_value(values), p, made)
            rows.append((*place, *arm, beats_random(arm[0]), *numbers, *verdict))
    for place, arms in _families(final, "all", metric, selector):
        made, sensitive = _tests_made(arms), bool(seen.sensitive.get(place, False))
        single = [equivalence(values, margin, ALPHA) for values in arms.values()]
        together = corrected_equivalence(single, ALPHA)
        for (arm, values), one, both in zip(arms.items(), single, together, strict=True):
            family = Family(made, *interval(values, 1 - 2 * ALPHA / made), both.p)
            numbers = (len(values), one.mean, one.low, one.high, one.p, both.p, made)
            verdict = on_comparable(both, sensitive=sensitive, family=family)
            rows.append((*place, *arm, comparable(arm[0]), *numbers, *verdict))
    return pd.DataFrame(rows, columns=COLUMNS)


_Arms = dict[tuple[str, float], np.ndarray]
_Ends = tuple[float, float]


def _families(
    final: pd.DataFrame, against: Reference, metric: str, selector: str | None
) -> list[tuple[tuple[str, str], _Arms]]:
    """Return, by set and head, the comparisons that are corrected together: the differences of each arm under test."""
    pairs = seed_differences(final, against, metric)
    tested = pairs[~pairs.selector.isin(NO_SELECTION) if selector is None else pairs.selector == selector]
    return [
        (place, {arm: seeds.difference.to_numpy() for arm, seeds in family.groupby(["selector", "ratio"], sort=True)})
        for place, family in tested.groupby(["set", "head"], sort=True)
    ]


def _tests_made(arms: _Arms) -> int:
    """Return how many comparisons can be tested, which takes two seeds; at least 1."""
    return max(1, sum(len(values) > 1 for values in arms.values()))


def _against_random(values: np.ndarray, comparisons: int, wider: Any) -> tuple[_Ends, _Ends, float]:
    """Return interval, simultaneous interval and p value of one of `comparisons`: over seeds, or the `wider` ones."""
    low, high = interval(values)
    all_low, all_high = interval(values, 1 - ALPHA / comparisons)
    p = p_value(values)
    if wider is not None and len(values) > 1:
        half = 0.0 if wider.se == 0 else wider.se * stats.t.ppf(1 - ALPHA / comparisons / 2, wider.freedom)
        low, high, p = min(low, wider.low), max(high, wider.high), max(p, wider.p)
        all_low, all_high = min(all_low, wider.estimate - half), max(all_high, wider.estimate + half)
    return (low, high), (all_low, all_high), p
