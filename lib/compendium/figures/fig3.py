"""Fig. 3: test IoU after every fine-tuning epoch (section 4.2)."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import seaborn as sns
from matplotlib.figure import Figure

from compendium import published
from compendium.figures import style
from meddel import wording
from meddel.errors import MedDELError


@style.styled()
def fig3(scores: pa.Table | pd.DataFrame | None = None, head: str | None = None) -> Figure:
    """Draw test IoU per epoch, one panel per set.

    `scores` are the SCORES of a run: lines are means over the seeds, bands span the seeds, every selector is drawn at
    its smallest ratio. `head` is needed only if they hold several. Without scores: the paper's curves at 5 and 100 %.
    """
    if scores is None:
        table = published.fig3().rename(columns={"dataset": "set", "miou": "iou"})
        table["selector"] = table.ratio.map({1.0: "all", 0.05: "meddel"})
        sets, label = published.segmentation_sets(), "test mIoU (%)"
        message = "Published: fine-tuning after 5 % follows the curve after all images"
    else:
        table = scores.to_pandas() if isinstance(scores, pa.Table) else scores
        table, head = one_head(table[table.split == "test"], head)
        table = table[table.ratio == table.groupby("selector").ratio.transform("min")].assign(iou=table.foreground_iou)
        sets, label = sorted(table["set"].unique()), "test foreground IoU (%)"
        message = f"Ours: segmentation per fine-tuning epoch, head {head}; bands span {table.seed.nunique()} seeds"
    arms = table.groupby("selector").ratio.min()
    names = {arm: style.arm(arm, arms[arm]) for arm in sorted(arms.index, key=wording.place)}
    table = table.assign(arm=table.selector.map(names), iou=100 * table.iou)
    others = iter((style.GREEN, style.PURPLE, style.SKY, style.YELLOW) * len(names))
    palette = {name: style.ARMS.get(arm) or next(others) for arm, name in names.items()}
    figure, axes = style.panels(sets, 2.4, 1.7)
    for axis, name in zip(axes, sets, strict=True):
        shown = {"x": "epoch", "y": "iou", "hue": "arm", "hue_order": names.values(), "palette": palette}
        sns.lineplot(table[table["set"] == name], **shown, errorbar=("pi", 100), ax=axis, legend=axis is axes[0])
    if axes[0].get_legend():
        axes[0].get_legend().remove()
    style.label_outer(axes, "fine-tuning epoch", label)
    ends = table.sort_values("epoch").groupby(["set", "arm", *(["seed"] if "seed" in table else [])]).iou.last()
    text = style.spoken(ends.groupby(["set", "arm"], sort=False).mean())
    said = f"{len(sets)} panels of test IoU per fine-tuning epoch. At the last epoch, in %: {text}."
    return style.finish(figure, message, said, legend=4)


def one_head(table: pd.DataFrame, head: str | None) -> tuple[pd.DataFrame, str]:
    """Return the rows of one head and its name; refuse a choice that is not clear."""
    heads = sorted(table["head"].unique())
    if head is None and len(heads) > 1:
        raise MedDELError(f"the scores hold the heads {', '.join(heads)}", fix="name one")
    chosen = heads[0] if head is None and heads else head
    part = table[table["head"] == chosen]
    if part.empty:
        raise MedDELError(f"no test scores of head {chosen}", fix="run the segmentation step")
    return part, chosen
