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

from compendium import live
from compendium.figures import style
from compendium.metrics import COLUMNS, EVERYTHING, checked, stability
from meddel import wording
from meddel.errors import MedDELError
from meddel.normdel import normdel

_MOST_ARMS = 16


def read_cells(path: Path) -> pd.DataFrame:
    """Return a user's own numbers from a CSV file with the columns dataset, selector, ratio and miou (fractions)."""
    try:
        cells = checked(pd.read_csv(path))
        normdel(cells.miou, cells.ratio)
    except (OSError, ValueError) as error:
        raise MedDELError(f"can't read a table: {error}", path, f"give a CSV file with {', '.join(COLUMNS)}") from error
    except MedDELError as error:
        raise MedDELError(error.what, path, error.fix) from error
    return cells


def scored(cells: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Return `COLUMNS` with every cell's normdel, and whether it is the best of its set (of equals the smaller)."""
    table = checked(cells)
    table["normdel"] = normdel(table.miou, table.ratio, alpha)
    table["best"] = False
    table.loc[table.groupby("dataset").normdel.idxmax(), "best"] = True
    return table


def normdel_view(cells: pd.DataFrame, alpha: float = 1.0) -> Figure:
    """Draw the scores of cells (`compendium.metrics.COLUMNS`, at most 16 selectors and ratios) at one alpha.

    Left is NormDEL in %, the best of each set framed. Right is Kendall's tau of that ranking with the one by mIoU alone
    and with the one by the smaller ratio alone.
    """
    table = scored(cells, alpha)
    columns = sorted({(row.ratio, wording.place(row.selector), row.selector) for row in table.itertuples()})
    columns = [(selector, ratio) for ratio, _, selector in columns]
    if len(columns) > _MOST_ARMS:
        raise MedDELError(f"{len(columns)} selectors and ratios, and room for {_MOST_ARMS}", fix="show fewer")
    named = table.selector[table.selector != EVERYTHING].nunique() > 1
    sets = list(table.dataset.unique())
    agreement = stability(cells, [alpha]).set_index("dataset").loc[sets]
    best = table[table.best].set_index("dataset").loc[sets]
    names = [_label(row.selector, row.ratio, named).replace("\n", " ") for row in best.itertuples()]
    widths = [max(3, 0.62 * len(columns)), 2.4]
    size = (max(7.6, 4.6 + 0.62 * len(columns)), 1.7 + 0.34 * len(sets))
    with style.styled():
        figure, axes = style.new(1, 2, *size, sharey=True, gridspec_kw={"width_ratios": widths})
        _draw_scores(axes[0], table, sets, columns, named)
        _draw_agreement(axes[1], agreement)
        figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=8)
    spoken = "; ".join(
        f"{dataset}: {name} with {100 * row.normdel:.2f}, tau {_number(tau.tau_quality)} with mIoU and "
        f"{_number(tau.tau_ratio)} with the ratio"
        for name, (dataset, row), (_, tau) in zip(names, best.iterrows(), agreement.iterrows(), strict=True)
    )
    alt = f"Table of NormDEL in % at alpha {alpha:.3g}, the best of each set and its rank agreement. {spoken}."
    return style.finish(figure, _message(names, agreement, alpha), alt)


def normdel_sliders(tables: Mapping[str, pd.DataFrame], alpha: float = 1.0) -> ipywidgets.VBox | None:
    """Return `normdel_view` with a slider of alpha and a choice among `tables`; None where nobody can move it."""
    if not live.attended():
        return None
    numbers = ipywidgets.Dropdown(options=list(tables), description="numbers", disabled=len(tables) == 1)
    least, most = min(-2, math.log10(alpha)), max(0.5, math.log10(alpha))
    looks = {"description": "alpha", "readout_format": ".3g", "continuous_update": False}
    slider = ipywidgets.FloatLogSlider(alpha, min=least, max=most, step=0.05, **looks)

    def view(numbers: str, alpha: float) -> Figure:
        return normdel_view(tables[numbers], alpha)

    return live.with_controls(view, {"numbers": numbers, "alpha": slider})


def _draw_scores(
    axis: Axes, table: pd.DataFrame, sets: list[str], columns: list[tuple[str, float]], named: bool
) -> None:
    grid = np.full((len(sets), len(columns)), np.nan)
    for row in table.itertuples():
        y, x = sets.index(row.dataset), columns.index((row.selector, row.ratio))
        grid[y, x] = 100 * row.normdel
        weight = "bold" if row.best else "normal"
        axis.text(x, y, f"{grid[y, x]:.2f}", ha="center", va="center", fontsize=7.5, fontweight=weight)
        if row.best:
            frame = {"fill": False, "edgecolor": style.RED, "linewidth": 2, "zorder": 3}
            axis.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, **frame))
    # The score's whole range is the colours' range at every alpha, pale enough for black numbers.
    axis.imshow(grid, aspect="auto", cmap="Blues", vmin=50, vmax=100)
    axis.set(xticks=range(len(columns)), xticklabels=[_label(*column, named) for column in columns])
    axis.set(yticks=range(len(sets)), yticklabels=sets)
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
    quality, ratio = _number(agreement.tau_quality.mean()), _number(agreement.tau_ratio.mean())
    best = f"{name} best on {names.count(name)} of {len(names)} sets"
    return f"alpha = {alpha:.3g}: {best}; mean tau {quality} (mIoU), {ratio} (ratio)"


def _number(tau: float) -> str:
    return "undefined" if np.isnan(tau) else f"{tau:+.2f}"


def _label(selector: str, ratio: float, named: bool) -> str:
    return (
        f"{wording.name(selector)}\n{style.percent(ratio)}"
        if named and selector != EVERYTHING
        else style.percent(ratio)
    )
