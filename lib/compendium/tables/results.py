"""Table 3: segmentation and NormDEL of every selection and ratio (section 4.3), and its form for the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from compendium import published, verdicts
from compendium.tables.rendered import DASH, Rendered, percent, ratio_label, render
from meddel import evidence, wording
from meddel.normdel import normdel

METRIC_NAMES = {"foreground_iou": "foreground IoU", "two_class_miou": "two-class mIoU"}
_TITLE = "Table 3. Segmentation and NormDEL"


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
        NormDEL of the mean foreground IoU, its interval taken from the ends of the IoU's; no pre-training first, then
        all images, then by ratio. NormDEL is a dash without pre-training, because the formula wants a ratio above 0.
    """
    if scores is None:
        return _published()
    final = evidence.with_mean_of_sets(evidence.final_scores(scores, reading))
    parts = []
    for head, part in final.groupby("head", sort=True):
        for metric, name in METRIC_NAMES.items():
            parts.append(_wide(evidence.summary(part, metric), _quality, f"{name} (%), head {head}"))
        parts.append(_wide(evidence.summary(part), _normdel, f"NormDEL (%) of the foreground IoU, head {head}"))
    frame = pd.concat(parts, ignore_index=True).fillna(DASH)
    return render(frame, name="table3", title=_TITLE, note=_note(final, reading), group="group")


def normdel_text(scores: pa.Table | pd.DataFrame, reading: evidence.Reading = "last") -> str:
    """Return the NormDEL table of a run as plain aligned text, with what it allows to conclude.

    Parameters
    ----------
    scores, reading
        As for `table3`.

    Returns
    -------
    str
        Per head: foreground IoU and NormDEL with their intervals, a row for every selection as in `table3`; the least
        difference that the study can see; then one line per verdict on the mean of the sets (or on the only set).
    """
    final = evidence.with_mean_of_sets(evidence.final_scores(scores, reading))
    main = _main_set(final)
    lines = []
    for head, part in final.groupby("head", sort=True):
        summary = evidence.summary(part)
        for title, cell in (("Foreground IoU (%)", _quality), ("NormDEL (%) of the foreground IoU", _normdel)):
            frame = _wide(summary, cell, "").drop(columns="group")
            lines += [f"{title}, head {head}", _aligned(frame), ""]
        lines += [*filter(None, _conclusions(part[part["set"] == main], main)), ""]
    return "\n".join([*lines, _note(final, reading)]) + "\n"


def results_text(scores: pa.Table | pd.DataFrame, reading: evidence.Reading = "last") -> str:
    """Return the results of a run in short, as plain aligned text.

    Parameters
    ----------
    scores, reading
        As for `table3`.

    Returns
    -------
    str
        Per head: one table with the foreground IoU of every set, their mean, and NormDEL of the mean; then, for the
        mean and for every set that is sensitive by itself, what it can see and the verdicts on MedDEL. Those on other
        selectors are counted.
    """
    final = evidence.with_mean_of_sets(evidence.final_scores(scores, reading))
    main = _main_set(final)
    lines = []
    for head, part in final.groupby("head", sort=True):
        summary = evidence.summary(part)
        frame = _wide(summary, _quality, "").drop(columns="group")
        score = _wide(summary[summary["set"] == main], _normdel, "")[main]
        frame["NormDEL" if main != evidence.MEAN_SET else "NormDEL of the mean"] = score
        lines += [f"Foreground IoU (%), head {head}", _aligned(frame), ""]
        seen = evidence.sensitivity(part)
        others = seen[seen.sensitive & (seen["set"] != main)]["set"]
        for name in (main, *others):
            lines += [*filter(None, _conclusions(part[part["set"] == name], name, ("meddel",))), ""]
    return "\n".join([*lines, _note(final, reading)]) + "\n"


def _main_set(final: pd.DataFrame) -> str:
    """The mean of the sets, or the only set."""
    return evidence.MEAN_SET if evidence.MEAN_SET in set(final["set"]) else final["set"].iloc[0]


def _aligned(frame: pd.DataFrame) -> str:
    """A table as plain text, its first column to the left and the others to the right."""
    align = ["left", *["right"] * (frame.shape[1] - 1)]
    return frame.to_markdown(index=False, tablefmt="simple", disable_numparse=True, colalign=align)


def _conclusions(final: pd.DataFrame, main: str, spelt_out: tuple[str, ...] | None = None) -> list[str]:
    """Sensitivity, and a line for each verdict; on selectors other than `spelt_out` their number alone."""
    judged = verdicts.verdicts(final)
    against_random = judged.claim == judged.selector.map(verdicts.beats_random)
    kinds = {"with random": judged[against_random], "with all images": judged[~against_random]}
    comparisons = {kind: int(part.comparisons.max()) for kind, part in kinds.items() if len(part)}
    made = comparisons.get("with random", 1)
    hardest = evidence.sensitivity(final, comparisons=made).detectable
    lines = []
    for row, of_many in zip(evidence.sensitivity(final).itertuples(), hardest, strict=True):
        gain = wording.points(row.all_minus_none, row.low, row.high)
        able = "is sensitive" if row.sensitive else "has no sensitivity"
        lines.append(f"{main}: all images minus no pre-training {gain}: the study {able}")
        if not pd.isna(row.detectable):
            least = f"smallest difference to random that {row.seeds} seeds can see: {percent(row.detectable, 1)} points"
            corrected = f"; {percent(of_many, 1)} as the first of {made} comparisons" if made > 1 else ""
            lines.append(f"{least}{corrected}")
    told = judged if spelt_out is None else judged[judged.selector.isin(spelt_out)]
    rest = judged.drop(told.index).verdict.value_counts()
    others = "verdicts on the other selectors: " + ", ".join(f"{count} {verdict}" for verdict, count in rest.items())
    return [*lines, *_verdict_lines(told), others * bool(len(rest)), evidence.simultaneous(comparisons)]


def _verdict_lines(judged: pd.DataFrame) -> list[str]:
    """A line a verdict: first against random, then against all data, selector by selector."""

    def place(row: Any) -> tuple[Any, ...]:
        return (row.claim == verdicts.comparable(row.selector), wording.place(row.selector), row.ratio)

    return [
        f"{row.claim} at {ratio_label(row.ratio)}: {wording.points(row.difference, row.low, row.high)}: "
        f"{row.verdict} ({row.because})"
        for row in sorted(judged.itertuples(), key=place)
    ]


def _published() -> Rendered:
    table = published.table3()
    parts = []
    for column, label in (("miou", "mIoU (%)"), ("normdel", "NormDEL (%)")):
        wide = table.pivot(index="dataset", columns="ratio", values=column).loc[published.segmentation_sets()]
        part = wide.map(percent).rename(columns=ratio_label).rename_axis(columns=None)
        part.insert(0, "data set", wide.index)
        part.insert(0, "group", label)
        parts.append(part)
    note = "Transcribed from Table 3; columns are retention ratios. What is printed as 30 % was computed with 33 %."
    return render(pd.concat(parts, ignore_index=True), name="table3", title=_TITLE, note=note, group="group")


def _wide(summary: pd.DataFrame, cell: Callable[[Any], str], group: str) -> pd.DataFrame:
    """One row per selection and ratio, one column per set, the mean of the sets last."""
    long = pd.DataFrame(
        {
            "arm": list(zip(summary.selector, summary.ratio, strict=True)),
            "set": summary["set"],
            "cell": [cell(row) for row in summary.itertuples()],
        }
    )
    wide = long.pivot(index="arm", columns="set", values="cell")
    columns = sorted(wide.columns, key=lambda name: (name == evidence.MEAN_SET, name))
    wide = wide.loc[sorted(wide.index, key=_arm_order), columns]
    wide = wide.rename_axis(columns=None)
    wide.insert(0, "selection", [_arm_name(*arm) for arm in wide.index])
    wide.insert(0, "group", group)
    return wide.reset_index(drop=True)


def _arm_order(arm: tuple[str, float]) -> tuple[Any, ...]:
    selector, ratio = arm
    references = ["none", "all"]
    return (references.index(selector) if selector in references else 2, ratio, wording.place(selector))


def _arm_name(selector: str, ratio: float) -> str:
    name = wording.name(selector)
    return name if selector == "none" else f"{name}, {ratio_label(ratio)}"


def _quality(row: Any) -> str:
    return _plus_or_minus(row.mean, row.low, row.high, 1)


def _normdel(row: Any) -> str:
    if not row.ratio > 0:
        return DASH
    # NormDEL rises with the IoU, so that the ends of its interval are those of the IoU's.
    ends = np.clip([row.mean, row.low, row.high], 0.0, 1.0)
    return _plus_or_minus(*[math.nan if pd.isna(end) else normdel(end, row.ratio) for end in ends], 2)


def _plus_or_minus(mean: float, low: float, high: float, digits: int) -> str:
    half = (high - low) / 2
    return percent(mean, digits) + ("" if pd.isna(half) else f" ± {percent(half, digits)}")


def _note(final: pd.DataFrame, reading: str) -> str:
    counts = final.groupby(evidence.ARM).seed.nunique()
    seeds = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    epoch = {"last": "last epoch", "best_on_val": "epoch best on validation", "paper": "last epoch, as in the paper"}
    spread = "± half the 95 % t interval over seeds" if counts.max() > 1 else "one seed gives no interval"
    return f"Test split, {epoch[reading]}; mean over {seeds} seed{'s' if counts.max() > 1 else ''}; {spread}."
