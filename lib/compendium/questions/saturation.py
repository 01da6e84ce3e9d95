"""Quality against the retention ratio as a power law that saturates, with its uncertainty: y = a - b R^-c.

For a given exponent c the curve is linear in the rest, so that the best fit is sought over c alone, on a fine grid: it
is the global one and takes microseconds, which a bootstrap needs. The curve is written by what a person can read off
it: its *level* y(1) and its *rise* y(1) - y(smallest ratio). The rise may be negative, as less data may be better, and
a curve is *flat* if the interval of its rise holds 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from compendium.published import table3
from meddel.config import check_ratio
from meddel.errors import MedDELError
from meddel.evidence import MEAN_SET

PARAMETERS, LEAST_RATIOS = 3, 4
EXPONENTS = np.geomspace(0.05, 4.0, 120)
"""Bounds and steps of c: from almost a logarithm to a curve that saturates at once."""
ENOUGH_SEEDS = 5
DRAWS = 2000
BY_SEEDS, BY_ERRORS = "seeds drawn again", "errors drawn again"


@dataclass(frozen=True)
class Fit:
    """A fitted curve and draws of what else it might be.

    Attributes
    ----------
    ratios : float [k]
        Rising fractions.
    observed : float [k]
        Mean quality over the seeds.
    seeds : int
        Curves that the mean is of.
    level, rise, exponent : float
        Of the best fit.
    draws : float [m, 3]
        Level, rise and exponent of the bootstrap's fits.
    sigma : float
        Deviation of one seed's value about the curve.
    sigmas : float [m]
        The same as each draw has it.
    misfit : float
        p value of the F test that the means lie on a curve of this form; small: they don't, and the intervals are too
        narrow. NaN for one seed.
    method : str
        `BY_SEEDS`, or `BY_ERRORS` where there are fewer than `ENOUGH_SEEDS`.
    """

    ratios: np.ndarray
    observed: np.ndarray
    seeds: int
    level: float
    rise: float
    exponent: float
    draws: np.ndarray
    sigma: float
    sigmas: np.ndarray
    misfit: float
    method: str

    def at(self, ratios: ArrayLike) -> np.ndarray:
        """Return the best fit at `ratios` (float [r]): float [r]."""
        at = np.atleast_1d(np.asarray(ratios, float))
        return self.level - self.rise * _shape(at, self.ratios[0], np.array([self.exponent]))[0]

    def drawn(self, ratios: ArrayLike) -> np.ndarray:
        """Return every draw's curve at `ratios` (float [r]): float [m, r]."""
        at = np.atleast_1d(np.asarray(ratios, float))
        shapes = _shape(at, self.ratios[0], self.draws[:, 2])
        return self.draws[:, :1] - self.draws[:, 1:2] * shapes

    def rise_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of the rise (fraction)."""
        low, high = np.quantile(self.draws[:, 1], [0.5 - level / 2, 0.5 + level / 2])
        return float(low), float(high)

    @property
    def flat(self) -> bool:
        """Whether the 95 % interval of the rise holds 0: the ratios can't be told apart."""
        low, high = self.rise_interval()
        return low <= 0 <= high


def fit(ratios: ArrayLike, values: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Fit:
    """Fit the curve to the qualities of one or several seeds.

    What all ratios of a seed share is taken out first: it moves the curve and favours no ratio. With `ENOUGH_SEEDS` the
    bootstrap draws seeds; with fewer it draws normal errors, whose variance is drawn as well because so few residuals
    know it badly.

    Parameters
    ----------
    ratios : array_like of float [k]
        Rising fractions in (0, 1], four or more.
    values : array_like of float [seeds, k]
        Qualities, fractions.
    draws : int
        Of the bootstrap.
    seed : int
        Of its chance.

    Returns
    -------
    Fit

    Raises
    ------
    MedDELError
        Too few ratios for a curve of three parameters, ratios that don't rise, or shapes that don't fit.
    """
    share, table = np.asarray(ratios, float), np.atleast_2d(np.asarray(values, float))
    _check(share, table)
    rng, count = np.random.default_rng(seed), len(table)
    table = table - table.mean(axis=1, keepdims=True) + table.mean()
    observed = table.mean(axis=0)
    best = _solve(share, observed[None])[0]
    curve = best[0] - best[1] * _shape(share, share[0], best[2:])[0]
    squares, freedom = float(((table - curve) ** 2).sum()), table.size - PARAMETERS - (count - 1)
    sigmas = np.sqrt(squares / rng.chisquare(freedom, draws))
    if count >= ENOUGH_SEEDS:
        means = table[rng.integers(0, count, (draws, count))].mean(axis=1)
        # a mean of seeds drawn again varies too little by (count - 1) / count, and as if their spread were known
        again = observed + (means - observed) * np.sqrt(count / rng.chisquare(count - 1, draws))[:, None]
    else:
        again = curve + rng.standard_normal((draws, len(share))) * sigmas[:, None] / np.sqrt(count)
    return Fit(
        ratios=share,
        observed=observed,
        seeds=count,
        level=float(best[0]),
        rise=float(best[1]),
        exponent=float(best[2]),
        draws=_solve(share, again),
        sigma=float(np.sqrt(squares / freedom)),
        sigmas=sigmas,
        misfit=_misfit(table, curve),
        method=BY_SEEDS if count >= ENOUGH_SEEDS else BY_ERRORS,
    )


def held_out(ratios: ArrayLike, values: ArrayLike, *, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Fit without one ratio, predict it, and see whether what was observed lies in the interval; for every ratio.

    Parameters
    ----------
    ratios, values
        As for `fit`, with five ratios or more.
    level : float
        Of the prediction's interval, which holds the noise of the mean that is predicted.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        ratio, observed, predicted, low, high (fractions), covered, outside (the ratio is the smallest or the largest,
        so that it is predicted from one side).
    """
    share, table = np.asarray(ratios, float), np.atleast_2d(np.asarray(values, float))
    rng, rows = np.random.default_rng(seed), []
    for place, ratio in enumerate(share):
        rest = np.arange(len(share)) != place
        fitted = fit(share[rest], table[:, rest], seed=seed)
        noise = rng.standard_normal(len(fitted.sigmas)) * fitted.sigmas / np.sqrt(fitted.seeds)
        drawn = fitted.drawn([ratio])[:, 0] + noise
        low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
        seen = float(table[:, place].mean())
        outside = place in (0, len(share) - 1)
        rows.append((ratio, seen, float(fitted.at([ratio])[0]), low, high, bool(low <= seen <= high), outside))
    return pd.DataFrame(rows, columns=["ratio", "observed", "predicted", "low", "high", "covered", "outside"])


def published_curves() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return Table 3 as ratios (float [6]) and qualities (float [1, 6]) by set, and all sets together as `MEAN_SET`.

    The paper has one run a cell. For `MEAN_SET` the eight sets stand in the place of seeds: float [8, 6].
    """
    wide = table3().pivot(index="dataset", columns="ratio", values="miou")
    wide = wide.loc[table3().dataset.unique()]
    ratios = wide.columns.to_numpy(float)
    return {name: (ratios, row.to_numpy()[None]) for name, row in wide.iterrows()} | {
        MEAN_SET: (ratios, wide.to_numpy())
    }


def study_curve(
    final: pd.DataFrame, name: str, head: str, selector: str, metric: str = "foreground_iou"
) -> tuple[np.ndarray, np.ndarray]:
    """Return one selector's ratios (float [k]) and qualities (float [seeds, k]) in a study; all data are the ratio 1.

    Parameters
    ----------
    final : DataFrame
        As `meddel.evidence.final_scores` returns it.
    name, head, selector, metric : str
        Which set, head, selector and score. Seeds that lack a ratio are left out.

    Raises
    ------
    MedDELError
        The study has no such curve.
    """
    part = final[(final.set == name) & (final["head"] == head) & final.selector.isin([selector, "all"])]
    wide = part.pivot(index="seed", columns="ratio", values=metric).dropna()
    if wide.empty:
        raise MedDELError(f"no scores of {selector} on {name}, head {head}", fix="run the study first")
    return wide.columns.to_numpy(float), wide.to_numpy()


def study_fits(final: pd.DataFrame, name: str, metric: str = "foreground_iou") -> tuple[dict[str, Fit], dict[str, str]]:
    """Fit every selector's curve on one set of a study.

    Parameters
    ----------
    final, name, metric
        As for `study_curve`.

    Returns
    -------
    fits : dict
        ``"head, selector"`` to curve.
    refused : dict
        The same to why there is none, such as too few ratios.
    """
    part = final[(final.set == name) & ~final.selector.isin(["none", "all"])]
    fits, refused = {}, {}
    for head, selector in sorted(part[["head", "selector"]].drop_duplicates().itertuples(index=False, name=None)):
        title = f"{head}, {selector}"
        try:
            fits[title] = fit(*study_curve(final, name, head, selector, metric))
        except MedDELError as error:
            refused[title] = str(error)
    return fits, refused


def _check(ratios: np.ndarray, table: np.ndarray) -> None:
    if ratios.ndim != 1 or table.shape[1:] != ratios.shape or not np.isfinite(table).all():
        raise MedDELError(f"values {table.shape} for ratios {ratios.shape}", fix="give one finite value per ratio")
    if len(ratios) < LEAST_RATIOS:
        what = f"{len(ratios)} ratios are too few for a curve of {PARAMETERS} parameters"
        raise MedDELError(what, fix=f"run the study at {LEAST_RATIOS} ratios or more, all data included")
    for ratio in ratios:
        check_ratio(ratio)
    if not (np.diff(ratios) > 0).all():
        raise MedDELError("the ratios don't rise", fix="sort them and give each once")


def _misfit(table: np.ndarray, curve: np.ndarray) -> float:
    """Return the p value of what the means deviate from the curve against what the seeds deviate from their means."""
    seeds, count = table.shape
    within = float(((table - table.mean(axis=0)) ** 2).sum())
    if seeds < 2 or within < 1e-18:
        return float("nan")
    lack, free = (
        seeds * float(((table.mean(axis=0) - curve) ** 2).sum()),
        (count - PARAMETERS, (seeds - 1) * (count - 1)),
    )
    return float(stats.f.sf(lack / free[0] / (within / free[1]), *free))


def _shape(ratios: np.ndarray, smallest: float, exponents: np.ndarray) -> np.ndarray:
    """Return what is missing of the level at `ratios`, 1 at the smallest and 0 at all data: float [e, r]."""
    powers = -exponents[:, None]
    return (ratios**powers - 1) / (smallest**powers - 1)


def _solve(ratios: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return level, rise and exponent of the least-squares fits to each row: float [m, k] to [m, 3]."""
    shapes = _shape(ratios, ratios[0], EXPONENTS)
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    scale = (centred**2).sum(axis=1)
    mean = values.mean(axis=1, keepdims=True)
    rises = -((values - mean) @ centred.T) / scale
    # the squares that an exponent explains: the best one explains most
    best = np.argmax(rises**2 * scale, axis=1)
    rise = np.take_along_axis(rises, best[:, None], axis=1)[:, 0]
    return np.stack([mean[:, 0] + rise * shapes.mean(axis=1)[best], rise, EXPONENTS[best]], axis=1)
