"""What the kernels' certified screen computes and what it does not, as pictures."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from compendium.figures import style
from meddel.images import screen

_TIERS = (
    ("never computed", "white"),
    ("int8 is enough", style.LIGHT),
    ("also in float32", style.BLUE),
    ("also in float64", style.RED),
)


def rounding(row: np.ndarray, values: int = 32) -> Figure:
    """Draw the first values of a row beside the whole numbers that stand for them, and what is left over.

    Parameters
    ----------
    row : float [d]
    values : int
        How many are drawn.
    """
    made = screen.rounded(row[None])
    scale, whole = made.scale[0], made.whole[0, :values].astype(int)
    place = np.arange(len(whole))
    with style.styled():
        figure, [upper, lower] = style.new(2, 1, 7.6, 4.0, sharex=True, height_ratios=(3, 1))
        upper.bar(place, row[:values], color=style.SKY, width=0.8, label="value, float64")
        upper.plot(place, scale * whole, "_", color="black", markersize=8, markeredgewidth=1.6, label="s q")
        for at, number in zip(place, whole, strict=True):
            above = number >= 0
            upper.annotate(
                str(number), (at, scale * number), (0, 4 if above else -4), textcoords="offset points",
                ha="center", va="bottom" if above else "top", fontsize=7,
            )  # fmt: skip
        upper.set(ylabel="value")
        upper.margins(y=0.16)
        upper.legend(loc="best")
        lower.bar(place, row[:values] / scale - whole, color=style.ORANGE, width=0.8)
        lower.set(ylim=(-0.6, 0.6), yticks=(-0.5, 0, 0.5), ylabel="rest / s", xlabel="column")
        share = made.rest[0] / max(made.length[0], np.finfo(float).tiny)
        style.message(figure, f"A row as whole numbers q times one scale s: the rest is {share:.2%} of its length")
    return style.describe(
        figure,
        f"Bars of the first {len(whole)} values of a row with whole numbers from {whole.min()} to {whole.max()} above "
        f"them, scale {scale:.3g}; below, what rounding leaves, within half a step. Length of the rest "
        f"{made.rest[0]:.3g}, of the rounded row {made.length[0]:.3g}.",
    )


def slack(error: np.ndarray, bound: np.ndarray) -> Figure:
    """Draw how much of the bound the screen's error takes up, for all pairs.

    Parameters
    ----------
    error, bound : float [n, k]
        As `meddel.images.screen.screen` returns them.
    """
    used = 100 * np.abs(error[bound > 0]) / bound[bound > 0]
    middle, most = np.median(used), used.max()
    with style.styled():
        figure, [axis] = style.new(1, 1, 6.4, 3.0)
        axis.hist(used, bins=np.linspace(0, 105, 106), weights=np.full(used.size, 100 / used.size), color=style.BLUE)
        axis.axvline(100, color=style.RED, linestyle="--")
        axis.text(99, 0.95, "the bound", color=style.RED, ha="right", va="top", transform=axis.get_xaxis_transform())
        axis.set(xlabel="error of the int8 product (% of its bound)", ylabel="pairs (%)", xlim=(0, 105))
        style.message(figure, f"The error never passes its bound: the largest of {used.size:,} takes up {most:.0f} %")
    return style.describe(
        figure,
        f"Histogram of the int8 product's error in percent of its bound over {used.size:,} pairs of a row and a "
        f"centroid: median {middle:.1f}, largest {most:.1f}.",
    )


def decisions(decided: np.ndarray, rows: str, columns: str, message: str) -> Figure:
    """Draw the table of all pairs, each coloured by the last tier that looked at it.

    Parameters
    ----------
    decided : int8 [n, k]
        As `meddel.images.screen.screen` returns it.
    rows, columns : str
        Labels of the axes.
    message : str
        The one message.
    """
    counts = np.bincount(decided.ravel(), minlength=len(_TIERS))
    with style.styled():
        n, k = decided.shape
        wide = float(np.clip(5.2 * k / n, 2.2, 5.4))
        figure, [axis] = style.new(1, 1, wide + 2.4, 5.0)
        axis.imshow(
            decided, cmap=ListedColormap([colour for _, colour in _TIERS]), vmin=-0.5, vmax=len(_TIERS) - 0.5,
            aspect="auto", interpolation="nearest",
        )  # fmt: skip
        axis.set(xlabel=columns, ylabel=rows)
        axis.grid(visible=False)
        shown = [tier for tier, count in enumerate(counts) if count]
        patches = [Patch(facecolor=_TIERS[tier][1], edgecolor=style.GREY, linewidth=0.5) for tier in shown]
        labels = [f"{_TIERS[tier][0]}: {counts[tier]:,} ({counts[tier] / decided.size:.2%})" for tier in shown]
        figure.legend(patches, labels, loc="outside lower left", ncols=1 if wide < 4 else 2)
        style.message(figure, message)
    text = "; ".join(f"{name} {count:,}" for (name, _), count in zip(_TIERS, counts, strict=True))
    return style.describe(figure, f"A table of {n:,} {rows} by {k:,} {columns}, a cell for each pair. {text}.")
