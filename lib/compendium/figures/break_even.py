"""After how many pre-trainings a selection has paid for itself (section 4.4)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from compendium.figures import style

_LOOKS = ((style.RED, "o"), (style.BLUE, "s"), (style.GREEN, "^"))


def break_even(curve: pd.DataFrame, ratio: float) -> Figure:
    """Draw what one to so many pre-trainings cost with a subset, against as many on all images.

    Parameters
    ----------
    curve : DataFrame
        As `compendium.savings.curve` returns it.
    ratio : float
        The share of the images that is kept.

    Returns
    -------
    Figure
        One line a case, with the span of the seeds; where it is below 100 %, selecting pays.
    """
    reached, said = [], []
    with style.styled():
        figure, [axis] = style.new(1, 1, 7.4, 3.9)
        for (case, line), (colour, marker) in zip(curve.groupby("case", sort=False), _LOOKS, strict=False):
            axis.fill_between(line.trainings, 100 * line.least, 100 * line.greatest, color=colour, alpha=0.2, lw=0)
            pays = line.trainings[line.share < 1]
            pays_when = f"from {pays.iloc[0]} on" if len(pays) else f"not up to {len(line)}"
            reached.append(f"{case}: {pays_when}")
            axis.plot(line.trainings, 100 * line.share, color=colour, marker=marker, markersize=4, label=reached[-1])
            said.append(f"{case}: {100 * line.share.iloc[0]:.0f} % for one, {100 * line.share.iloc[-1]:.0f} % for all")
        axis.axhline(100, color="black", linestyle="--", linewidth=1)
        axis.set(xlabel="pre-trainings that use the same subset", ylabel="cost (% of that of all images)")
        axis.set_ylim(0, None)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=1)
        style.message(figure, f"From how many pre-trainings on does selecting {100 * ratio:g} % of the images pay?")
    text = f"Lines of cost in % of as many pre-trainings on all images, for 1 to {curve.trainings.max()} of them."
    return style.describe(figure, f"{text} {'; '.join(said)}. Pays: {'; '.join(reached)}.")
