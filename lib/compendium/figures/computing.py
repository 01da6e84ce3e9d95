"""Where the seconds go: what every encoder of a run costs from nothing (section 4.4)."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from compendium.figures import style

_COLOURS = (style.BLUE, style.GREEN, style.PURPLE, style.RED)


def computing(totals: pd.DataFrame) -> Figure:
    """Draw the seconds of every step as stacked bars, one bar per encoder.

    Parameters
    ----------
    totals : DataFrame
        As `compendium.savings.seconds_from_nothing` returns it.

    Returns
    -------
    Figure
        A broken line marks what pre-training on all images takes.
    """
    table = totals.sort_values(["ratio", "selector", "compute"], ascending=False).reset_index(drop=True)
    steps = list(table.columns[table.columns.get_loc("compute") + 1 : table.columns.get_loc("total")])
    names = [_name(arm) for arm in table.itertuples()]
    with style.styled():
        figure, [axis] = style.new(1, 1, 8.0, 1.5 + 0.34 * len(table))
        left = 0 * table.total
        for step, colour in zip(steps, _COLOURS, strict=True):
            axis.barh(names, table[step], left=left, color=colour, height=0.62, label=step)
            left = left + table[step]
        axis.axvline(table.total[table.selector == "all"].iloc[0], color="black", linestyle="--", linewidth=1)
        axis.set_xlabel("wall-clock seconds, mean over seeds")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=len(steps))
        style.message(figure, "What each encoder costs from nothing; broken line: pre-training on all images")
    text = "; ".join(f"{name} {total:.1f}" for name, total in zip(names, table.total, strict=True))
    return style.describe(figure, f"Stacked bars of seconds per step. In total: {text}.")


def _name(arm: Any) -> str:
    name = style.NAMES.get(arm.selector, arm.selector)
    ratio = "" if arm.selector == "all" else f", {100 * arm.ratio:g} %"
    return f"{name}{ratio}" + ("" if arm.compute == 1 else f", {100 * arm.compute:g} % of the steps")
