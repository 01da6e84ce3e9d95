"""How a difference and its interval are written in the notebooks' verdicts."""

from __future__ import annotations

import math


def points(mean: float, low: float, high: float) -> str:
    """Write a difference of two qualities with its interval, in points.

    Parameters
    ----------
    mean, low, high : float
        Fractions; NaN bounds for a single seed.

    Returns
    -------
    str
        Such as ``"+1.2 points (-0.3 to +2.7)"``, or ``"+1.2 points (no interval)"``.
    """
    interval = "no interval" if math.isnan(low) or math.isnan(high) else f"{_signed(low)} to {_signed(high)}"
    return f"{_signed(mean)} points ({interval})"


def _signed(fraction: float) -> str:
    # Adding 0 turns the negative zero that rounding leaves into a positive one.
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"
