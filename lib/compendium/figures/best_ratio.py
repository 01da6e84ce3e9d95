"""Fitted curves of quality against the retention ratio, and the best ratio at every price of data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compendium.figures import style
from compendium.questions import best_ratio
from compendium.questions.saturation import Fit
from meddel.errors import MedDELError

_COLUMNS = 3
_TICKS = (0.05, 0.1, 0.2, 0.5, 1.0)


def ratio_curves(fits: Mapping[str, Fit], price: float, label: str = "mIoU (%)") -> Figure:
    """Draw every curve with its 95 % band, what was observed, and the best ratio at a price.

    Parameters
    ----------
    fits : mapping
        Title of the panel to curve.
    price : float
        Points of quality per percent of the data.
    label : str
        What the vertical axis says.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        There is no curve.
    """
    _refuse_none(fits)
    rows = math.ceil(len(fits) / _COLUMNS)
    columns, texts = min(len(fits), _COLUMNS), []
    with style.styled():
        figure, axes = style.new(rows, columns, 1 + 2.4 * columns, 0.9 + 1.75 * rows)
        for axis, (name, fitted) in zip(axes, fits.items(), strict=False):
            found = best_ratio.best(fitted, price)
            _curve(axis, fitted)
            axis.axvline(100 * found.ratio, color=style.RED, linewidth=1.2, linestyle="--")
            axis.set_title(f"{name}{', flat' if fitted.flat else ''}")
            texts.append(
                f"{name}: rise {100 * fitted.rise:+.1f} points{' (flat)' if fitted.flat else ''}, best ratio "
                f"{100 * found.ratio:.0f} % ({100 * found.low:.0f} to {100 * found.high:.0f})"
            )
        for axis in axes[len(fits) :]:
            axis.remove()
        figure.supxlabel("retention ratio (%)", fontsize=9)
        figure.supylabel(label, fontsize=9)
        style.message(
            figure, f"Fitted curves with 95 % bands; dashed, the best ratio at {price:g} points per percent of the data"
        )
    return style.describe(figure, f"{label} against retention ratio with fitted curves. {'; '.join(texts)}.")


def ratio_prices(fits: Mapping[str, Fit], prices: Sequence[float]) -> Figure:
    """Draw the best ratio against the price of data, with the 90 % interval of the draws' own best ratios.

    Parameters
    ----------
    fits : mapping
        Name to curve, up to five.
    prices : sequence of float
        Rising, above 0: points of quality per percent of the data.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        There is no curve.
    """
    _refuse_none(fits)
    colours = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY)
    texts = []
    with style.styled():
        figure, axes = style.new(1, len(fits), 1 + 2.4 * len(fits), 2.8, sharey=True)
        for axis, (name, fitted), colour in zip(axes, fits.items(), colours, strict=False):
            found = best_ratio.over_prices(fitted, prices)
            axis.fill_between(found.price, 100 * found.low, 100 * found.high, color=colour, alpha=0.2, linewidth=0)
            axis.plot(found.price, 100 * found.ratio, color=colour)
            axis.set_title(name)
            axis.set(xscale="log", yscale="log")
            ends = found.iloc[[0, -1]]
            texts.append(
                f"{name}: "
                + ", ".join(f"{100 * row.ratio:.0f} % at a price of {row.price:g}" for row in ends.itertuples())
            )
        _percent_ticks(axes[0].yaxis, 100 * np.array(_TICKS))
        axes[0].set_ylabel("best ratio (%)")
        figure.supxlabel("price: points of quality that a percent of the data is worth", fontsize=9)
        style.message(figure, "The best ratio follows the price (band: 90 % of the draws)")
    return style.describe(figure, f"Best retention ratio against the price of data. {'; '.join(texts)}.")


def _curve(axis: Axes, fitted: Fit) -> None:
    grid = np.geomspace(fitted.ratios[0], fitted.ratios[-1], 60)
    low, high = 100 * np.quantile(fitted.drawn(grid), [0.025, 0.975], axis=0)
    axis.fill_between(100 * grid, low, high, color=style.BLUE, alpha=0.2, linewidth=0)
    axis.plot(100 * grid, 100 * fitted.at(grid), color=style.BLUE)
    axis.plot(100 * fitted.ratios, 100 * fitted.observed, "o", color=style.BLUE, markersize=4)
    axis.set_xscale("log")
    _percent_ticks(axis.xaxis, 100 * np.array(_TICKS))


def _percent_ticks(axis: object, ticks: np.ndarray) -> None:
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def _refuse_none(fits: Mapping[str, Fit]) -> None:
    if not fits:
        raise MedDELError("no curve to draw", fix="fit one first")
