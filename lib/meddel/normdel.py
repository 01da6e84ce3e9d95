"""NormDEL, the paper's score for segmentation quality against the share of data kept (section 3.3, Eq. 4-5).

``DEL = mIoU * exp(-alpha * R)`` and ``NormDEL = 1 / (1 + exp(-DEL))``, with the mIoU and the retention ratio R as
fractions. Beside the score stand the two readings that show what it rewards: the range that it can take at a ratio, and
the mIoU at which two ratios tie.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from meddel.errors import MedDELError


def del_score(miou: ArrayLike, ratio: ArrayLike, alpha: float = 1.0) -> float | np.ndarray:
    """Return the data-effective learning score DEL (Eq. 4).

    Parameters
    ----------
    miou : array_like of float
        Segmentation quality, a fraction in [0, 1]. Any shape that broadcasts with `ratio`.
    ratio : array_like of float
        Retention ratio R, a fraction in (0, 1].
    alpha : float
        How fast the score falls with R, positive. The paper uses 1.

    Returns
    -------
    float or ndarray of float64
        DEL in [0, 1), of the broadcast shape; a float if both inputs are scalars.

    Raises
    ------
    MedDELError
        A value is outside its range or NaN, or the shapes don't broadcast.
    """
    alpha = _checked_alpha(alpha)
    quality, share = _broadcast(_checked_miou(miou), _checked_ratio(ratio))
    return _plain(quality * np.exp(-alpha * share))


def normdel(miou: ArrayLike, ratio: ArrayLike, alpha: float = 1.0) -> float | np.ndarray:
    """Return NormDEL (Eq. 5), the logistic function of DEL.

    Parameters
    ----------
    miou, ratio, alpha
        As for `del_score`.

    Returns
    -------
    float or ndarray of float64
        NormDEL, a fraction in [0.5, 0.731...); a float if both inputs are scalars.

    Raises
    ------
    MedDELError
        As for `del_score`.

    Examples
    --------
    >>> print(f"{normdel(0.7095, 0.05):.2%}, {normdel(0.7202, 1):.2%}")
    66.26%, 56.59%
    """
    return _plain(1.0 / (1.0 + np.exp(-np.asarray(del_score(miou, ratio, alpha)))))


def tie(miou: ArrayLike, ratio: ArrayLike, other_ratio: ArrayLike, alpha: float = 1.0) -> float | np.ndarray:
    """Return the mIoU at `other_ratio` whose NormDEL equals that of `miou` at `ratio` (from Eq. 4).

    Parameters
    ----------
    miou, ratio, alpha
        As for `del_score`.
    other_ratio : array_like of float
        The other retention ratio, a fraction in (0, 1].

    Returns
    -------
    float or ndarray of float64
        The tying mIoU, a fraction. It is not cut at 1: a value above 1 means that no mIoU at `other_ratio` is enough.

    Raises
    ------
    MedDELError
        As for `del_score`.
    """
    score = np.asarray(del_score(miou, ratio, alpha))
    score, share = _broadcast(score, _checked_ratio(other_ratio))
    return _plain(score * np.exp(_checked_alpha(alpha) * share))


def bounds(ratio: ArrayLike, alpha: float = 1.0) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Return the least and the greatest NormDEL that `ratio` allows: an mIoU of 0 and of 1 (from Eq. 5).

    Parameters
    ----------
    ratio, alpha
        As for `del_score`.

    Returns
    -------
    tuple of float or of ndarray of float64
        Floor (always 0.5) and ceiling, fractions, each of `ratio`'s shape.

    Raises
    ------
    MedDELError
        As for `del_score`.
    """
    return normdel(0.0, ratio, alpha), normdel(1.0, ratio, alpha)


def _checked_miou(miou: ArrayLike) -> np.ndarray:
    values = _numbers(miou, "mIoU")
    _refuse(values, ~((values >= 0) & (values <= 1)), "mIoU", "[0, 1]")
    return values


def _checked_ratio(ratio: ArrayLike) -> np.ndarray:
    values = _numbers(ratio, "retention ratio")
    _refuse(values, ~((values > 0) & (values <= 1)), "retention ratio", "(0, 1]")
    return values


def _checked_alpha(alpha: float) -> float:
    value = _numbers(alpha, "alpha")
    if value.ndim or not (np.isfinite(value) and value > 0):
        raise MedDELError(f"alpha must be one positive number, not {alpha}", fix="the paper's is 1")
    return float(value)


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MedDELError(f"{name} is not a number", fix="give fractions, such as 0.05") from error


def _refuse(values: np.ndarray, bad: np.ndarray, name: str, interval: str) -> None:
    # The condition is negated by the caller so that NaN, which compares false with everything, counts as bad.
    if bad.any():
        first = values[bad].ravel()[0]
        advice = "divide percentages by 100" if 1 < first <= 100 else "give a fraction"
        raise MedDELError(f"{name} {first:g} is outside {interval}", fix=advice)


def _broadcast(*arrays: np.ndarray) -> list[np.ndarray]:
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError as error:
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise MedDELError(f"shapes {shapes} don't broadcast", fix="give one ratio, or one for each mIoU") from error


def _plain(values: np.ndarray) -> float | np.ndarray:
    return float(values) if values.ndim == 0 else values
