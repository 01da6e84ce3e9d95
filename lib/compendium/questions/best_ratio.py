"""The ratio that a person should take at their own price of data, and how sure that is.

A *price* says how many points of quality a percent of the data is worth to them. The best ratio makes quality minus
price most, within the ratios that were tried: no curve is trusted below the smallest of them. NormDEL is this with a
price that nobody chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from compendium.questions.saturation import Fit
from meddel import wording
from meddel.errors import MedDELError

NEAR = 1.5
"""Two ratios agree if they differ by at most this factor."""
_GRID = 300


@dataclass(frozen=True)
class Best:
    """The best ratio at a price.

    Attributes
    ----------
    price : float
        Points of quality that a percent of the data costs.
    ratio : float
        What to take: the ratio with the greatest expected worth over the draws.
    low, high : float
        90 % interval of the draws' own best ratios.
    sure : float
        Share of the draws whose own best ratio lies within a factor `NEAR` of `ratio`.
    regret : float
        Expected loss to one who knew the curve (fraction of quality, price included).
    """

    price: float
    ratio: float
    low: float
    high: float
    sure: float
    regret: float


def best(fitted: Fit, price: float) -> Best:
    """Return the best ratio of a fitted curve at a price.

    Parameters
    ----------
    fitted : Fit
        Of `compendium.questions.saturation`.
    price : float
        Points of quality per percent of the data, 0 or more: at 0.02 all of the data cost two points.

    Raises
    ------
    MedDELError
        The price is below 0 or no number.
    """
    if not price >= 0:
        raise MedDELError(f"price {price} is below 0", fix="say how many points a percent of the data is worth to you")
    grid = np.geomspace(fitted.ratios[0], fitted.ratios[-1], _GRID)
    worth = fitted.drawn(grid) - price * grid
    own = grid[worth.argmax(axis=1)]
    chosen = int(worth.mean(axis=0).argmax())
    low, high = np.quantile(own, [0.05, 0.95])
    near = np.abs(np.log(own / grid[chosen])) <= np.log(NEAR) + 1e-9
    regret = (worth.max(axis=1) - worth[:, chosen]).mean()
    return Best(price, float(grid[chosen]), float(low), float(high), float(near.mean()), float(regret))


def table(fits: Mapping[str, Fit], price: float) -> pd.DataFrame:
    """Return what the curves say at one price.

    Returns
    -------
    DataFrame
        curve, seeds, rise, rise_low, rise_high (fractions), flat, misfit (`Fit`'s), then `Best`'s ratio, low, high,
        sure, regret.
    """
    rows = []
    for name, fitted in fits.items():
        found = best(fitted, price)
        answer = (found.ratio, found.low, found.high, found.sure, found.regret)
        rows.append((name, fitted.seeds, fitted.rise, *fitted.rise_interval(), fitted.flat, fitted.misfit, *answer))
    columns = [
        "curve",
        "seeds",
        "rise",
        "rise_low",
        "rise_high",
        "flat",
        "misfit",
        "ratio",
        "low",
        "high",
        "sure",
        "regret",
    ]
    return pd.DataFrame(rows, columns=columns)


def readable(answers: pd.DataFrame) -> pd.DataFrame:
    """Return what `table` returned in percent and points, with intervals in words, for people."""
    rises = zip(answers.rise, answers.rise_low, answers.rise_high, strict=True)
    return pd.DataFrame(
        {
            "curve": answers.curve,
            "rise from the smallest ratio to all": [wording.points(*rise) for rise in rises],
            "flat": answers.flat,
            "p of the form": answers.misfit.round(3),
            "best ratio (%)": (100 * answers.ratio).round(1),
            "90 % of the draws": [
                f"{100 * low:.0f} to {100 * high:.0f} %" for low, high in zip(answers.low, answers.high, strict=True)
            ],
            "sure (%)": (100 * answers.sure).round(0),
            "expected regret (points)": (100 * answers.regret).round(2),
        }
    )


def over_prices(fitted: Fit, prices: Sequence[float]) -> pd.DataFrame:
    """Return `Best` at several prices: price, ratio, low, high, sure, regret."""
    return pd.DataFrame([vars(best(fitted, price)) for price in prices])
