"""Who wins by NormDEL at which alpha: one bar a set, cut where the winning ratio changes (section 3.3)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from compendium.figures import style
from compendium.metrics.alpha import winners
from compendium.metrics.cells import published_cells
from meddel.errors import MedDELError

_COLOURS = (style.RED, style.ORANGE, style.PURPLE, style.GREEN, style.SKY, style.BLUE)
_LINEAR_TO = 0.01
"""Up to here the axis is linear, so that it can begin at 0; beyond it is logarithmic."""


def alpha_winners(cells: pd.DataFrame | None = None, most: float = 3.0) -> Figure:
    """Draw which ratio has the highest NormDEL on each set as alpha goes from 0 to `most`.

    Parameters
    ----------
    cells : DataFrame, optional
        `compendium.metrics.cells.COLUMNS` (fractions), of at most six ratios. Without: Table 3.
    most : float
        End of the axis, above 1.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        More than six ratios win somewhere, or `most` is not above 1.
    """
    if not most > 1:
        raise MedDELError(f"the axis ends at alpha {most:g}", fix="give an end above the paper's 1")
    table = winners(published_cells() if cells is None else cells)
    ratios = sorted(table.ratio.unique())
    if len(ratios) > len(_COLOURS):
        raise MedDELError(
            f"{len(ratios)} ratios win somewhere, and there are {len(_COLOURS)} colours", fix="show fewer"
        )
    colours = dict(zip(ratios, _COLOURS if len(ratios) > 2 else (style.RED, style.BLUE), strict=False))
    sets = list(table.dataset.unique())
    with style.styled():
        figure, [axis] = style.new(1, 1, 7.6, 1.5 + 0.34 * len(sets))
        for row in table[table.alpha_low < most].itertuples():
            place, end = sets.index(row.dataset), min(row.alpha_high, most)
            axis.barh(
                place, end - row.alpha_low, left=row.alpha_low, height=0.72, color=colours[row.ratio],
                edgecolor="white", linewidth=1,
            )  # fmt: skip
        axis.axvline(1.0, color="black", linestyle="--", linewidth=1)
        axis.set(xlim=(0, most), yticks=range(len(sets)), yticklabels=sets)
        axis.set_xscale("symlog", linthresh=_LINEAR_TO, linscale=0.5)
        axis.set_xlabel("alpha, the paper's is dashed (linear up to 0.01, logarithmic beyond)")
        ticks = [0, 0.01, 0.03, 0.1, 0.3, 1, most]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.invert_yaxis()
        axis.grid(visible=False)
        patches = [Patch(facecolor=colours[ratio], label=_percent(ratio)) for ratio in ratios]
        figure.legend(handles=patches, title="ratio that scores highest", loc="outside lower center", ncols=len(ratios))
        style.message(figure, _message(table, sets))
        _name_bars(figure, table, sets, most)
    text = "; ".join(f"{name}: {_spoken(part)}" for name, part in table.groupby("dataset", sort=False))
    return style.describe(
        figure, f"One bar per set, cut where the ratio of the highest NormDEL changes as alpha grows. {text}."
    )


def _name_bars(figure: Figure, table: pd.DataFrame, sets: list[str], most: float) -> None:
    """Write the ratio into each piece that has room for it, so that colour is not all that tells them apart."""
    [axis] = figure.axes
    figure.draw_without_rendering()
    to_screen = axis.transData
    for row in table[table.alpha_low < most].itertuples():
        place, end = sets.index(row.dataset), min(row.alpha_high, most)
        (left, _), (right, _) = to_screen.transform([(row.alpha_low, place), (end, place)])
        text = _percent(row.ratio)
        if right - left > figure.dpi * 0.085 * len(text):
            middle, _ = to_screen.inverted().transform(((left + right) / 2, 0))
            axis.text(middle, place, text, ha="center", va="center", fontsize=8)


def _message(table: pd.DataFrame, sets: list[str]) -> str:
    smallest = table.groupby("dataset").ratio.min()
    last = table.groupby("dataset").alpha_low.max()
    if smallest.nunique() == 1:
        count = int((last < 1).sum())
        return (
            f"{_percent(smallest.iloc[0])} score highest on {count} of {len(sets)} sets at the paper's alpha of 1, "
            f"on all from {last.max():.2g} on"
        )
    return "Which ratio wins depends on alpha, and ends at the smallest ratio of each set"


def _spoken(part: pd.DataFrame) -> str:
    return ", ".join(f"{_percent(row.ratio)} from {row.alpha_low:.2g}" for row in part.itertuples())


def _percent(ratio: float) -> str:
    return f"{round(100 * ratio, 2):g} %"
