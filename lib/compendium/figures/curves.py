"""Fig. 3: test IoU after every fine-tuning epoch (section 4.2)."""

from __future__ import annotations

import math

import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compendium import published
from compendium.figures import style
from meddel.errors import MedDELError


def fig3(
    scores: pa.Table | pd.DataFrame | None = None, head: str | None = None, metric: str = "foreground_iou"
) -> Figure:
    """Draw test IoU per epoch, one panel per set.

    Parameters
    ----------
    scores : pa.Table or DataFrame, optional
        SCORES of a run: mean over seeds as a line, from the least to the greatest seed as a band, for no pre-training,
        all images, and every selector at its smallest ratio. Without them: the paper's curves at 5 % and 100 %.
    head : str, optional
        Which head; needed only if the scores hold several.
    metric : str
        ``foreground_iou`` or ``two_class_miou``.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        The scores hold no test rows of the head, or several heads and none was named.
    """
    return _published() if scores is None else _ours(scores, head, metric)


def _published() -> Figure:
    table = published.fig3()
    sets = published.segmentation_sets()
    with style.styled():
        figure, axes = style.new(2, math.ceil(len(sets) / 2), 9.6, 4.6)
        for axis, name in zip(axes, sets, strict=False):
            for ratio, colour, label in ((1.0, style.BLUE, "all images"), (0.05, style.RED, "MedDEL, 5 %")):
                curve = table[(table.dataset == name) & (table.ratio == ratio)]
                dashes = "-" if ratio == 1.0 else (0, (4, 1.5))
                axis.plot(curve.epoch, 100 * curve.miou, color=colour, label=label, linestyle=dashes)
            axis.set_title(name)
        _finish(figure, axes, "test mIoU (%)")
        style.message(figure, "Published: fine-tuning after 5 % follows the curve after all images")
    ends = table.sort_values("epoch").groupby(["dataset", "ratio"]).miou.last()
    text = "; ".join(f"{name} {100 * ends[name, 0.05]:.1f} against {100 * ends[name, 1.0]:.1f}" for name in sets)
    return style.describe(
        figure, f"{len(sets)} panels of test mIoU per fine-tuning epoch. Ends at 5 % against 100 %, in %: {text}."
    )


def _ours(scores: pa.Table | pd.DataFrame, head: str | None, metric: str) -> Figure:
    table = scores.to_pandas() if isinstance(scores, pa.Table) else scores
    heads = sorted(table["head"].unique())
    if head is None and len(heads) > 1:
        raise MedDELError(f"the scores hold the heads {', '.join(heads)}", fix="name one")
    head = heads[0] if head is None and heads else head
    table = table[(table.split == "test") & (table["head"] == head)]
    if table.empty:
        raise MedDELError(f"no test scores of head {head}", fix="run the segmentation step")
    arms = _arms(table)
    sets = sorted(table["set"].unique())
    seeds = table.seed.nunique()
    with style.styled():
        columns = min(len(sets), 4)
        rows = math.ceil(len(sets) / columns)
        figure, axes = style.new(rows, columns, max(5.2, 3.0 * columns), 1.2 + 2.3 * rows)
        for axis, name in zip(axes, sets, strict=False):
            for selector, ratio, label, colour in arms:
                part = table[(table["set"] == name) & (table.selector == selector) & (table.ratio == ratio)]
                curve = 100 * part.groupby("epoch")[metric].agg(["mean", "min", "max"])
                axis.plot(curve.index, curve["mean"], color=colour, label=label)
                axis.fill_between(curve.index, curve["min"], curve["max"], color=colour, alpha=0.15, linewidth=0)
            axis.set_title(name)
        _finish(figure, axes[: len(sets)], f"test {metric.replace('_', ' ').replace('iou', 'IoU')} (%)")
        for axis in axes[len(sets) :]:
            axis.remove()
        style.message(figure, f"Ours: segmentation per fine-tuning epoch, head {head}; bands span {seeds} seeds")
    last = table[table.epoch == table.epoch.max()].groupby(["set", "selector", "ratio"])[metric].mean()
    text = "; ".join(
        f"{name}: " + ", ".join(f"{label} {100 * last.get((name, s, r), math.nan):.1f}" for s, r, label, _ in arms)
        for name in sets
    )
    return style.describe(figure, f"{len(sets)} panels of test IoU per epoch, in %, at the last epoch: {text}.")


def _arms(table: pd.DataFrame) -> list[tuple[str, float, str, str]]:
    """Selector, ratio, label and colour of the arms to draw: each selector at its smallest ratio."""
    smallest = table.groupby("selector").ratio.min()
    order = sorted(smallest.index, key=lambda name: (list(style.ARMS).index(name) if name in style.ARMS else 9, name))
    spare = iter((style.GREEN, style.PURPLE, style.SKY, style.YELLOW) * 3)
    arms = []
    for name in order:
        suffix = "" if name in ("none", "all") else f", {100 * smallest[name]:g} %"
        colour = style.ARMS[name] if name in style.ARMS else next(spare)
        arms.append((name, float(smallest[name]), f"{style.NAMES.get(name, name)}{suffix}", colour))
    return arms


def _finish(figure: Figure, axes: list[Axes], label: str) -> None:
    for place, axis in enumerate(axes):
        grid = axis.get_subplotspec()
        axis.set_xlabel("fine-tuning epoch" if grid.is_last_row() else "")
        axis.set_ylabel(label if grid.is_first_col() else "")
        axis.margins(x=0.01)
        if place == 0:
            figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4)
