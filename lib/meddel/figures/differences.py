"""Paired differences with their intervals: what a comparison of two arms rests on (sections 4.3 and 4.6)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from meddel import evidence
from meddel.errors import MedDELError
from meddel.figures import style

_COLOURS = (style.RED, style.BLUE, style.GREEN, style.PURPLE, style.ORANGE)


def differences(judged: pd.DataFrame, claim: str, head: str, margin: float | None = None) -> Figure:
    """Draw the differences of one claim, one line per set and one colour per ratio, with intervals over the seeds.

    Parameters
    ----------
    judged : DataFrame
        As `meddel.verdicts.verdicts` returns it.
    claim : str
        Which of its claims.
    head : str
        Which head.
    margin : float, optional
        Equivalence margin (fraction), drawn as a grey band.

    Returns
    -------
    Figure
        In points of foreground IoU. One seed gives a dot without interval.

    Raises
    ------
    MedDELError
        There is no row of the claim and head.
    """
    table = judged[(judged.claim == claim) & (judged["head"] == head)]
    if table.empty:
        raise MedDELError(f"no differences for {claim!r}, head {head}", fix="run the study first")
    sets = sorted(table["set"].unique(), key=lambda name: (name != evidence.MEAN_SET, name))
    ratios = sorted(table.ratio.unique())
    step = 0.6 / len(ratios)
    with style.styled():
        figure, [axis] = style.new(1, 1, 7.2, 1.3 + 0.42 * len(sets))
        if margin is not None:
            axis.axvspan(-100 * margin, 100 * margin, color=style.LIGHT, alpha=0.4, linewidth=0)
        axis.axvline(0, color=style.GREY, linewidth=1)
        for place, ratio in enumerate(ratios):
            part = table[table.ratio == ratio]
            y = part["set"].map(sets.index) + step * (place - (len(ratios) - 1) / 2)
            colour = _COLOURS[place % len(_COLOURS)]
            axis.hlines(y, 100 * part.low, 100 * part.high, color=colour, linewidth=2)
            axis.plot(100 * part.difference, y, "o", color=colour, markersize=5, label=f"{100 * ratio:g} %")
        axis.set(yticks=range(len(sets)), yticklabels=sets, xlabel="difference (points of foreground IoU)")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=len(ratios))
        style.message(figure, f"{claim}? Differences over {table.seeds.max()} seeds, head {head}")
    numbers = ["ratio", "difference", "low", "high"]
    points = table.assign(**{name: 100 * table[name] for name in numbers})
    text = "; ".join(
        f"{row.set} at {row.ratio:g} %: {row.difference:+.1f} ({row.low:+.1f} to {row.high:+.1f})"
        for row in points.itertuples()
    )
    return style.describe(figure, f"Paired differences in points of foreground IoU, {claim}, head {head}: {text}.")
