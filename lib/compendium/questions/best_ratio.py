"""The best retention ratio for a task: a fitted curve, a price of data, and how sure the answer is.

Quality against the ratio is a power law that saturates, y = a - b R^-c, written by its *level* y(1) and its *rise*
y(1) - y(smallest ratio). The rise may be negative, and a curve is *flat* if the interval of its rise holds 0. A *price*
says how many points of quality a percent of the data is worth to somebody; NormDEL has a price that nobody chose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize

from compendium.published import table3
from meddel.config import check_ratio
from meddel.errors import MedDELError
from meddel.evidence import MEAN_SET

PARAMETERS, LEAST_RATIOS, DRAWS = 3, 4, 2000
EXPONENTS = (0.05, 4.0)
"""Bounds of c: from almost a logarithm to a curve that saturates at once."""
NEAR = 1.5
"""Two ratios agree if they differ by at most this factor."""
_STARTS, _GRID = (0.1, 0.6, 2.0), 300


@dataclass(frozen=True)
class Fit:
    """A fitted curve, and draws of what else it might be.

    Attributes
    ----------
    ratios, observed : float [k]
        Rising fractions, and the mean quality over the seeds.
    level, rise, exponent : float
    draws : float [m, 3]
        Level, rise and exponent, drawn from the fit's t distribution.
    noise : float [m]
        The deviation of the mean of the seeds about the curve, as each draw has it.
    """

    ratios: np.ndarray
    observed: np.ndarray
    level: float
    rise: float
    exponent: float
    draws: np.ndarray
    noise: np.ndarray

    def at(self, ratios: ArrayLike) -> np.ndarray:
        """Return the best fit at `ratios`: float [r]."""
        return _curve(np.asarray(ratios, float), self.ratios[0], self.level, self.rise, self.exponent)

    def drawn(self, ratios: ArrayLike) -> np.ndarray:
        """Return every draw's curve at `ratios`: float [m, r]."""
        return _curve(np.asarray(ratios, float), self.ratios[0], *self.draws.T[:, :, None])

    def rise_interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the rise."""
        return tuple(np.quantile(self.draws[:, 1], [0.025, 0.975]).tolist())

    @property
    def flat(self) -> bool:
        """Say whether the 95 % interval of the rise holds 0: the ratios can't be told apart."""
        low, high = self.rise_interval()
        return low <= 0 <= high


def fit(ratios: ArrayLike, values: ArrayLike, *, seed: int = 0) -> Fit:
    """Fit the curve to the qualities of one or several seeds.

    What all ratios of a seed share is taken out first: it moves the curve and favours no ratio.

    Parameters
    ----------
    ratios : float [k]
        Rising fractions in (0, 1], four or more.
    values : float [seeds, k]
        Qualities, fractions.
    seed : int
        Of the draws.
    """
    share, table = np.asarray(ratios, float), np.atleast_2d(np.asarray(values, float))
    _check(share, table)
    count = len(table)
    table = table - table.mean(axis=1, keepdims=True) + table.mean()
    observed = table.mean(axis=0)
    best, covariance = _solve(share, observed)
    curve = _curve(share, share[0], *best)
    freedom = table.size - PARAMETERS - (count - 1)
    noise = np.sqrt(((table - curve) ** 2).sum() / freedom / count)
    rng = np.random.default_rng(seed)
    # the noise is drawn too, because so few residuals know it badly
    drawn = noise * np.sqrt(freedom / rng.chisquare(freedom, DRAWS))
    draws = best + drawn[:, None] * rng.multivariate_normal(np.zeros(PARAMETERS), covariance, DRAWS, method="eigh")
    draws[:, 2] = np.clip(draws[:, 2], *EXPONENTS)
    return Fit(share, observed, *best.tolist(), draws, drawn)


def held_out(ratios: ArrayLike, values: ArrayLike, *, seed: int = 0) -> pd.DataFrame:
    """Leave each ratio out in turn, predict it by the curve through the others, and compare with what was observed.

    Columns: ratio, observed, predicted, low, high (the 95 % interval of a mean that was not seen), covered, outside
    (the smallest and the largest ratio, which are predicted from one side).
    """
    share, table = np.asarray(ratios, float), np.atleast_2d(np.asarray(values, float))
    rng, rows = np.random.default_rng(seed), []
    for place, ratio in enumerate(share):
        rest = np.arange(len(share)) != place
        fitted = fit(share[rest], table[:, rest], seed=seed)
        drawn = fitted.drawn([ratio])[:, 0] + rng.standard_normal(DRAWS) * fitted.noise
        low, high = np.quantile(drawn, [0.025, 0.975])
        seen, outside = float(table[:, place].mean()), place in (0, len(share) - 1)
        rows.append((ratio, seen, float(fitted.at([ratio])[0]), low, high, bool(low <= seen <= high), outside))
    return pd.DataFrame(rows, columns=["ratio", "observed", "predicted", "low", "high", "covered", "outside"])


def published_curves() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return Table 3 as ratios and qualities (float [1, 6]) by set, and all sets together as `MEAN_SET`.

    The paper has one run for each cell. For `MEAN_SET` the eight sets take the place of seeds: float [8, 6].
    """
    wide = table3().pivot(index="dataset", columns="ratio", values="miou").loc[table3().dataset.unique()]
    ratios = wide.columns.to_numpy(float)
    curves = {name: (ratios, row.to_numpy()[None]) for name, row in wide.iterrows()}
    return curves | {MEAN_SET: (ratios, wide.to_numpy())}


def study_fits(final: pd.DataFrame, name: str) -> tuple[dict[str, Fit], dict[str, str]]:
    """Fit every selector's foreground IoU on the set `name` of a study (`meddel.evidence.final_scores`).

    Returned are the curves by ``"head, selector"``, and why there is none where there is none, as of too few ratios.
    All data are the ratio 1; seeds that lack a ratio are left out.
    """
    part = final[(final.set == name) & (final.selector != "none")]
    fits, refused = {}, {}
    for head, selector in sorted(set(zip(part["head"], part.selector, strict=True))):
        mine = part[(part["head"] == head) & part.selector.isin([selector, "all"])]
        if selector == "all":
            continue
        wide = mine.pivot(index="seed", columns="ratio", values="foreground_iou").dropna()
        try:
            fits[f"{head}, {selector}"] = fit(wide.columns.to_numpy(float), wide.to_numpy())
        except MedDELError as error:
            refused[f"{head}, {selector}"] = str(error)
    return fits, refused


class Best(NamedTuple):
    """The best ratio at a price, among those between the smallest and the largest that were tried.

    `ratio` has the greatest expected worth over the draws; `low` and `high` are the 90 % interval of the draws' own
    best ratios, and `sure` the share of them within a factor `NEAR` of `ratio`.
    """

    ratio: float
    low: float
    high: float
    sure: float


def best(fitted: Fit, price: float) -> Best:
    """Return the ratio with the most quality minus price, where all of the data cost 100 times `price` points."""
    if not price >= 0:
        raise MedDELError(f"price {price} is below 0", fix="say how many points a percent of the data is worth to you")
    grid = np.geomspace(fitted.ratios[0], fitted.ratios[-1], _GRID)
    worth = fitted.drawn(grid) - price * grid
    own, chosen = grid[worth.argmax(axis=1)], int(worth.mean(axis=0).argmax())
    low, high = np.quantile(own, [0.05, 0.95])
    near = np.abs(np.log(own / grid[chosen])) <= np.log(NEAR) + 1e-9
    return Best(float(grid[chosen]), float(low), float(high), float(near.mean()))


def answers(fits: Mapping[str, Fit], price: float) -> pd.DataFrame:
    """Return a row for each curve: its rise with the interval, whether it is flat, and `Best` (fractions)."""
    rows = []
    for name, fitted in fits.items():
        low, high = fitted.rise_interval()
        known = {"curve": name, "rise": fitted.rise, "rise_low": low, "rise_high": high, "flat": fitted.flat}
        rows.append(known | best(fitted, price)._asdict())
    return pd.DataFrame(rows)


def _check(ratios: np.ndarray, table: np.ndarray) -> None:
    if ratios.ndim != 1 or table.shape[1:] != ratios.shape or not np.isfinite(table).all():
        raise MedDELError(f"values {table.shape} for ratios {ratios.shape}", fix="give one finite value per ratio")
    if not len(table) or len(ratios) < LEAST_RATIOS:
        what = f"{len(ratios)} ratios are too few for a curve of {PARAMETERS} parameters"
        raise MedDELError(what, fix=f"run the study at {LEAST_RATIOS} ratios or more, all data included")
    for ratio in ratios:
        check_ratio(ratio)
    if not (np.diff(ratios) > 0).all():
        raise MedDELError("the ratios don't rise", fix="sort them and give each once")


def _curve(ratios: np.ndarray, smallest: float, level: ArrayLike, rise: ArrayLike, exponent: ArrayLike) -> np.ndarray:
    return level - rise * (ratios**-exponent - 1) / (smallest**-exponent - 1)


def _solve(ratios: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return level, rise and exponent of the least-squares fit, and their covariance for noise of deviation 1."""

    def curve(at: np.ndarray, *parameters: float) -> np.ndarray:
        return _curve(at, ratios[0], *parameters)

    bounds = ((-np.inf, -np.inf, EXPONENTS[0]), (np.inf, np.inf, EXPONENTS[1]))
    known = {"sigma": np.ones(len(ratios)), "absolute_sigma": True, "bounds": bounds}
    found = []
    for start in _STARTS:  # there may be more than one minimum
        given = (values[-1], values[-1] - values[0], start)
        found.append(optimize.curve_fit(curve, ratios, values, given, **known))
    return min(found, key=lambda one: ((curve(ratios, *one[0]) - values) ** 2).sum())
