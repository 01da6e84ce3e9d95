"""Equivalence: two one-sided tests (TOST) that a difference is too small to matter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from meddel.errors import MedDELError
from meddel.evidence.correction import holm
from meddel.evidence.intervals import interval, p_value

MARGIN = 0.02
"""Equivalence margin for "comparable": 2 points of IoU, about what a change of seed does in such studies."""


@dataclass(frozen=True)
class Equivalence:
    """Result of two one-sided tests: mean difference, its (1 - 2 alpha) interval, p value, and the margin."""

    mean: float
    low: float
    high: float
    p: float
    margin: float
    equivalent: bool


def equivalence(differences: ArrayLike, margin: float = MARGIN, alpha: float = 0.05) -> Equivalence:
    """Test whether a mean paired difference lies within ± `margin` (two one-sided t tests, TOST).

    Parameters
    ----------
    differences : array_like of float [n]
        One paired difference per seed, fractions.
    margin : float
        Equivalence margin, a fraction, positive.
    alpha : float
        Level of each one-sided test.

    Returns
    -------
    Equivalence
        With NaN interval and p, and ``equivalent`` False, for fewer than two differences.

    Raises
    ------
    MedDELError
        `margin` is not positive.
    """
    if not margin > 0:
        raise MedDELError(f"equivalence margin {margin} is not positive", fix="give a fraction, such as 0.02")
    sample = np.asarray(differences, dtype=float)
    mean = float(sample.mean()) if sample.size else math.nan
    if sample.size < 2:
        return Equivalence(mean, math.nan, math.nan, math.nan, margin, False)
    low, high = interval(sample, 1 - 2 * alpha)
    p = max(p_value(sample, -margin, "greater"), p_value(sample, margin, "less"))
    return Equivalence(mean, low, high, p, margin, p < alpha)


def corrected_equivalence(results: Sequence[Equivalence], alpha: float = 0.05) -> list[Equivalence]:
    """Correct the tests of one family for their number (Holm): new p values, and what is equivalent by them.

    The intervals stay those of a single comparison. With probability 1 - `alpha` or more, every pair of the family that
    is called equivalent is so.
    """
    corrected = holm([result.p for result in results])
    pairs = zip(results, corrected.tolist(), strict=True)
    return [dataclasses.replace(result, p=p, equivalent=p < alpha) for result, p in pairs]
