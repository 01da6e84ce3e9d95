"""What NormDEL's formula implies before any number is measured (section 3.3, Eq. 4-5).

Since NormDEL rises strictly with ``DEL = mIoU exp(-alpha R)``, every statement on its order is one on DEL. Three of
them are elsewhere: `meddel.normdel.bounds` gives floor and ceiling, `meddel.normdel.tie` the mIoU that ties at another
ratio, and `meddel.normdel.del_score` itself is the mIoU that ties in the limit of no data at all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from meddel.errors import MedDELError
from meddel.normdel import del_score, normdel, tie


class Slopes(NamedTuple):
    """Partial derivatives of NormDEL by its three arguments, each a float or an array of the broadcast shape."""

    miou: float | np.ndarray
    ratio: float | np.ndarray
    alpha: float | np.ndarray


def slopes(miou: ArrayLike, ratio: ArrayLike, alpha: float = 1.0) -> Slopes:
    """Return how fast NormDEL changes with mIoU, ratio and alpha.

    Parameters
    ----------
    miou, ratio, alpha
        As for `meddel.normdel.del_score`.

    Returns
    -------
    Slopes
        Per unit of mIoU (positive), of R and of alpha (both not positive).
    """
    score = np.asarray(normdel(miou, ratio, alpha))
    quality, share = np.asarray(miou, dtype=float), np.asarray(ratio, dtype=float)
    by_miou = score * (1 - score) * np.exp(-alpha * share)
    return Slopes(*(_plain(slope) for slope in (by_miou, -alpha * quality * by_miou, -share * quality * by_miou)))


def price_of_data(miou: ArrayLike, alpha: float = 1.0) -> float | np.ndarray:
    """Return the mIoU that NormDEL gives for data: how much the mIoU must rise, per unit of R, to keep the score.

    The price is ``alpha mIoU`` (from Eq. 4): it grows with the quality that is already there and does not depend on
    what pre-training gains.

    Parameters
    ----------
    miou, alpha
        As for `meddel.normdel.del_score`.

    Returns
    -------
    float or ndarray
        mIoU (fraction) per unit of R, that is, for all the data.
    """
    return _plain(alpha * np.asarray(del_score(miou, 1.0, alpha)) * np.exp(alpha))


def sure_win(ratio: ArrayLike, other_ratio: ArrayLike, alpha: float = 1.0) -> float | np.ndarray:
    """Return the mIoU from which on `ratio` beats `other_ratio` whatever the mIoU there is, a perfect one included.

    Parameters
    ----------
    ratio, other_ratio : array_like of float
        Retention ratios, fractions in (0, 1].
    alpha : float
        Positive.

    Returns
    -------
    float or ndarray
        ``exp(-alpha (other_ratio - ratio))``, a fraction; at least 1 if `other_ratio` is not the larger, where no win
        is sure.
    """
    return tie(1.0, other_ratio, ratio, alpha)


def out_of_reach(miou: ArrayLike, ratio: ArrayLike, alpha: float = 1.0) -> float | np.ndarray:
    """Return the ratio from which on no quality beats `miou` at `ratio`.

    Parameters
    ----------
    miou, ratio, alpha
        As for `meddel.normdel.del_score`.

    Returns
    -------
    float or ndarray
        ``ratio - ln(miou) / alpha``. Above 1 if every ratio can win; infinite for an mIoU of 0.
    """
    score = np.asarray(del_score(miou, ratio, alpha))
    with np.errstate(divide="ignore"):
        return _plain(-np.log(score) / alpha)


def tying_alpha(miou: ArrayLike, ratio: ArrayLike, other_miou: ArrayLike, other_ratio: ArrayLike) -> float | np.ndarray:
    """Return the alpha at which two cells have the same score: below it quality decides, above it the ratio.

    Parameters
    ----------
    miou, ratio : array_like of float
        One cell, fractions.
    other_miou, other_ratio : array_like of float
        The other cell.

    Returns
    -------
    float or ndarray
        ``ln(other_miou / miou) / (other_ratio - ratio)``; NaN where no positive alpha makes them equal, that is, where
        one dominates the other, where the ratios are equal or where an mIoU is 0.
    """
    for quality, share in ((miou, ratio), (other_miou, other_ratio)):
        del_score(quality, share)  # refuses what is no fraction
    first, second = np.asarray(miou, dtype=float), np.asarray(other_miou, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(second / first) / (np.asarray(other_ratio, dtype=float) - np.asarray(ratio, dtype=float))
    return _plain(np.where(np.isfinite(found) & (found > 0), found, np.nan))


def tying_shift(
    miou: ArrayLike, ratio: ArrayLike, other_miou: ArrayLike, other_ratio: ArrayLike, alpha: float = 1.0
) -> float | np.ndarray:
    """Return the constant which, added to both mIoU, makes the two scores equal.

    A ranking that such a shift turns round depends on where the scale of quality has its zero, such as on whether the
    background counts as a class.

    Parameters
    ----------
    miou, ratio, other_miou, other_ratio : array_like of float
        Two cells, fractions.
    alpha : float
        Positive.

    Returns
    -------
    float or ndarray
        The shift, a fraction of any sign and size; NaN for equal ratios, whose order no shift changes.
    """
    first, second = np.asarray(del_score(miou, ratio, alpha)), np.asarray(del_score(other_miou, other_ratio, alpha))
    weight, other_weight = (np.exp(-alpha * np.asarray(share, dtype=float)) for share in (ratio, other_ratio))
    gap = weight - other_weight
    with np.errstate(divide="ignore", invalid="ignore"):
        return _plain(np.where(gap == 0, np.nan, (second - first) / gap))


def in_units(
    miou: ArrayLike, ratio: ArrayLike, alpha: float = 1.0, *, miou_unit: float = 1.0, ratio_unit: float = 1.0
) -> float | np.ndarray:
    """Return NormDEL as the formula gives it if mIoU and ratio are put in another unit, such as percent.

    Parameters
    ----------
    miou, ratio, alpha
        As for `meddel.normdel.del_score`, fractions.
    miou_unit, ratio_unit : float
        How many of the unit make 1: 100 for percent.

    Returns
    -------
    float or ndarray
        The unit of the mIoU keeps the order of two cells, not that of two means; that of the ratio acts as `alpha`.

    Raises
    ------
    MedDELError
        A unit is not positive, or as for `meddel.normdel.del_score`.
    """
    if not (miou_unit > 0 and ratio_unit > 0):
        raise MedDELError(f"units {miou_unit:g} and {ratio_unit:g} must be positive", fix="give 100 for percent")
    return _plain(special.expit(miou_unit * np.asarray(del_score(miou, ratio, alpha * ratio_unit))))


def _plain(values: np.ndarray) -> float | np.ndarray:
    return float(values) if np.ndim(values) == 0 else values
