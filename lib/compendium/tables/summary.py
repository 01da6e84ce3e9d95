"""A study's results for a reader in a hurry: what each selection gains over no pre-training, and the verdicts."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from compendium import verdicts
from compendium.tables.rendered import DASH, percent, ratio_label
from meddel import evidence, wording
from meddel.normdel import normdel

HEAD_NAMES = {"mlp": "fine-tuned", "dpt": "fine-tuned DPT", "probe": "probe"}
_OPEN = "open"


def summary_markdown(scores: pa.Table | pd.DataFrame, reading: evidence.Reading = "last") -> str:
    """Return the results of a run as two small Markdown tables.

    Parameters
    ----------
    scores, reading
        As for `compendium.tables.table3`.

    Returns
    -------
    str
        First, for every head and set and for the mean of the sets: the foreground IoU without pre-training (%), then
        what every selection gains over it (points; paired by seed, ± half the 95 % t interval), with NormDEL of the
        mean (%), by the first head. Then the paper's two claims: the difference that each is about, and the verdict,
        ``open`` where it can't be tested at this scale; random selection is held to the second one too.
    """
    final = evidence.with_mean_of_sets(evidence.final_scores(scores, reading))
    places = _places(final)
    seeds = final.groupby("head").seed.nunique()
    counts = ", ".join(f"{_head(head)} {seeds[head]}" for head in dict.fromkeys(p[0] for p in places))
    return (
        f"{_markdown(_gains(final, places))}\n\n"
        "First row: foreground IoU (%). Below it: points gained over it, paired by seed, ± half the 95 % t interval "
        f"over seeds (number of seeds: {counts}). Test split, last epoch. NormDEL (%) of the mean of sets, "
        f"{_head(places[0][0])}.\n\n"
        f"{_markdown(_claims(final, places))}\n\n"
        f"Difference in points, and the verdict after Holm's correction for all selectors and ratios; *{_OPEN}*: not "
        f"testable at this scale. Comparable: within ±{100 * evidence.MARGIN:g} points by two one-sided tests.\n"
    )


Place = tuple[str, str]


def _places(final: pd.DataFrame) -> list[Place]:
    """Heads and sets, fine-tuned before frozen, the mean of the sets first."""
    heads = sorted(final["head"].unique(), key=lambda head: (head == "probe", head))
    sets = sorted(final["set"].unique(), key=lambda name: (name != evidence.MEAN_SET, name))
    return [(head, name) for head in heads for name in sets]


def _gains(final: pd.DataFrame, places: list[Place]) -> pd.DataFrame:
    """One row per selection and ratio, one column per head and set, and NormDEL."""
    means = evidence.summary(final)
    gains = evidence.paired_differences(final, "none")
    cells = {
        ("none", 0.0, row.head, row.set): percent(row.mean, 1) for row in means[means.selector == "none"].itertuples()
    }
    cells |= {(row.selector, row.ratio, row.head, row.set): _gain(row) for row in gains.itertuples()}
    main = means[(means["head"] == places[0][0]) & (means["set"] == places[0][1])]
    scored = {
        (row.selector, row.ratio): percent(normdel(row.mean, row.ratio)) for row in main.itertuples() if row.ratio
    }
    arms = sorted(set(zip(final.selector, final.ratio, strict=True)), key=_order)
    rows = [
        (_name(*arm), *(cells.get((*arm, *place), DASH) for place in places), scored.get(arm, DASH)) for arm in arms
    ]
    return pd.DataFrame(rows, columns=["selection", *map(_title, places), "NormDEL"])


def _claims(final: pd.DataFrame, places: list[Place]) -> pd.DataFrame:
    """One row per claim and ratio, one column per head and set."""
    judged = verdicts.verdicts(final)
    random = verdicts.verdicts(final, selector="random")
    told = pd.concat([judged[judged.selector == "meddel"], random[random.claim == verdicts.comparable("random")]])
    cells = {
        (row.claim, row.ratio, row.head, row.set): f"{wording.signed(row.difference)}, {_short(row.verdict)}"
        for row in told.itertuples()
    }
    claims = [verdicts.BEATS_RANDOM, verdicts.COMPARABLE, verdicts.comparable("random")]
    rows = [
        (f"{claim} at {ratio_label(ratio)}", *(cells.get((claim, ratio, *place), DASH) for place in places))
        for claim in claims
        for ratio in sorted(told[told.claim == claim].ratio.unique())
    ]
    return pd.DataFrame(rows, columns=["claim", *map(_title, places)])


def _short(verdict: str) -> str:
    return _OPEN if verdict == "not testable at this scale" else f"**{verdict}**"


def _gain(row: Any) -> str:
    half = "" if pd.isna(row.low) else f" ± {percent((row.high - row.low) / 2, 1)}"
    return f"{wording.signed(row.difference)}{half}"


def _order(arm: tuple[str, float]) -> tuple[Any, ...]:
    selector, ratio = arm
    return (selector != "none", selector != "all", ratio, wording.place(selector))


def _name(selector: str, ratio: float) -> str:
    name = wording.name(selector)
    return name if selector == "none" else f"{name}, {ratio_label(ratio)}"


def _title(place: Place) -> str:
    head, name = place
    return f"{_head(head)}: {name}"


def _head(head: str) -> str:
    return HEAD_NAMES.get(head, head)


def _markdown(frame: pd.DataFrame) -> str:
    align = ["left", *["right"] * (frame.shape[1] - 1)]
    return frame.to_markdown(index=False, disable_numparse=True, colalign=align)
