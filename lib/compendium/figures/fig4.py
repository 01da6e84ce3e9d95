"""Fig. 4: segmentation at every ratio (section 4.3): the paper's boxes, or the seeds of a run."""

from __future__ import annotations

import math

import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from compendium import published
from compendium.figures import style
from compendium.figures.fig3 import one_head
from meddel import evidence, wording

_MARKERS = "sD^vPX*"


def fig4(scores: pa.Table | pd.DataFrame | None = None, head: str | None = None) -> Figure:
    """Draw segmentation against ratio, one panel per set.

    The paper's boxes hold the quartiles over the last epochs of one run, so they say nothing on the spread of repeated
    runs. `scores`, the SCORES of a run, give one point per seed; `head` is needed only if they hold several.
    """
    return _published() if scores is None else _ours(scores, head)


@style.styled()
def _published() -> Figure:
    table, sets = published.fig4(), published.segmentation_sets()
    figure, axes = style.panels(sets, 2.2, 1.9)
    marks = {"whislo": "whisker_low", "q1": "q1", "med": "median", "q3": "q3", "whishi": "whisker_high"}
    for axis, name in zip(axes, sets, strict=True):
        boxes = table[table.dataset == name].sort_values("ratio")
        values = [{mark: 100 * row[column] for mark, column in marks.items()} for _, row in boxes.iterrows()]
        drawn = axis.bxp(values, showfliers=False, patch_artist=True, widths=0.6, medianprops={"color": "black"})
        for patch, ratio in zip(drawn["boxes"], boxes.ratio, strict=True):
            patch.set_facecolor(style.LIGHT if math.isnan(ratio) else style.BLUE if ratio == 1 else style.RED)
        labels = ["ImageNet" if math.isnan(ratio) else style.percent(ratio) for ratio in boxes.ratio]
        axis.set_xticklabels(labels, rotation=55, ha="right", rotation_mode="anchor")
        axis.grid(axis="x", visible=False)
    style.label_outer(axes, "", "test mIoU (%)")
    figure.supxlabel("retention ratio of the pre-training images, or ImageNet", fontsize=9)
    medians = 100 * table[table.ratio.isin([0.05, 1.0])].set_index(["dataset", "ratio"])["median"]
    return style.finish(
        figure,
        "Published boxes hold the last epochs of one run; two panels show the same boxes",
        f"Box plots of test mIoU at six ratios and ImageNet. Medians at 5 % and at all, in %: {style.spoken(medians)}.",
    )


@style.styled()
def _ours(scores: pa.Table | pd.DataFrame, head: str | None) -> Figure:
    final, head = one_head(evidence.final_scores(scores), head)
    sets, ratios = sorted(final["set"].unique()), sorted(final.ratio.unique())
    selectors = sorted(final.selector.unique(), key=wording.place)
    selecting = [name for name in selectors if name not in ("none", "all")]
    others = [name for name in selectors if name not in style.ARMS]
    colours = style.ARMS | dict(zip(others, style.colours(len(others)), strict=True))
    markers = dict(zip(others, _MARKERS * len(others), strict=False))
    step = min(0.24, 0.84 / max(1, len(selecting)))  # between selectors at one ratio
    figure, axes = style.panels(sets, 3.6, 2.3)
    for axis, name in zip(axes, sets, strict=True):
        for selector in selectors:
            part = final[(final["set"] == name) & (final.selector == selector)]
            apart = step * (selecting.index(selector) - (len(selecting) - 1) / 2) if selector in selecting else 0.0
            looks = {"color": colours[selector], "alpha": 0.8, "label": style.NAMES.get(selector, selector)}
            x = part.ratio.map(ratios.index) + apart
            axis.scatter(x, 100 * part.foreground_iou, s=20, marker=markers.get(selector, "o"), **looks)
            means = 100 * part.groupby("ratio").foreground_iou.mean()
            at = [ratios.index(ratio) + apart for ratio in means.index]
            axis.scatter(at, means, s=240 * (step / 0.24) ** 2, marker="_", color=colours[selector], linewidths=1.8)
        axis.set(xticks=range(len(ratios)), xticklabels=map(style.percent, ratios), xlim=(-0.6, len(ratios) - 0.4))
        axis.grid(axis="x", visible=False)
    style.label_outer(axes, "retention ratio", "test foreground IoU (%)")
    means = final.replace({"selector": style.NAMES}).groupby(["set", "selector", "ratio"]).foreground_iou.mean()
    return style.finish(
        figure,
        f"Ours: one point per seed, bars are means, head {head}",
        f"Points per seed of test foreground IoU against ratio; means in %: {style.spoken(100 * means)}.",
        legend=4,
    )
