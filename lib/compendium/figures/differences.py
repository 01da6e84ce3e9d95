"""Paired differences with their intervals: what a comparison of two arms rests on (sections 4.3 and 4.6)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from compendium import verdicts
from compendium.figures import style
from meddel import evidence, wording
from meddel.errors import MedDELError


def differences(judged: pd.DataFrame, claim: str, head: str, margin: float | None = None) -> Figure:
    """Draw the differences of one claim, one line per set and one colour per ratio, with intervals over the seeds.

    Parameters
    ----------
    judged : DataFrame
        As `compendium.verdicts.verdicts` returns it.
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
    colours = style.colours(len(ratios))
    with style.styled():
        figure, [axis] = style.new(1, 1, 7.2, 1.3 + 0.42 * len(sets))
        if margin is not None:
            axis.axvspan(-100 * margin, 100 * margin, color=style.LIGHT, alpha=0.4, linewidth=0)
        axis.axvline(0, color=style.GREY, linewidth=1)
        for place, ratio in enumerate(ratios):
            part = table[table.ratio == ratio]
            y = part["set"].map(sets.index) + step * (place - (len(ratios) - 1) / 2)
            axis.hlines(y, 100 * part.low, 100 * part.high, color=colours[place], linewidth=2)
            axis.plot(100 * part.difference, y, "o", color=colours[place], markersize=5, label=f"{100 * ratio:g} %")
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


def against_random(judged: pd.DataFrame, resampled: pd.DataFrame, set_name: str, head: str) -> Figure:
    """Draw every selector's difference to random, one colour per ratio, with both of its intervals.

    Parameters
    ----------
    judged : DataFrame
        As `compendium.verdicts.verdicts` returns it; its rows that compare with random are drawn.
    resampled : DataFrame
        As `evidence.hierarchical_intervals` returns it against random.
    set_name, head : str
        Which set (or `evidence.MEAN_SET`) and head.

    Returns
    -------
    Figure
        In points of foreground IoU: a thick line for the t interval over seeds, a thin one with ends for the
        hierarchical bootstrap; a filled dot where the verdict is "reproduced". One seed gives a dot without intervals.

    Raises
    ------
    MedDELError
        There is no row of the set and head.
    """
    keys = [*evidence.ARM]
    table = judged[judged.claim == judged.selector.map(verdicts.beats_random)]
    table = table[(table["set"] == set_name) & (table["head"] == head)]
    if table.empty:
        raise MedDELError(f"no differences to random of {set_name!r}, head {head}", fix="run the study first")
    table = table.merge(resampled[[*keys, "low", "high"]], on=keys, how="left", suffixes=("", "_images"))
    selectors = sorted(table.selector.unique(), key=wording.place)
    ratios = sorted(table.ratio.unique())
    step = 0.8 / len(ratios)
    with style.styled():
        figure, [axis] = style.new(1, 1, 7.2, 1.4 + len(selectors) * max(0.3, 0.14 * len(ratios)))
        axis.axvline(0, color=style.GREY, linewidth=1)
        for place, (ratio, colour) in enumerate(zip(ratios, style.colours(len(ratios)), strict=True)):
            part = table[table.ratio == ratio]
            y = part.selector.map(selectors.index) + step * (place - (len(ratios) - 1) / 2)
            axis.hlines(y, 100 * part.low, 100 * part.high, color=colour, linewidth=3, alpha=0.55)
            for column in ("low_images", "high_images"):
                axis.plot(100 * part[column], y, "|", color=colour, markersize=7)
            axis.hlines(y, 100 * part.low_images, 100 * part.high_images, color=colour, linewidth=0.9)
            for reproduced, face in ((True, colour), (False, "white")):
                dots = (part.verdict == "reproduced") == reproduced
                axis.plot(100 * part.difference[dots], y[dots], "o", color=colour, markerfacecolor=face, markersize=5)
            axis.plot([], [], "o", color=colour, label=f"{100 * ratio:g} %")
        axis.set(yticks=range(len(selectors)), yticklabels=[wording.name(name) for name in selectors])
        axis.set(xlabel="difference to random (points of foreground IoU)", ylim=(len(selectors) - 0.5, -0.5))
        axis.grid(axis="y", visible=False)
        figure.legend(loc="outside lower center", ncols=min(len(ratios), 6))
        style.message(figure, f"Which selection beats a random one? {set_name[0].upper()}{set_name[1:]}, head {head}")
    text = "; ".join(
        f"{wording.name(row.selector)} at {100 * row.ratio:g} %: {wording.points(row.difference, row.low, row.high)}, "
        f"{wording.points(row.difference, row.low_images, row.high_images).split('points ')[1]} over images too, "
        f"{row.verdict}"
        for row in table.itertuples()
    )
    return style.describe(figure, f"Paired differences to random, {set_name}, head {head}, two intervals each: {text}.")
