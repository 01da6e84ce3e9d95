"""Table 3, segmentation and NormDEL of every selection and ratio (section 4.3), for a page, a terminal and a README."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from compendium import published
from compendium.tables.rendered import (
    DASH,
    Rendered,
    arm_label,
    arm_order,
    percent,
    plus_or_minus,
    ratio_label,
    render,
)
from meddel import evidence, wording
from meddel.evidence import verdicts
from meddel.normdel import normdel

METRIC_NAMES = {"foreground_iou": "foreground IoU", "two_class_miou": "two-class mIoU"}
HEAD_NAMES = {"mlp": "fine-tuned", "probe": "probe"}
_TITLE = "Table 3. Segmentation and NormDEL"
_READINGS = {"last": "last epoch", "best_on_val": "epoch best on validation", "paper": "last epoch, as in the paper"}


def table3(scores: pa.Table | pd.DataFrame | None = None, reading: evidence.Reading = "last") -> Rendered:
    """Render Table 3 with the paper's values, or with those of a run.

    Parameters
    ----------
    scores : pa.Table or DataFrame, optional
        SCORES of a run. Without them the published table is shown.
    reading : {"last", "best_on_val", "paper"}
        Which epoch's test value counts (`evidence.final_scores`).

    Returns
    -------
    Rendered
        For a run, per head: foreground IoU and two-class mIoU (mean over seeds ± half the 95 % interval, in %) and
        NormDEL of the mean foreground IoU, its interval taken from the ends of the IoU's. NormDEL is a dash without
        pre-training, because the formula wants a ratio above 0.
    """
    if scores is None:
        parts = []
        for column, label in (("miou", "mIoU (%)"), ("normdel", "NormDEL (%)")):
            wide = published.table3().pivot(index="dataset", columns="ratio", values=column)
            part = wide.loc[published.segmentation_sets()].map(percent).rename(columns=ratio_label)
            part = part.rename_axis(columns=None).reset_index(names="data set")
            parts.append(part.assign(group=label)[["group", *part.columns]])
        note = "Transcribed from Table 3; columns are retention ratios. What is printed as 30 % was computed with 33 %."
        return render(pd.concat(parts), name="table3", title=_TITLE, note=note, group="group")
    final, parts = evidence.with_mean_of_sets(evidence.final_scores(scores, reading)), []
    for head, part in final.groupby("head", sort=True):
        for metric, name in METRIC_NAMES.items():
            parts.append(_wide(evidence.summary(part, metric), _quality, f"{name} (%), head {head}"))
        parts.append(_wide(evidence.summary(part), _normdel, f"NormDEL (%) of the foreground IoU, head {head}"))
    frame = pd.concat(parts, ignore_index=True).fillna(DASH)
    return render(frame, name="table3", title=_TITLE, note=_note(final, reading), group="group")


def normdel_text(scores: pa.Table | pd.DataFrame, reading: evidence.Reading = "last") -> str:
    """Return the NormDEL table of a run as plain aligned text, with what it allows to conclude.

    Per head: foreground IoU and NormDEL as in `table3`; the least difference that the study can see; then one line per
    verdict on the mean of the sets (or on the only set).
    """
    final = evidence.with_mean_of_sets(evidence.final_scores(scores, reading))
    main = evidence.MEAN_SET if evidence.MEAN_SET in set(final["set"]) else final["set"].iloc[0]
    lines: list[str] = []
    for head, part in final.groupby("head", sort=True):
        for title, cell in (("Foreground IoU (%)", _quality), ("NormDEL (%) of the foreground IoU", _normdel)):
            frame = _wide(evidence.summary(part), cell, "").drop(columns="group")
            lines += [f"{title}, head {head}", _markdown(frame, "simple"), ""]
        lines += [*_conclusions(part[part["set"] == main], main), ""]
    return "\n".join([*lines, _note(final, reading)]) + "\n"


def _conclusions(final: pd.DataFrame, main: str) -> Iterator[str]:
    """Yield the sensitivity, a line for each verdict, and what holds of all of them at once."""
    judged = verdicts.verdicts(final, published.meddel_leads())
    against_random = judged.claim == judged.selector.map(verdicts.beats_random)
    kinds = {"with random": judged[against_random], "with all images": judged[~against_random]}
    comparisons = {kind: int(part.comparisons.max()) for kind, part in kinds.items() if len(part)}
    made = comparisons.get("with random", 1)
    hardest = evidence.sensitivity(final, comparisons=made).detectable
    for row, of_many in zip(evidence.sensitivity(final).itertuples(), hardest, strict=True):
        gain = wording.points(row.all_minus_none, row.low, row.high)
        able = "is sensitive" if row.sensitive else "has no sensitivity"
        yield f"{main}: all images minus no pre-training {gain}: the study {able}"
        if not pd.isna(row.detectable):
            least = f"smallest difference to random that {row.seeds} seeds can see: {percent(row.detectable, 1)} points"
            yield least + (f"; {percent(of_many, 1)} as the first of {made} comparisons" if made > 1 else "")
    order = judged.assign(last=~against_random, place=judged.selector.map(wording.place))
    for row in order.sort_values(["last", "place", "ratio"]).itertuples():
        difference = wording.points(row.difference, row.low, row.high)
        yield f"{row.claim} at {ratio_label(row.ratio)}: {difference}: {row.verdict} ({row.because})"
    if together := evidence.simultaneous(comparisons):
        yield together


def summary_markdown(scores: pa.Table | pd.DataFrame, reading: evidence.Reading = "last") -> str:
    """Return the results of a run as two small Markdown tables.

    The first has, for every head and set, the foreground IoU without pre-training (%) and what every selection gains
    over it (points; paired by seed, ± half the 95 % t interval), with NormDEL of the mean of the sets by the first
    head. The second has the paper's two claims with their differences and verdicts; random selection is held to the
    second claim too.
    """
    final = evidence.with_mean_of_sets(evidence.final_scores(scores, reading))
    heads = sorted(final["head"].unique(), key=lambda head: (head == "probe", head))
    sets = sorted(final["set"].unique(), key=lambda name: (name != evidence.MEAN_SET, name))
    titles = {(head, name): f"{HEAD_NAMES.get(head, head)}: {name}" for head in heads for name in sets}
    seeds = final.groupby("head").seed.nunique()
    counts = ", ".join(f"{HEAD_NAMES.get(head, head)} {seeds[head]}" for head in heads)
    return (
        f"{_markdown(_gains(final, titles))}\n\n"
        "First row: foreground IoU (%). Below it: points gained over it, paired by seed, ± half the 95 % t interval "
        f"over seeds (number of seeds: {counts}). Test split, last epoch. NormDEL (%) of the mean of sets, "
        f"{HEAD_NAMES.get(heads[0], heads[0])}.\n\n"
        f"{_markdown(_claims(final, titles))}\n\n"
        "Difference in points, and the verdict after Holm's correction for all selectors and ratios; *open*: not "
        f"testable at this scale. Comparable: within ±{100 * evidence.MARGIN:g} points by two one-sided tests.\n"
    )


def _gains(final: pd.DataFrame, titles: dict[tuple[str, str], str]) -> pd.DataFrame:
    """Return one row per selection and ratio, one column per head and set, and NormDEL."""
    means, first = evidence.summary(final), next(iter(titles))
    cells = {}
    for row in means[means.selector == "none"].itertuples():
        cells["none", 0.0, row.head, row.set] = percent(row.mean, 1)
    for row in evidence.paired_differences(final, "none").itertuples():
        half = "" if pd.isna(row.low) else f" ± {percent((row.high - row.low) / 2, 1)}"
        cells[row.selector, row.ratio, row.head, row.set] = wording.signed(row.difference) + half
    scored = {
        (row.selector, row.ratio): percent(normdel(row.mean, row.ratio))
        for row in means.itertuples()
        if row.ratio and (row.head, row.set) == first
    }
    arms = sorted(set(zip(final.selector, final.ratio, strict=True)), key=arm_order)
    rows = [(arm_label(*arm), *(cells.get((*arm, *at), DASH) for at in titles), scored.get(arm, DASH)) for arm in arms]
    return pd.DataFrame(rows, columns=["selection", *titles.values(), "NormDEL"])


def _claims(final: pd.DataFrame, titles: dict[tuple[str, str], str]) -> pd.DataFrame:
    """Return one row per claim and ratio, one column per head and set."""
    claims = [verdicts.BEATS_RANDOM, verdicts.COMPARABLE, verdicts.comparable("random")]
    every = [verdicts.verdicts(final, published.meddel_leads()), verdicts.verdicts(final, selector="random")]
    judged = pd.concat(every)
    judged = judged[judged.claim.isin(claims)].drop_duplicates(["claim", "ratio", "head", "set"])
    short = {"not testable at this scale": "open"}
    cells = {
        (row.claim, row.ratio, row.head, row.set): f"{wording.signed(row.difference)}, "
        + short.get(row.verdict, f"**{row.verdict}**")
        for row in judged.itertuples()
    }
    asked = [(claim, ratio) for claim in claims for ratio in sorted(judged[judged.claim == claim].ratio.unique())]
    rows = [
        (f"{claim} at {ratio_label(ratio)}", *(cells.get((claim, ratio, *at), DASH) for at in titles))
        for claim, ratio in asked
    ]
    return pd.DataFrame(rows, columns=["claim", *titles.values()])


def _markdown(frame: pd.DataFrame, notation: str = "pipe") -> str:
    """Return a table as text, its first column to the left and the others to the right."""
    align = ["left", *["right"] * (frame.shape[1] - 1)]
    return frame.to_markdown(index=False, tablefmt=notation, disable_numparse=True, colalign=align)


def _wide(summary: pd.DataFrame, cell: Callable[[Any], str], group: str) -> pd.DataFrame:
    """Return one row per selection and ratio, one column per set, the mean of the sets last."""
    arms = list(zip(summary.selector, summary.ratio, strict=True))
    cells = [cell(row) for row in summary.itertuples()]
    wide = pd.DataFrame({"arm": arms, "set": summary["set"].array, "cell": cells})
    wide = wide.pivot(index="arm", columns="set", values="cell").rename_axis(columns=None)
    columns = sorted(wide.columns, key=lambda name: (name == evidence.MEAN_SET, name))
    wide = wide.loc[sorted(wide.index, key=arm_order), columns]
    wide.insert(0, "selection", [arm_label(*arm) for arm in wide.index])
    wide.insert(0, "group", group)
    return wide.reset_index(drop=True)


def _quality(row: Any) -> str:
    return plus_or_minus(row.mean, row.low, row.high, 1)


def _normdel(row: Any) -> str:
    if not row.ratio > 0:
        return DASH
    # NormDEL rises with the IoU, so that the ends of its interval are those of the IoU's.
    ends = np.clip([row.mean, row.low, row.high], 0.0, 1.0)
    return plus_or_minus(*[math.nan if pd.isna(end) else normdel(end, row.ratio) for end in ends], 2)


def _note(final: pd.DataFrame, reading: str) -> str:
    counts = final.groupby(evidence.ARM).seed.nunique()
    seeds = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    spread = "± half the 95 % t interval over seeds" if counts.max() > 1 else "one seed gives no interval"
    return f"Test split, {_READINGS[reading]}; mean over {seeds} seed{'s' if counts.max() > 1 else ''}; {spread}."
