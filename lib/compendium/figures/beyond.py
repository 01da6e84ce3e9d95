"""Figures of what goes beyond the paper: best ratio, other modalities, spoilt images, larger pools."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from compendium.figures import style
from compendium.questions import best_ratio, quality
from compendium.questions.best_ratio import Fit
from meddel.errors import MedDELError

_DOMAINS = {quality.MEDICAL: style.RED, quality.NATURAL: style.BLUE}
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)))


@style.styled()
def ratio_curves(fits: Mapping[str, Fit], price: float, label: str = "mIoU (%)") -> Figure:
    """Draw every curve with its 95 % band, what was observed, and the best ratio at a price.

    `price` is in points of quality per percent of the data, `label` names the vertical axis.
    """
    _refuse_none(fits, "curve")
    texts = []
    figure, axes = style.panels(list(fits), 2.4, 1.75, columns=3)
    for axis, (name, fitted) in zip(axes, fits.items(), strict=True):
        found, grid = best_ratio.best(fitted, price), np.geomspace(fitted.ratios[0], fitted.ratios[-1], 60)
        low, high = 100 * np.quantile(fitted.drawn(grid), [0.025, 0.975], axis=0)
        axis.fill_between(100 * grid, low, high, color=style.BLUE, alpha=0.2, linewidth=0)
        axis.plot(100 * grid, 100 * fitted.at(grid), color=style.BLUE)
        axis.plot(100 * fitted.ratios, 100 * fitted.observed, "o", color=style.BLUE, markersize=4)
        axis.axvline(100 * found.ratio, color=style.RED, linewidth=1.2, linestyle="--")
        axis.set_xscale("log")
        axis.set_xticks((5, 10, 20, 50, 100), ("5", "10", "20", "50", "100"))
        axis.minorticks_off()
        axis.set_title(f"{name}{', flat' if fitted.flat else ''}")
        texts.append(
            f"{name}: rise {100 * fitted.rise:+.1f} points{' (flat)' if fitted.flat else ''}, best ratio "
            f"{100 * found.ratio:.0f} % ({100 * found.low:.0f} to {100 * found.high:.0f})"
        )
    style.label_outer(axes, "retention ratio (%)", label)
    return style.finish(
        figure,
        f"Fitted curves with 95 % bands; dashed, the best ratio at {price:g} points per percent of the data",
        f"{label} against retention ratio with fitted curves. {'; '.join(texts)}.",
    )


@style.styled()
def dose_response(table: pd.DataFrame) -> Figure:
    """Draw the change of AUC against the share of spoilt images, a panel a fault, a thin line per seed.

    `table` is as `quality.scores` returns it. Points of AUC against the clean pool of the same seed; thick lines are
    means, dotted is no pre-training.
    """
    kinds = [kind for kind in table.kind.unique() if kind not in (quality.NONE, quality.CLEAN)]
    _refuse_none(kinds, "fault")
    clean = table[table.kind == quality.CLEAN].set_index(["domain", "seed"]).auc
    change = table.join(clean.rename("clean"), on=["domain", "seed"])
    change["change"] = 100 * (change.auc - change.clean)
    figure, axes = style.panels(kinds, 1.75, 1.6, columns=len(kinds), sharey=True)
    for axis, kind in zip(axes, kinds, strict=True):
        axis.axhline(0, color=style.GREY, linewidth=0.8)
        for domain, part in change.groupby("domain", sort=False):
            colour, own = _DOMAINS[domain], part[part.kind.isin([kind, quality.CLEAN])].sort_values("dose")
            for _, line in own.groupby("seed"):
                axis.plot(100 * line.dose, line.change, color=colour, linewidth=0.6, alpha=0.5)
            mean = own.groupby("dose").change.mean()
            axis.plot(100 * mean.index, mean, "o-", color=colour, linewidth=2, markersize=4, label=domain)
            axis.axhline(part[part.kind == quality.NONE].change.mean(), color=colour, linestyle=":", linewidth=1.2)
    axes[0].set_ylabel("AUC against the clean pool (points)")
    figure.supxlabel("share of the pool that is spoilt (%)", fontsize=9)
    text = style.spoken(100 * quality.slopes(table).set_index(["domain", "kind"]).slope)
    handles = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2)
    return style.finish(
        figure,
        "Does a fault cost more in medical images? Dotted: no pre-training at all",
        f"Change of AUC with the share of spoilt images. Slopes in points from 0 to 100 %: {text}.",
    )


@style.styled()
def probe_scores(table: pd.DataFrame, metric: str = "auc", label: str = "area under the ROC curve (%)") -> Figure:
    """Draw what each arm reached on each labelled set, a dot per seed, a bar for the mean.

    `table` is as `questions.modalities.scores` returns it; `label` names the axis of its column `metric`.
    """
    _refuse_none(table.index, "score")
    arms = list(table[["selector", "ratio"]].drop_duplicates().itertuples(index=False, name=None))
    others = [name for name, _ in arms if name not in style.ARMS]
    colours = style.ARMS | dict(zip(others, style.colours(len(others)), strict=True))
    sets = table.drop_duplicates("set").set_index("set").modality
    size = {"width": 2.3, "height": 0.34 * len(arms), "columns": len(sets)}
    figure, axes = style.panels([f"{name} ({modality})" for name, modality in sets.items()], **size, sharey=True)
    for axis, name in zip(axes, sets.index, strict=True):
        part = table[table["set"] == name]
        for place, (selector, ratio) in enumerate(arms):
            values = 100 * part[(part.selector == selector) & (part.ratio == ratio)][metric]
            axis.plot(values, [place] * len(values), "o", color=colours[selector], alpha=0.7, markersize=5)
            axis.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=colours[selector], linewidth=2.5)
    axes[0].set(yticks=range(len(arms)), yticklabels=[style.arm(*arm) for arm in arms])
    axes[0].invert_yaxis()
    figure.supxlabel(label, fontsize=9)
    means = 100 * table.groupby(["set", "selector"], sort=False)[metric].mean()
    message = "Which images to pre-train on: a dot per seed, a bar for their mean"
    return style.finish(figure, message, f"Dots of {label} per seed. Means: {style.spoken(means)}.")


@style.styled()
def planned_hours(plans: dict[int, pd.DataFrame], measured_rows: int) -> Figure:
    """Draw the hours of each stage against the number of rows, both logarithmic.

    `plans` maps a number of rows to its plan (`compendium.scaling.plan`); only `measured_rows` were measured, the
    rest of each line is extrapolated.
    """
    rows = sorted(plans)
    hours = pd.DataFrame({count: plans[count].set_index("stage").hours for count in rows})
    hours = hours[hours.index != "all"]
    figure, [axis] = style.new(1, 1, 7.2, 4.0)
    for (stage, line), colour, dashes in zip(hours.iterrows(), style.RATIOS, _DASHES, strict=False):
        axis.plot(rows, line, color=colour, linestyle=dashes, label=stage)
    axis.axvline(measured_rows, color="black", linewidth=1)
    axis.text(measured_rows, 0.95, " measured", transform=axis.get_xaxis_transform())
    axis.set(xscale="log", yscale="log", xlabel="images", ylabel="hours")
    figure.legend(loc="outside right center")
    return style.finish(
        figure,
        f"At {rows[-1]:,} images the stage that takes longest is {hours[rows[-1]].idxmax()}",
        f"Hours of each stage against the number of images, from {rows[0]:,} to {rows[-1]:,}, both logarithmic. "
        f"Measured at {measured_rows:,}. Hours at the right end: {style.spoken(hours[rows[-1]], 2)}.",
    )


def _refuse_none(found: object, what: str) -> None:
    if not len(found):
        raise MedDELError(f"no {what} to draw", fix="compute it first")
