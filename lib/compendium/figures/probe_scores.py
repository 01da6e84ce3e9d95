"""Scores of frozen encoders on labelled sets: a dot per seed, an arm a line, a set a panel."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from compendium.figures import style
from meddel.errors import MedDELError

_OTHERS = (style.GREEN, style.PURPLE, style.SKY)


def probe_scores(table: pd.DataFrame, metric: str = "auc", label: str = "area under the ROC curve (%)") -> Figure:
    """Draw what each arm reached on each set.

    Parameters
    ----------
    table : DataFrame
        As `compendium.questions.modalities.scores` returns it.
    metric, label : str
        Which column, and what the axis says.

    Returns
    -------
    Figure
        Bars are means over the seeds.

    Raises
    ------
    MedDELError
        The table is empty.
    """
    if table.empty:
        raise MedDELError("no scores to draw", fix="run the probes first")
    sets = list(table["set"].unique())
    arms = list(table[["selector", "ratio"]].drop_duplicates().itertuples(index=False, name=None))
    others = iter(_OTHERS)
    colours = {name: style.ARMS.get(name) or next(others) for name, _ in arms}
    labels = [f"{style.NAMES.get(name, name)}{f', {100 * ratio:g} %' if 0 < ratio < 1 else ''}" for name, ratio in arms]
    with style.styled():
        figure, axes = style.new(1, len(sets), max(4.5, 1.2 + 2.3 * len(sets)), 1.4 + 0.34 * len(arms), sharey=True)
        for axis, name in zip(axes, sets, strict=True):
            part = table[table["set"] == name]
            for place, (selector, ratio) in enumerate(arms):
                values = 100 * part[(part.selector == selector) & (part.ratio == ratio)][metric]
                axis.plot(values, [place] * len(values), "o", color=colours[selector], alpha=0.7, markersize=5)
                axis.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=colours[selector], linewidth=2.5)
            axis.set_title(f"{name} ({part.modality.iloc[0]})")
        axes[0].set(yticks=range(len(arms)), yticklabels=labels)
        axes[0].invert_yaxis()
        figure.supxlabel(label, fontsize=9)
        style.message(figure, "Which images to pre-train on: a dot per seed, a bar for their mean")
    means = 100 * table.groupby(["set", "selector"], sort=False)[metric].mean()
    text = "; ".join(f"{name}, {style.NAMES.get(arm, arm)}: {value:.1f}" for (name, arm), value in means.items())
    return style.describe(figure, f"Dots of {label} per seed. Means: {text}.")
