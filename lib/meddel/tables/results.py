"""Table 3: segmentation and NormDEL of every selection and ratio (section 4.3), and its form for the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa

from meddel import evidence, published, verdicts
from meddel.normdel import normdel
from meddel.tables.rendered import DASH, Rendered, percent, ratio_label, render

METRIC_NAMES = {"foreground_iou": "foreground IoU", "two_class_miou": "two-class mIoU"}
_TITLE = "Table 3. Segmentation and NormDEL"
_NAMES = {"none": "no pre-training", "all": "all images", "random": "random", "meddel": "MedDEL"}
_ORDER = list(_NAMES)


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
        NormDEL of the mean foreground IoU; no pre-training first, then all images, then by ratio. NormDEL is a dash
        without pre-training, because the formula wants a ratio above 0.
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
        Per head: NormDEL and foreground IoU, rows and columns as in `table3`, then one line per verdict on the mean of
        the sets (or on the only set).
    """
    final = evidence.with_mean_of_sets(evidence.final_scores(scores, reading))
    main = evidence.MEAN_SET if evidence.MEAN_SET in set(final["set"]) else final["set"].iloc[0]
    lines = []
    for head, part in final.groupby("head", sort=True):
        summary = evidence.summary(part)
        for title, cell in (("NormDEL (%) of the foreground IoU", _normdel), ("Foreground IoU (%)", _quality)):
            frame = _wide(summary, cell, "").drop(columns="group")
            align = ["left", *["right"] * (frame.shape[1] - 1)]
            text = frame.to_markdown(index=False, tablefmt="simple", disable_numparse=True, colalign=align)
            lines += [f"{title}, head {head}", text, ""]
        lines += [*_conclusions(part, main), ""]
    return "\n".join([*lines, _note(final, reading)]) + "\n"


def _conclusions(final: pd.DataFrame, main: str) -> list[str]:
    lines = []
    for row in evidence.sensitivity(final).query("set == @main").itertuples():
        lines.append(
            f"{main}: all images minus no pre-training {_points(row.all_minus_none)} points "
            f"({_interval(row.low, row.high)}): the study {'is sensitive' if row.sensitive else 'has no sensitivity'}"
        )
        if not pd.isna(row.detectable):
            least = percent(row.detectable, 1)
            lines.append(f"smallest difference to random that {row.seeds} seeds can see: {least} points")
    for row in verdicts.verdicts(final).query("set == @main").itertuples():
        lines.append(
            f"{row.claim} at {ratio_label(row.ratio)}: {_points(row.difference)} points "
            f"({_interval(row.low, row.high)}): {row.verdict} ({row.because})"
        )
    return lines


def _interval(low: float, high: float) -> str:
    return "no interval" if pd.isna(low) else f"{_points(low)} to {_points(high)}"


def _points(fraction: float) -> str:
    # Adding 0 turns the negative zero that rounding leaves into a positive one.
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"


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


def _arm_order(arm: tuple[str, float]) -> tuple[int, float, int, str]:
    selector, ratio = arm
    place = _ORDER.index(selector) if selector in _ORDER else len(_ORDER)
    return (min(place, 2), ratio, place, selector)


def _arm_name(selector: str, ratio: float) -> str:
    name = _NAMES.get(selector, selector)
    return name if selector == "none" else f"{name}, {ratio_label(ratio)}"


def _quality(row: Any) -> str:
    half = (row.high - row.low) / 2
    return percent(row.mean, 1) + ("" if pd.isna(half) else f" ± {percent(half, 1)}")


def _normdel(row: Any) -> str:
    return percent(normdel(row.mean, row.ratio), 2) if row.ratio > 0 else DASH


def _note(final: pd.DataFrame, reading: str) -> str:
    counts = final.groupby(evidence.ARM).seed.nunique()
    seeds = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    epoch = {"last": "last epoch", "best_on_val": "epoch best on validation", "paper": "last epoch, as in the paper"}
    spread = "± half the 95 % t interval over seeds" if counts.max() > 1 else "one seed gives no interval"
    return f"Test split, {epoch[reading]}; mean over {seeds} seed{'s' if counts.max() > 1 else ''}; {spread}."
