"""What a fault in the pool costs as its share rises, and how much more it costs in medical than in natural images."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from compendium.figures import style
from compendium.questions import quality
from meddel.errors import MedDELError

_COLOURS = {quality.MEDICAL: style.RED, quality.NATURAL: style.BLUE}


def dose_response(table: pd.DataFrame) -> Figure:
    """Draw the change of AUC against the share of spoilt images, a panel a fault, a thin line per seed.

    Parameters
    ----------
    table : DataFrame
        As `compendium.questions.quality.scores` returns it.

    Returns
    -------
    Figure
        Thick lines are means over the seeds; dotted, no pre-training. Points of AUC against the clean pool of the same
        seed.

    Raises
    ------
    MedDELError
        The table holds no fault.
    """
    kinds = [kind for kind in table.kind.unique() if kind not in (quality.NONE, quality.CLEAN)]
    if not kinds:
        raise MedDELError("no fault to draw", fix="run the doses first")
    clean = table[table.kind == quality.CLEAN].set_index(["domain", "seed"]).auc
    change = table.join(clean.rename("clean"), on=["domain", "seed"])
    change["change"] = 100 * (change.auc - change.clean)
    with style.styled():
        figure, axes = style.new(1, len(kinds), 1 + 1.75 * len(kinds), 3.0, sharey=True)
        for axis, kind in zip(axes, kinds, strict=True):
            axis.axhline(0, color=style.GREY, linewidth=0.8)
            for domain, part in change.groupby("domain", sort=False):
                colour = _COLOURS[domain]
                own = part[part.kind.isin([kind, quality.CLEAN])].sort_values("dose")
                for _, line in own.groupby("seed"):
                    axis.plot(100 * line.dose, line.change, color=colour, linewidth=0.6, alpha=0.5)
                mean = own.groupby("dose").change.mean()
                axis.plot(100 * mean.index, mean, "o-", color=colour, linewidth=2, markersize=4, label=domain)
                none = part[part.kind == quality.NONE].change.mean()
                axis.axhline(none, color=colour, linestyle=":", linewidth=1.2)
            axis.set_title(kind)
        axes[0].set_ylabel("AUC against the clean pool (points)")
        axes[len(kinds) // 2].set_xlabel("share of the pool that is spoilt (%)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        style.message(figure, "Does a fault cost more in medical images? Dotted: no pre-training at all")
    slopes = quality.slopes(table)
    text = "; ".join(f"{row.domain}, {row.kind}: {100 * row.slope:+.1f}" for row in slopes.itertuples())
    return style.describe(
        figure, f"Change of AUC with the share of spoilt images. Slopes in points from 0 to 100 %: {text}."
    )


def slope_differences(found: pd.DataFrame) -> Figure:
    """Draw medical minus natural slopes with their intervals.

    Parameters
    ----------
    found : DataFrame
        As `compendium.questions.quality.differences` returns it.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        There is no difference.
    """
    if found.empty:
        raise MedDELError("no difference to draw: there is one domain only", fix="give data of both")
    with style.styled():
        figure, [axis] = style.new(1, 1, 6.5, 1.3 + 0.34 * len(found))
        axis.axvline(0, color=style.GREY, linewidth=1)
        places = range(len(found))
        axis.hlines(places, 100 * found.low, 100 * found.high, color=style.PURPLE, linewidth=2)
        axis.plot(100 * found.difference, places, "o", color=style.PURPLE)
        axis.set(yticks=places, yticklabels=found.kind, xlabel="medical minus natural slope (points of AUC)")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        style.message(figure, "Left of 0, a fault costs more in medical images; 95 % intervals over seeds")
    text = "; ".join(
        f"{row.kind}: {100 * row.difference:+.1f} ({100 * row.low:+.1f} to {100 * row.high:+.1f})"
        for row in found.itertuples()
    )
    return style.describe(figure, f"Medical minus natural slopes in points of AUC from 0 to 100 % spoilt: {text}.")
