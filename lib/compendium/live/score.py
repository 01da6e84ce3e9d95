"""NormDEL as alpha moves: every cell's score, the best of each set, and whether quality or the ratio decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from compendium.figures import style
from compendium.live.panel import Panel
from compendium.metrics import COLUMNS, EVERYTHING, checked, stability
from meddel import wording
from meddel.errors import MedDELError
from meddel.normdel import normdel

_MOST_ARMS = 16


def read_cells(path: Path) -> pd.DataFrame:
    """Return one's own numbers from a CSV file.

    Parameters
    ----------
    path : Path
        With the columns dataset, selector, ratio and miou, the last two as fractions.

    Returns
    -------
    DataFrame
        `compendium.metrics.COLUMNS`.

    Raises
    ------
    MedDELError
        The file can't be read, is no such table, or as for `scored`.
    """
    try:
        cells = checked(pd.read_csv(path))
        normdel(cells.miou, cells.ratio)
    except (OSError, ValueError) as error:
        raise MedDELError(f"can't read a table: {error}", path, f"give a CSV file with {', '.join(COLUMNS)}") from error
    except MedDELError as error:
        raise MedDELError(error.what, path, error.fix) from error
    return cells


def scored(cells: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Return every cell's NormDEL and which is the best of its set.

    Parameters
    ----------
    cells : DataFrame
        `compendium.metrics.COLUMNS` (fractions).
    alpha : float
        Positive.

    Returns
    -------
    DataFrame
        The columns of `cells`, normdel (fraction) and best (bool, one a set; of equal scores the smaller ratio).

    Raises
    ------
    MedDELError
        As for `compendium.metrics.checked` and `meddel.normdel.normdel`.
    """
    table = checked(cells)
    table["normdel"] = normdel(table.miou, table.ratio, alpha)
    table["best"] = False
    table.loc[table.groupby("dataset").normdel.idxmax(), "best"] = True
    return table


def normdel_view(cells: pd.DataFrame, alpha: float = 1.0) -> Figure:
    """Draw the scores of all cells at one alpha, and how each set's ranking agrees with quality and with the ratio.

    Parameters
    ----------
    cells : DataFrame
        `compendium.metrics.COLUMNS` (fractions), of at most 16 selectors and ratios.
    alpha : float
        Positive.

    Returns
    -------
    Figure
        Left a table of NormDEL in %, the best of each set framed. Right Kendall's tau of that ranking with the one by
        mIoU alone and with the one by the smaller ratio alone.

    Raises
    ------
    MedDELError
        There are more selectors and ratios, or as for `scored`.
    """
    table = scored(cells, alpha)
    arms = sorted({(row.ratio, wording.place(row.selector), row.selector) for row in table.itertuples()})
    if len(arms) > _MOST_ARMS:
        raise MedDELError(f"{len(arms)} selectors and ratios, and room for {_MOST_ARMS}", fix="show fewer")
    columns = [(selector, ratio) for ratio, _, selector in arms]
    named = table.selector[table.selector != EVERYTHING].nunique() > 1
    labels = [_label(selector, ratio, named) for selector, ratio in columns]
    sets = list(table.dataset.unique())
    agreement = stability(cells, [alpha]).set_index("dataset").loc[sets]
    best = table[table.best].set_index("dataset").loc[sets]
    names = [_label(row.selector, row.ratio, named).replace("\n", " ") for row in best.itertuples()]
    with style.styled():
        figure, axes = style.new(
            1, 2, max(7.6, 4.6 + 0.62 * len(columns)), 1.7 + 0.34 * len(sets), sharey=True,
            gridspec_kw={"width_ratios": [max(3, 0.62 * len(columns)), 2.4]},
        )  # fmt: skip
        _draw_scores(axes[0], table, sets, columns, labels)
        _draw_agreement(axes[1], agreement)
        figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=8)
        style.message(figure, _message(names, agreement, alpha))
    spoken = "; ".join(
        f"{dataset}: {name} with {100 * row.normdel:.2f}, tau {_number(tau.tau_quality)} with mIoU and "
        f"{_number(tau.tau_ratio)} with the ratio"
        for name, (dataset, row), (_, tau) in zip(names, best.iterrows(), agreement.iterrows(), strict=True)
    )
    return style.describe(
        figure, f"Table of NormDEL in % at alpha {alpha:.3g}, the best of each set and its rank agreement. {spoken}."
    )


def normdel_panel(tables: Mapping[str, pd.DataFrame], alpha: float = 1.0) -> Panel:
    """Return `normdel_view` with a slider of alpha, from 0.01 to 3.2 at least, and a choice among several tables.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Cells by the name to choose them by; the first is shown first.
    alpha : float
        Where the slider begins; positive.
    """

    def view(numbers: str, alpha: float) -> Figure:
        return normdel_view(tables[numbers], alpha)

    def controls() -> dict[str, ipywidgets.DOMWidget]:
        return {
            "numbers": ipywidgets.Dropdown(options=list(tables), description="numbers", disabled=len(tables) == 1),
            "alpha": ipywidgets.FloatLogSlider(
                value=alpha, min=min(-2, math.log10(alpha)), max=max(0.5, math.log10(alpha)), step=0.05,
                description="alpha", readout_format=".3g", continuous_update=False,
            ),
        }  # fmt: skip

    return Panel(view, controls)


def _draw_scores(
    axis: Axes, table: pd.DataFrame, sets: list[str], columns: list[tuple[str, float]], labels: list[str]
) -> None:
    grid = np.full((len(sets), len(columns)), np.nan)
    for row in table.itertuples():
        place = sets.index(row.dataset), columns.index((row.selector, row.ratio))
        grid[place] = 100 * row.normdel
        axis.text(place[1], place[0], f"{grid[place]:.2f}", ha="center", va="center", fontsize=7.5,
                  fontweight="bold" if row.best else "normal")  # fmt: skip
        if row.best:
            frame = {"fill": False, "edgecolor": style.RED, "linewidth": 2, "zorder": 3}
            axis.add_patch(Rectangle((place[1] - 0.47, place[0] - 0.46), 0.94, 0.92, **frame))
    # The score's whole range is the colours' range at every alpha, pale enough for black numbers.
    axis.imshow(grid, aspect="auto", cmap="Blues", vmin=50, vmax=100)
    axis.set(xticks=range(len(columns)), xticklabels=labels, yticks=range(len(sets)), yticklabels=sets)
    axis.tick_params(length=0, labelsize=8)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_title("NormDEL (%), the best framed")


def _draw_agreement(axis: Axes, agreement: pd.DataFrame) -> None:
    rows = np.arange(len(agreement))
    axis.axvline(0, color=style.GREY, linewidth=0.8)
    axis.plot(agreement.tau_quality, rows - 0.14, "o", color=style.BLUE, label="with mIoU alone")
    axis.plot(agreement.tau_ratio, rows + 0.14, "D", color=style.ORANGE, label="with the smaller ratio alone")
    axis.set(xlim=(-1.1, 1.1), xticks=(-1, 0, 1))
    axis.tick_params(axis="y", labelleft=False, length=0)
    axis.set_title("rank agreement (Kendall's tau)")


def _message(names: list[str], agreement: pd.DataFrame, alpha: float) -> str:
    name = max(dict.fromkeys(names), key=names.count)
    quality, ratio = agreement.tau_quality.mean(), agreement.tau_ratio.mean()
    return (
        f"alpha = {alpha:.3g}: {name} best on {names.count(name)} of {len(names)} sets; mean tau "
        f"{_number(quality)} (mIoU), {_number(ratio)} (ratio)"
    )


def _number(tau: float) -> str:
    return "undefined" if np.isnan(tau) else f"{tau:+.2f}"


def _label(selector: str, ratio: float, named: bool) -> str:
    percent = f"{round(100 * ratio, 2):g} %"
    return f"{wording.name(selector)}\n{percent}" if named and selector != EVERYTHING else percent
