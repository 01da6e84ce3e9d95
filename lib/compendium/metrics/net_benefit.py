"""Net benefit: the share of pre-training's gain that a subset keeps, minus a stated price for the data that it takes.

With Q the quality, R the share of the data and lambda the price,

    kept(R) = (Q(R) - Q(none)) / (Q(all) - Q(none)),    net benefit = kept(R) - lambda R.

The price is the share of the whole gain that a person would give up to do without all of the data. It is 0 for who
counts quality only, and 1 for who finds all data just not worth their gain. What follows from the formula, wherever all
data clearly gain over none: no pre-training has 0, all data have 1 - lambda, all data's quality from no data would have
1; it rises with quality and falls with data; a change of the unit or of the zero of quality changes nothing; two arms
tie at the same price whatever else was tried. R may be the share of images, of bytes or of seconds.

Where the gain is not clearly above 0 the share that a subset keeps of it is no number, and the metric says so. The
interval is Fieller's for the ratio of two paired means: it is bounded exactly where the t interval of the gain lies
above 0, so that one condition serves for both.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from compendium.metrics.cells import EVERYTHING, WITHOUT_DATA, checked, published_medians
from compendium.metrics.envelope import reigns
from compendium.metrics.no_pretraining import published_reference
from compendium.metrics.properties import price_of_data
from meddel.errors import MedDELError
from meddel.evidence import MARGIN, interval, seed_differences

DEFINED = "defined"
NO_GAIN = "undefined: all data do not clearly gain over none"
ONE_SEED = "undefined: one seed gives no interval"
WITHIN_MARGIN = "undefined: one run, and a gain within {points:g} points"
ONE_RUN = "one run, no interval"
COLUMNS = [
    "set", "head", "selector", "ratio", "seeds", "gain", "gain_low", "gain_high", "kept", "kept_low", "kept_high",
    "net_benefit", "low", "high", "state",
]  # fmt: skip


def net_benefit(
    quality: ArrayLike, ratio: ArrayLike, none: ArrayLike, everything: ArrayLike, price: float
) -> float | np.ndarray:
    """Return the net benefit of measured qualities, without regard to their uncertainty.

    Parameters
    ----------
    quality, none, everything : array_like of float
        Quality of the arm, of no pre-training and of pre-training on all data, in any one unit.
    ratio : array_like of float
        Share of the data, in [0, 1].
    price : float
        Share of the whole gain that all data may cost, not negative.

    Returns
    -------
    float or ndarray
        Of the broadcast shape.

    Raises
    ------
    MedDELError
        `everything` is not above `none`, or a ratio or the price is outside its range.
    """
    arm, floor, top, share = (np.asarray(value, dtype=float) for value in (quality, none, everything, ratio))
    if not np.all(top > floor):
        raise MedDELError("all data gain nothing over none, so no share of the gain exists", fix="report the qualities")
    if not np.all((share >= 0) & (share <= 1)):
        raise MedDELError("a share of the data is outside [0, 1]", fix="give fractions")
    values = (arm - floor) / (top - floor) - _checked(price) * share
    return float(values) if values.ndim == 0 else values


def price_of(points: float, gain: float) -> float:
    """Return the price of who would give up `points` of quality to do without all data, where these gain `gain`.

    Both in the same unit; the gain must be positive.
    """
    if not gain > 0:
        raise MedDELError(f"a gain of {gain:g} has no price", fix="report the qualities")
    return _checked(points / gain)


def ratio_of_means(above: ArrayLike, below: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Return the ratio of two paired means and Fieller's interval of it.

    Parameters
    ----------
    above, below : array_like of float [n]
        Numerator and denominator, one pair per seed.
    level : float
        Confidence level.

    Returns
    -------
    tuple of float
        Ratio, low and high; all NaN unless the t interval of the denominator's mean lies above 0.
    """
    top, bottom = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    if not interval(bottom, level)[0] > 0:
        return math.nan, math.nan, math.nan
    n = bottom.size
    factor = stats.t.ppf(0.5 + level / 2, n - 1) ** 2 / n
    (vary_top, both), (_, vary_bottom) = np.cov(top, bottom)
    a = bottom.mean() ** 2 - factor * vary_bottom
    b = top.mean() * bottom.mean() - factor * both
    c = top.mean() ** 2 - factor * vary_top
    half = math.sqrt(max(0.0, b * b - a * c))
    return float(top.mean() / bottom.mean()), float((b - half) / a), float((b + half) / a)


def benefits(final: pd.DataFrame, price: float, metric: str = "foreground_iou", level: float = 0.95) -> pd.DataFrame:
    """Return the net benefit of every arm of a run, with its interval over the seeds.

    Parameters
    ----------
    final : DataFrame
        As `evidence.final_scores` returns it, with the selectors ``none`` and ``all``.
    price : float
        As for `net_benefit`.
    metric : {"foreground_iou", "two_class_miou"}
        The quality.
    level : float
        Confidence level.

    Returns
    -------
    DataFrame
        `COLUMNS`: gain is Q(all) - Q(none) with its t interval (fractions of quality), kept and net_benefit are shares
        of it with Fieller's interval. Where the gain is not clearly above 0 these are NaN and ``state`` says why.

    Raises
    ------
    MedDELError
        The price is negative, or no seed has an arm, all data and none.
    """
    _checked(price)
    table = seed_differences(final, WITHOUT_DATA, metric)
    keys = ["set", "head", "seed"]
    whole = table[table.selector == EVERYTHING][[*keys, "difference"]]
    table = table.merge(whole.rename(columns={"difference": "gain"}), on=keys)
    if table.empty:
        raise MedDELError("no seed has no pre-training and all data", fix="run the arms none and all")
    rows = []
    for key, arm in table.groupby(["set", "head", "selector", "ratio"], sort=True):
        low, high = interval(arm.gain, level)
        kept = ratio_of_means(arm.difference, arm.gain, level)
        state = ONE_SEED if math.isnan(low) else DEFINED if low > 0 else NO_GAIN
        net = (value - price * key[3] for value in kept)
        rows.append((*key, len(arm), arm.gain.mean(), low, high, *kept, *net, state))
    return pd.DataFrame(rows, columns=COLUMNS)


def published_benefits(price: float, margin: float = MARGIN) -> pd.DataFrame:
    """Return the net benefit of Fig. 4's medians, with ImageNet's weights as the start that pre-training improves.

    The paper has no arm of no pre-training and no second seed. ImageNet's weights are pre-trained too, so that the gain
    is one over ImageNet, and with one run the margin stands in for the interval. The figure shows the same boxes for
    PolypGen2021 and CVC-300 at most ratios (`contradictions.repeated_boxes`): they count as one set at most.

    Parameters
    ----------
    price : float
        As for `net_benefit`.
    margin : float
        Gain that all data must exceed, a fraction of mIoU.

    Returns
    -------
    DataFrame
        dataset, ratio, quality, gain (of all data, fractions of mIoU), kept, net_benefit and state.
    """
    table = checked(published_medians())
    none = table.dataset.map(published_reference())
    whole = table.dataset.map(table[table.ratio == 1].set_index("dataset").miou)
    table["gain"] = (whole - none).round(9)
    clear = table.gain > margin
    table["kept"] = ((table.miou - none) / table.gain.where(clear)).astype(float)
    table["net_benefit"] = table.kept - _checked(price) * table.ratio
    table["state"] = np.where(clear, ONE_RUN, WITHIN_MARGIN.format(points=round(100 * margin, 6)))
    columns = ["dataset", "ratio", "quality", "gain", "kept", "net_benefit", "state"]
    return table.rename(columns={"miou": "quality"})[columns]


def best_by_price(kept: pd.DataFrame) -> pd.DataFrame:
    """Return which share of the data has the greatest net benefit at which price, no data included.

    Parameters
    ----------
    kept : DataFrame
        ``ratio`` and ``kept`` of the arms of one set, such as rows of `benefits` or `published_benefits`; rows whose
        kept is NaN are left out.

    Returns
    -------
    DataFrame
        ratio (0 for no pre-training), kept, price_low, price_high: adjacent intervals that cover all prices. It takes
        the means as they are; arms whose intervals overlap can't be told apart by it.

    Raises
    ------
    MedDELError
        Nothing is defined.
    """
    table = kept.dropna(subset="kept")
    if table.empty:
        raise MedDELError("no arm has a defined share of the gain", fix="run more seeds, or a task that needs the data")
    share, height = np.append(table.ratio, 0.0), np.append(table.kept, 0.0)
    rows = [(share[reign.place], height[reign.place], reign.low, reign.high) for reign in reigns(height, share)]
    return pd.DataFrame(rows, columns=["ratio", "kept", "price_low", "price_high"])


def price_in_normdel(miou: ArrayLike, none: ArrayLike, everything: ArrayLike, alpha: float = 1.0) -> float | np.ndarray:
    """Return the price at which net benefit would trade quality for data as NormDEL does at a cell.

    NormDEL gives ``alpha mIoU`` of quality for all the data (`properties.price_of_data`); as a share of the gain that
    is ``alpha mIoU / (everything - none)``. Above 1 the data are priced above all that they return.

    Parameters
    ----------
    miou, none, everything : array_like of float
        Fractions; `everything` above `none`.
    alpha : float
        Positive.

    Returns
    -------
    float or ndarray
    """
    gain = np.asarray(everything, dtype=float) - np.asarray(none, dtype=float)
    if not np.all(gain > 0):
        raise MedDELError("all data gain nothing over none, so that a price has no unit", fix="report the qualities")
    values = np.asarray(price_of_data(miou, alpha)) / gain
    return float(values) if values.ndim == 0 else values


def _checked(price: float) -> float:
    if not (math.isfinite(price) and price >= 0):
        raise MedDELError(f"price {price} is negative or no number", fix="give a share of the gain, such as 0.5")
    return price
