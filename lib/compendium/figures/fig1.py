"""Fig. 1, mIoU and NormDEL of a small subset against all images (section 3.3), and what alpha decides in NormDEL."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from compendium import metrics, published
from compendium.figures import style
from meddel.errors import MedDELError
from meddel.normdel import normdel


@style.styled()
def fig1(results: pd.DataFrame | None = None, ratio: float = 0.05) -> Figure:
    """Draw mIoU and NormDEL (Eq. 5) at `ratio` beside those of all images, one line per set.

    `results` has dataset, ratio and miou (fractions); without it Table 3 is drawn.
    """
    table = published.table3() if results is None else results
    wide = table.pivot(index="dataset", columns="ratio", values="miou")
    if ratio not in wide or 1.0 not in wide:
        raise MedDELError(f"no results at ratio {ratio:g} and at 1", fix="run both ratios")
    quality = wide[[ratio, 1.0]].dropna().sort_values(1.0)
    score = quality.apply(lambda column: normdel(column, column.name))
    small = f"{style.percent(ratio)} of the images"
    figure, axes = style.new(1, 2, 7.6, 1.6 + 0.3 * len(quality), sharey=True)
    ring = {"facecolors": "none", "edgecolors": style.RED, "linewidths": 1.8}
    for axis, panel, label in zip(axes, (quality, score), ("mIoU (%)", "NormDEL (%)"), strict=True):
        places = range(len(panel))
        axis.hlines(places, 100 * panel[ratio], 100 * panel[1.0], color=style.LIGHT, linewidth=2, zorder=1)
        axis.scatter(100 * panel[1.0], places, color=style.BLUE, marker="s", s=34, label="all images")
        axis.scatter(100 * panel[ratio], places, marker="o", s=42, label=small, **ring)
        axis.set(xlabel=label, yticks=places, yticklabels=panel.index)
        axis.grid(axis="y", visible=False)
    wins = [int((panel[ratio] > panel[1.0]).sum()) for panel in (quality, score)]
    pairs = "; ".join(
        f"{name} mIoU {100 * quality.loc[name, ratio]:.2f} against {100 * quality.loc[name, 1.0]:.2f}, "
        f"NormDEL {100 * score.loc[name, ratio]:.2f} against {100 * score.loc[name, 1.0]:.2f}"
        for name in quality.index
    )
    return style.finish(
        figure,
        f"{small} lead on {wins[0]} of {len(quality)} sets by mIoU, on {wins[1]} by NormDEL",
        f"Two dot plots of {len(quality)} sets, {small} against all images, in %: {pairs}.",
        legend=2,
    )


@style.styled()
def alpha_winners(cells: pd.DataFrame | None = None, most: float = 3.0) -> Figure:
    """Draw which ratio has the highest NormDEL on each set as alpha grows from 0 to `most` (above 1).

    `cells` has `metrics.COLUMNS` and at most six ratios; without it Table 3 is drawn.
    """
    table = metrics.winners(metrics.published_cells() if cells is None else cells)
    ratios, sets = sorted(table.ratio.unique()), list(table.dataset.unique())
    if len(ratios) > len(style.RATIOS):
        raise MedDELError(f"{len(ratios)} ratios win somewhere, six colours are there", fix="show fewer ratios")
    colours = dict(zip(ratios, style.RATIOS if len(ratios) > 2 else (style.RED, style.BLUE), strict=False))
    figure, [axis] = style.new(1, 1, 7.6, 1.5 + 0.34 * len(sets))
    for row in table[table.alpha_low < most].itertuples():
        width = min(row.alpha_high, most) - row.alpha_low
        bar = axis.barh(
            sets.index(row.dataset), width, left=row.alpha_low, height=0.72, color=colours[row.ratio],
            edgecolor="white", linewidth=1,
        )  # fmt: skip
        if width > 0.6 * row.alpha_low:  # there is room to name the ratio, so that colour is not the only sign
            axis.bar_label(bar, [style.percent(row.ratio)], label_type="center", fontsize=8)
    axis.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axis.set_xscale("symlog", linthresh=0.01, linscale=0.5)
    ticks = [0, 0.01, 0.03, 0.1, 0.3, 1, most]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set(xlim=(0, most), yticks=range(len(sets)), yticklabels=sets)
    axis.set_xlabel("alpha, the paper's is dashed (linear up to 0.01, logarithmic beyond)")
    axis.invert_yaxis()
    axis.grid(visible=False)
    patches = [Patch(facecolor=colours[ratio], label=style.percent(ratio)) for ratio in ratios]
    figure.legend(handles=patches, title="ratio that scores highest", loc="outside lower center", ncols=len(ratios))
    last = table.groupby("dataset").alpha_low.max()
    text = "Which ratio wins depends on alpha, and ends at the smallest ratio of each set"
    if table.groupby("dataset").ratio.min().nunique() == 1:
        text = (
            f"{style.percent(ratios[0])} score highest on {(last < 1).sum()} of {len(sets)} sets at the paper's alpha "
            f"of 1, on all from {last.max():.2g} on"
        )
    turns = {
        name: ", ".join(f"{style.percent(row.ratio)} from {row.alpha_low:.2g}" for row in part.itertuples())
        for name, part in table.groupby("dataset", sort=False)
    }
    spoken = "; ".join(f"{name}: {turn}" for name, turn in turns.items())
    return style.finish(figure, text, f"One bar per set, cut where the best ratio changes as alpha grows. {spoken}.")
