"""Rows scaled to Euclidean length 1, in float64: what every cosine is the product of."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.inputs import matrix


def unit_rows(x: ArrayLike) -> np.ndarray:
    """Return the rows scaled to Euclidean length 1.

    Parameters
    ----------
    x : matrix [n, d]
        As for `kmeans`.

    Returns
    -------
    float64 [n, d]. A row of zeros stays a row of zeros.

    Raises
    ------
    ValueError
        `x` is no matrix of finite values up to 1e150.
    """
    return scaled(matrix(x, "x"))


def scaled(x: np.ndarray) -> np.ndarray:
    """Return the unit rows of a checked matrix."""
    unit = np.array(x, np.float64, order="C")
    # Dividing by the largest value first keeps the squares of tiny rows from vanishing.
    peak = np.maximum(unit.max(axis=1), -unit.min(axis=1))[:, None]
    np.divide(unit, peak, out=unit, where=peak > 0)
    norm = np.sqrt(np.square(unit).sum(axis=1))[:, None]
    return np.divide(unit, norm, out=unit, where=norm > 0)
