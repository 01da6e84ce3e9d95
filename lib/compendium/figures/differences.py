"""Paired differences with their intervals: what a comparison of two arms rests on (sections 4.3 and 4.6)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from compendium.figures import style
from meddel import evidence, wording
from meddel.errors import MedDELError
from meddel.evidence import verdicts


@style.styled()
def sensitivity(final: pd.DataFrame) -> Figure:
    """Draw the foreground IoU of no pre-training and of all images, a point per seed, a line per set and head.

    `final` is as `evidence.final_scores` returns it, with `evidence.with_mean_of_sets`.
    """
    ends = final[final.selector.isin(["none", "all"])]
    places = sorted(set(zip(ends["set"], ends["head"], strict=True)), key=lambda at: (at[0] != evidence.MEAN_SET, *at))
    figure, [axis] = style.new(1, 1, 7.2, 1.3 + 0.32 * len(places))
    for selector, marker in (("none", "o"), ("all", "s")):
        part = ends[ends.selector == selector]
        y = [places.index(place) for place in zip(part["set"], part["head"], strict=True)]
        looks = {"color": style.ARMS[selector], "label": style.NAMES[selector], "alpha": 0.8}
        axis.scatter(100 * part.foreground_iou, y, marker=marker, s=30, **looks)
    axis.set(yticks=range(len(places)), yticklabels=[", ".join(place) for place in places])
    axis.set(xlabel="test foreground IoU (%), a point per seed")
    means = 100 * ends.groupby(["set", "head", "selector"]).foreground_iou.mean()
    text = "; ".join(f"{' '.join(at)}: {means[*at, 'none']:.1f} against {means[*at, 'all']:.1f}" for at in places)
    return style.finish(
        figure,
        "Does pre-training on all images move the points to the right?",
        f"Dots of test foreground IoU per seed. Means in %, no pre-training against all images: {text}.",
        legend=2,
    )


def differences(judged: pd.DataFrame, claim: str, head: str, margin: float | None = None) -> Figure:
    """Draw the differences of one claim, a line per set and a colour per ratio, with intervals over the seeds.

    `judged` is as `verdicts.verdicts` returns it; `margin`, of equivalence (fraction), is a grey band.
    """
    table = judged[(judged.claim == claim) & (judged["head"] == head)].assign(line=lambda frame: frame["set"])
    if table.empty:
        raise MedDELError(f"no differences for {claim!r}, head {head}", fix="run the study first")
    sets = sorted(table["set"].unique(), key=lambda name: (name != evidence.MEAN_SET, name))
    text = "; ".join(
        f"{row.set} at {style.percent(row.ratio)}: {wording.points(row.difference, row.low, row.high)}"
        for row in table.itertuples()
    )
    return _draw(
        table, {name: name for name in sets}, margin,
        f"{claim}? Differences over {table.seeds.max()} seeds, head {head}",
        f"Paired differences of foreground IoU, {claim}, head {head}: {text}.",
    )  # fmt: skip


def against_random(judged: pd.DataFrame, resampled: pd.DataFrame, set_name: str, head: str) -> Figure:
    """Draw every selector's difference to random, a colour per ratio, with both of its intervals.

    `judged` is as `verdicts.verdicts` returns it, `resampled` as `evidence.hierarchical_intervals` against random. A
    thick line is the interval over seeds, a thin one that over test images too; a dot is filled where the verdict is
    "reproduced".
    """
    table = judged[judged.claim == judged.selector.map(verdicts.beats_random)]
    table = table[(table["set"] == set_name) & (table["head"] == head)]
    if table.empty:
        raise MedDELError(f"no differences to random of {set_name!r}, head {head}", fix="run the study first")
    wider = resampled[[*evidence.ARM, "low", "high"]]
    table = table.merge(wider, on=evidence.ARM, how="left", suffixes=("", "_images")).assign(line=table.selector.array)
    selectors = sorted(table.selector.unique(), key=wording.place)
    text = "; ".join(
        f"{wording.name(row.selector)} at {style.percent(row.ratio)}: "
        f"{wording.points(row.difference, row.low, row.high)}, "
        f"{wording.points(row.difference, row.low_images, row.high_images).split('points ')[1]} over images too, "
        f"{row.verdict}"
        for row in table.itertuples()
    )
    return _draw(
        table, {name: wording.name(name) for name in selectors}, None,
        f"Which selection beats a random one? {set_name[0].upper()}{set_name[1:]}, head {head}",
        f"Paired differences to random, {set_name}, head {head}, two intervals each: {text}.",
    )  # fmt: skip


@style.styled()
def _draw(table: pd.DataFrame, lines: dict[str, str], margin: float | None, message: str, alt: str) -> Figure:
    """Draw the rows of `table`, each on the line that its column ``line`` names, in points."""
    ratios = sorted(table.ratio.unique())
    step = 0.7 / len(ratios)
    figure, [axis] = style.new(1, 1, 7.2, 1.3 + len(lines) * max(0.4, 0.14 * len(ratios)))
    if margin is not None:
        axis.axvspan(-100 * margin, 100 * margin, color=style.LIGHT, alpha=0.4, linewidth=0)
    axis.axvline(0, color=style.GREY, linewidth=1)
    for place, (ratio, colour) in enumerate(zip(ratios, style.colours(len(ratios)), strict=True)):
        part = table[table.ratio == ratio]
        y = part.line.map(list(lines).index) + step * (place - (len(ratios) - 1) / 2)
        axis.hlines(y, 100 * part.low, 100 * part.high, color=colour, linewidth=3, alpha=0.55)
        if "low_images" in part:
            axis.hlines(y, 100 * part.low_images, 100 * part.high_images, color=colour, linewidth=0.9)
        sure = part.verdict == "reproduced"
        axis.plot(100 * part.difference[sure], y[sure], "o", color=colour, markersize=5)
        axis.plot(100 * part.difference[~sure], y[~sure], "o", color=colour, markerfacecolor="white", markersize=5)
        axis.plot([], [], "o", color=colour, label=style.percent(ratio))
    axis.set(yticks=range(len(lines)), yticklabels=lines.values(), ylim=(len(lines) - 0.5, -0.5))
    axis.set(xlabel="difference (points of foreground IoU); filled: reproduced")
    axis.grid(axis="y", visible=False)
    return style.finish(figure, message, alt, legend=min(len(ratios), 6))
