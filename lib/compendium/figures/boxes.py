"""Fig. 4: segmentation at every ratio (section 4.3): the paper's boxes, or the seeds of a run."""

from __future__ import annotations

import math

import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from compendium import published
from compendium.figures import style
from meddel import evidence
from meddel.errors import MedDELError

_OTHERS = (
    (style.GREEN, "s"), (style.PURPLE, "^"), (style.SKY, "D"), (style.YELLOW, "v"), (style.GREY, "P"),
)  # fmt: skip
"""Colour and marker of selectors beside those that every figure shows, in the order in which they come."""


def fig4(scores: pa.Table | pd.DataFrame | None = None, head: str | None = None) -> Figure:
    """Draw segmentation against ratio, one panel per set.

    The paper's boxes hold the quartiles over the last epochs of one run, so that they say nothing on the spread of
    repeated runs. A run of ours shows one point per seed instead.

    Parameters
    ----------
    scores : pa.Table or DataFrame, optional
        SCORES of a run; the last epoch's foreground IoU on the test split is drawn. Without them: the paper's boxes.
    head : str, optional
        Which head; needed only if the scores hold several.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        The scores hold no test rows of the head, or several heads and none was named.
    """
    return _published() if scores is None else _ours(scores, head)


def _published() -> Figure:
    table = published.fig4()
    sets = published.segmentation_sets()
    with style.styled():
        figure, axes = style.new(2, math.ceil(len(sets) / 2), 9.6, 5.2)
        for axis, name in zip(axes, sets, strict=False):
            boxes = table[table.dataset == name].sort_values("ratio")
            labels = [_ratio_name(ratio) for ratio in boxes.ratio]
            marks = [
                {
                    "whislo": 100 * box.whisker_low, "q1": 100 * box.q1, "med": 100 * box.median,
                    "q3": 100 * box.q3, "whishi": 100 * box.whisker_high, "fliers": [],
                }
                for box in boxes.itertuples()
            ]  # fmt: skip
            drawn = axis.bxp(marks, showfliers=False, patch_artist=True, widths=0.6, medianprops={"color": "black"})
            for patch, ratio in zip(drawn["boxes"], boxes.ratio, strict=True):
                patch.set_facecolor(style.LIGHT if math.isnan(ratio) else style.BLUE if ratio == 1 else style.RED)
            axis.set_xticklabels(labels, rotation=55, ha="right", rotation_mode="anchor")
            axis.set_title(name)
            axis.set_ylabel("test mIoU (%)" if axis.get_subplotspec().is_first_col() else "")
            axis.grid(axis="x", visible=False)
        style.message(figure, "Published boxes hold the last epochs of one run; two panels show the same boxes")
        figure.supxlabel("retention ratio of the pre-training images, or ImageNet", fontsize=9)
    medians = table.dropna().pivot(index="dataset", columns="ratio", values="median").loc[sets]
    text = "; ".join(f"{name} {100 * row[0.05]:.1f} against {100 * row[1.0]:.1f}" for name, row in medians.iterrows())
    return style.describe(
        figure, f"Box plots of test mIoU at six ratios and for ImageNet. Medians at 5 % against 100 %, in %: {text}."
    )


def _ours(scores: pa.Table | pd.DataFrame, head: str | None) -> Figure:
    final = evidence.final_scores(scores)
    heads = sorted(final["head"].unique())
    if head is None and len(heads) > 1:
        raise MedDELError(f"the scores hold the heads {', '.join(heads)}", fix="name one")
    head = heads[0] if head is None else head
    final = final[final["head"] == head]
    if final.empty:
        raise MedDELError(f"no test scores of head {head}", fix="run the segmentation step")
    sets = sorted(final["set"].unique())
    ratios = sorted(final.ratio.unique())
    selectors = sorted(final.selector.unique(), key=[*style.ARMS, *final.selector.unique()].index)
    selecting = [name for name in selectors if name not in ("none", "all")]
    step = min(0.24, 0.84 / max(1, len(selecting)))  # between selectors at one ratio
    with style.styled():
        columns = min(len(sets), 4)
        rows = math.ceil(len(sets) / columns)
        figure, axes = style.new(rows, columns, max(7.0, 3.6 * columns), 1.6 + 2.3 * rows)
        for axis, name in zip(axes, sets, strict=False):
            others = iter(_OTHERS)
            for selector in selectors:
                part = final[(final["set"] == name) & (final.selector == selector)]
                apart = step * (selecting.index(selector) - (len(selecting) - 1) / 2) if selector in selecting else 0.0
                known = style.ARMS.get(selector)
                colour, marker = (known, "o") if known else next(others, (style.GREY, "x"))
                x = part.ratio.map(ratios.index) + apart
                label = style.NAMES.get(selector, selector)
                axis.scatter(x, 100 * part.foreground_iou, s=20, color=colour, marker=marker, alpha=0.8, label=label)
                means = 100 * part.groupby("ratio").foreground_iou.mean()
                at = [ratios.index(ratio) + apart for ratio in means.index]
                axis.scatter(at, means, s=240 * (step / 0.24) ** 2, marker="_", color=colour, linewidths=1.8)
            axis.set(title=name, xticks=range(len(ratios)), xticklabels=[_ratio_name(ratio) for ratio in ratios])
            axis.set_xlabel("retention ratio" if axis.get_subplotspec().is_last_row() else "")
            axis.set_xlim(-0.6, len(ratios) - 0.4)
            axis.set_ylabel("test foreground IoU (%)" if axis.get_subplotspec().is_first_col() else "")
            axis.grid(axis="x", visible=False)
        for axis in axes[len(sets) :]:
            axis.remove()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        style.message(figure, f"Ours: one point per seed, bars are means, head {head}")
    means = final.groupby(["set", "selector", "ratio"]).foreground_iou.mean()
    text = "; ".join(f"{s} {style.NAMES.get(a, a)} at {_ratio_name(r)} {100 * v:.1f}" for (s, a, r), v in means.items())
    return style.describe(figure, f"Points per seed of test foreground IoU against ratio; means in %: {text}.")


def _ratio_name(ratio: float) -> str:
    return "ImageNet" if math.isnan(ratio) else f"{round(100 * ratio, 2):g} %"
