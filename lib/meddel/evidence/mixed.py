"""A mixed model of the differences: one effect for all, and how much sets and seeds vary around it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from meddel.evidence.differences import seed_differences
from meddel.evidence.vocabulary import MEAN_SET, Reference


@dataclass(frozen=True)
class Mixed:
    """A fitted model: effect with interval and p value, and the standard deviations of its parts (fractions).

    Without a fit all numbers but `effect`, the plain mean, are NaN, and `because` says why.
    """

    effect: float
    low: float
    high: float
    p: float
    set_sd: float
    seed_sd: float
    rest_sd: float
    fitted: bool
    because: str


def mixed_model(differences: pd.DataFrame, level: float = 0.95) -> Mixed:
    """Fit ``difference ~ 1`` with random effects of set and seed (REML, statsmodels' MixedLM).

    The model assumes that a difference is the sum of one effect, a deviation of the set, a deviation of the seed (the
    same in all sets, because one encoder serves them) and a rest; that the three deviations are independent, normal and
    of one spread each; and that the sets and seeds are draws of those that the effect is to speak of. It does not know
    the test images: their chance is part of the rest. With few sets or seeds the spreads are known only roughly.

    Parameters
    ----------
    differences : DataFrame
        set, seed, difference: one row a set and seed, as `evidence.seed_differences` returns them for one arm.
    level : float
        Confidence level. The interval is Student's, with Satterthwaite's degrees of freedom for crossed effects.

    Returns
    -------
    Mixed
        Not fitted, with the reason, for one seed or one set (then a seed's deviation can't be told from the rest: use
        the paired t interval over seeds), equal differences, or where the fit does not converge.
    """
    table = differences[["set", "seed", "difference"]].reset_index(drop=True)
    sets, seeds = table["set"].nunique(), table.seed.nunique()
    mean = float(table.difference.mean()) if len(table) else math.nan
    if seeds < 2:
        return _unfitted(mean, "one seed: nothing varies that the effect could be set against")
    if sets < 2:
        return _unfitted(mean, "one set: the seeds' deviations can't be told from the rest; the t interval holds both")
    if table.difference.std() < 1e-12:
        return _unfitted(mean, "all differences are equal: there is no spread to model")
    scale = float(table.difference.std())  # the optimiser wants numbers near 1
    scaled = table.assign(difference=table.difference / scale)
    parts = {"set": "0 + C(set)", "seed": "0 + C(seed)"}
    with warnings.catch_warnings():
        # A spread of 0, which few sets and seeds often give, lies on the edge of what may be fitted and is warned of.
        warnings.simplefilter("ignore")
        try:
            model = MixedLM.from_formula("difference ~ 1", groups=np.ones(len(table)), vc_formula=parts, data=scaled)
            fit = model.fit(reml=True, method=["powell", "nm"])  # others stop early where a spread is near 0
            effect, error = float(fit.fe_params.iloc[0]), float(fit.bse_fe.iloc[0])
        except (np.linalg.LinAlgError, ValueError) as problem:
            return _unfitted(mean, f"the fit failed: {problem}")
    if not fit.converged or not (math.isfinite(error) and error > 1e-6):
        return _unfitted(mean, "the fit did not converge")
    variance = dict(zip(model.exog_vc.names, np.maximum(fit.vcomp, 0), strict=True))
    freedom = _freedom(variance["set"], variance["seed"], float(fit.scale), sets, seeds)
    half = stats.t.ppf(0.5 + level / 2, freedom) * error
    p = float(2 * stats.t.sf(abs(effect) / error, freedom))
    spreads = [scale * math.sqrt(part) for part in (variance["set"], variance["seed"], fit.scale)]
    return Mixed(scale * effect, scale * (effect - half), scale * (effect + half), p, *spreads, True, "fitted")


def mixed_differences(
    final: pd.DataFrame, against: Reference, metric: str = "foreground_iou", level: float = 0.95
) -> pd.DataFrame:
    """Fit `mixed_model` to the differences of every arm to a reference.

    Parameters
    ----------
    final, against, metric, level
        As for `evidence.paired_differences`; rows of the mean of the sets are left out.

    Returns
    -------
    DataFrame
        head, selector, ratio, against, sets, seeds, effect, low, high, p, set_sd, seed_sd, rest_sd, fitted, because.
    """
    pairs = seed_differences(final[final["set"] != MEAN_SET], against, metric)
    rows = []
    for key, group in pairs.groupby(["head", "selector", "ratio"], sort=True):
        counts = {"sets": group["set"].nunique(), "seeds": group.seed.nunique()}
        names = dict(zip(["head", "selector", "ratio"], key, strict=True))
        rows.append({**names, "against": against, **counts, **vars(mixed_model(group, level))})
    columns = ["head", "selector", "ratio", "against", "sets", "seeds", *Mixed.__dataclass_fields__]
    return pd.DataFrame(rows, columns=columns)


def _freedom(of_set: float, of_seed: float, rest: float, sets: int, seeds: int) -> float:
    """Satterthwaite's degrees of freedom of the mean of a crossed table, from its expected mean squares."""
    by_set, by_seed = seeds * of_set + rest, sets * of_seed + rest
    parts = by_set**2 / (sets - 1) + by_seed**2 / (seeds - 1) + rest**2 / ((sets - 1) * (seeds - 1))
    return float((by_set + by_seed - rest) ** 2 / parts)


def _unfitted(mean: float, because: str) -> Mixed:
    return Mixed(mean, *[math.nan] * 6, False, because)
