"""The Pareto front of mIoU and ratio, and the mIoU that NormDEL demands of more data (sections 3.3 and 4.3)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compendium.figures import style
from compendium.metrics.cells import published_cells
from compendium.metrics.pareto import with_front
from meddel.normdel import del_score, tie


def pareto_fronts(cells: pd.DataFrame | None = None, alpha: float = 1.0) -> Figure:
    """Draw mIoU against ratio, one panel a set, with the front and the line on which NormDEL equals that of its best.

    Parameters
    ----------
    cells : DataFrame, optional
        `compendium.metrics.cells.COLUMNS` (fractions). Without: Table 3.
    alpha : float
        Positive.

    Returns
    -------
    Figure
        Every cell under the dashed line scores lower than the best. Where the line passes 100 %, no quality is enough.
    """
    table = with_front(published_cells() if cells is None else cells)
    sets = list(table.dataset.unique())
    table["score"] = del_score(table.miou, table.ratio, alpha)
    needed = {}
    with style.styled():
        columns = min(len(sets), 4)
        rows = math.ceil(len(sets) / columns)
        figure, axes = style.new(rows, columns, max(5.2, 2.4 * columns), 1.4 + 1.9 * rows, sharex=True, sharey=True)
        for axis, name in zip(axes, sets, strict=False):
            part = table[table.dataset == name]
            best = part.loc[part.score.idxmax()]
            needed[name] = tie(best.miou, best.ratio, part.ratio.max(), alpha)
            _draw(axis, part, best, alpha)
            axis.set(title=name, ylim=(0, 105))
            axis.set_xlabel("retention ratio (%)" if axis.get_subplotspec().is_last_row() else "")
            axis.set_ylabel("mIoU (%)" if axis.get_subplotspec().is_first_col() else "")
        for axis in axes[len(sets) :]:
            axis.remove()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        hopeless = sum(value > 1 for value in needed.values())
        share = f"{round(100 * table.ratio.max(), 2):g} % of the images"
        style.message(
            figure,
            f"To tie with NormDEL's best cell, {share} need more than 100 % mIoU on {hopeless} of {len(sets)} sets",
        )
    text = "; ".join(
        f"{name}: {front} of {count} cells on the front, {100 * needed[name]:.0f} needed at the largest ratio"
        for name, count, front in table.groupby("dataset", sort=False).on_front.agg(["size", "sum"]).itertuples()
    )
    return style.describe(figure, f"{len(sets)} panels of mIoU against ratio with the Pareto front, in %. {text}.")


def _draw(axis: Axes, part: pd.DataFrame, best: pd.Series, alpha: float) -> None:
    front = part[part.on_front]
    rest = part[~part.on_front]
    # The front's stairs go on to the largest ratio: whoever may use more data may also use less.
    steps = [*(100 * front.ratio), 100 * part.ratio.max()]
    axis.step(steps, [*(100 * front.miou), 100 * front.miou.max()], where="post", color=style.BLUE, linewidth=1)
    axis.scatter(100 * front.ratio, 100 * front.miou, s=22, color=style.BLUE, label="on the Pareto front", zorder=3)
    ring = {"facecolors": "white", "edgecolors": style.GREY, "linewidths": 1.2}
    axis.scatter(100 * rest.ratio, 100 * rest.miou, s=22, label="dominated", zorder=3, **ring)
    share = np.geomspace(part.ratio.min(), part.ratio.max(), 200)
    line = 100 * np.asarray(tie(best.miou, best.ratio, share, alpha))
    axis.plot(100 * share, line, color=style.RED, linestyle="--", label="NormDEL equal to its best")
    axis.axhline(100, color=style.GREY, linewidth=0.8)
    axis.set_xscale("log")
    ticks = sorted(part.ratio.unique())
    axis.set_xticks([100 * ratio for ratio in ticks], [f"{round(100 * ratio, 2):g}" for ratio in ticks])
    axis.minorticks_off()
