"""Fig. 1: mIoU and NormDEL of a small subset against all images (section 3.3)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from compendium import published
from compendium.figures import style
from meddel.errors import MedDELError
from meddel.normdel import normdel


def fig1(results: pd.DataFrame | None = None, ratio: float = 0.05) -> Figure:
    """Draw mIoU and NormDEL at `ratio` beside those at ratio 1, one line per set.

    Parameters
    ----------
    results : DataFrame, optional
        dataset, ratio, miou (fractions) with rows at `ratio` and at 1; NormDEL is computed (Eq. 5). Without: Table 3.
    ratio : float
        The subset's retention ratio.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        No set has both ratios.
    """
    table = published.table3() if results is None else results
    wide = table.pivot(index="dataset", columns="ratio", values="miou")
    if ratio not in wide or 1.0 not in wide:
        raise MedDELError(f"no results at ratio {ratio:g} and at 1", fix="run both ratios")
    quality = wide[[ratio, 1.0]].dropna().sort_values(1.0)
    score = quality.apply(lambda column: normdel(column, column.name))
    small, everything = f"{100 * ratio:g} % of the images", "all images"
    wins = [int((panel[ratio] > panel[1.0]).sum()) for panel in (quality, score)]
    with style.styled():
        figure, axes = style.new(1, 2, 7.6, 0.8 + 0.3 * len(quality) + 0.8, sharey=True)
        for axis, panel, label in zip(axes, (quality, score), ("mIoU (%)", "NormDEL (%)"), strict=True):
            places = range(len(panel))
            axis.hlines(places, 100 * panel[ratio], 100 * panel[1.0], color=style.LIGHT, linewidth=2, zorder=1)
            axis.scatter(100 * panel[1.0], places, color=style.BLUE, marker="s", s=34, label=everything)
            ring = {"facecolors": "none", "edgecolors": style.RED, "linewidths": 1.8}
            axis.scatter(100 * panel[ratio], places, marker="o", s=42, label=small, **ring)
            axis.set(xlabel=label, yticks=places, yticklabels=panel.index)
            axis.grid(axis="y", visible=False)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        style.message(
            figure,
            f"{small[0].upper() + small[1:]} lead on {wins[0]} of {len(quality)} sets by mIoU, on {wins[1]} by NormDEL",
        )
    pairs = "; ".join(
        f"{name} mIoU {100 * quality.loc[name, ratio]:.2f} against {100 * quality.loc[name, 1.0]:.2f}, "
        f"NormDEL {100 * score.loc[name, ratio]:.2f} against {100 * score.loc[name, 1.0]:.2f}"
        for name in quality.index
    )
    return style.describe(figure, f"Two dot plots of {len(quality)} sets, {small} against all images, in %: {pairs}.")
