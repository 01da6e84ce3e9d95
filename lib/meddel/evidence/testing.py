"""Equivalence (two one-sided tests, TOST), and correction for many comparisons (Holm).

Of a hundred true null hypotheses five fall at the 5 % level. Holm's step-down correction bounds the chance that *any*
true one falls among those that are tested together, whatever the dependence between them (all differences to random
share the random arm).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from meddel.errors import MedDELError
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
    """Test whether the mean of paired differences (float [n], fractions) is within ± `margin`, a positive fraction.

    Two one-sided t tests, each at level `alpha`. Fewer than two differences are never equivalent.
    """
    if not margin > 0:
        raise MedDELError(f"equivalence margin {margin} is not positive", fix="give a fraction, such as 0.02")
    sample = np.asarray(differences, dtype=float)
    mean = float(sample.mean()) if sample.size else math.nan
    low, high = interval(sample, 1 - 2 * alpha)
    p = max(p_value(sample, -margin, "greater"), p_value(sample, margin, "less"))
    return Equivalence(mean, low, high, p, margin, p < alpha)


def corrected_equivalence(results: Sequence[Equivalence], alpha: float = 0.05) -> list[Equivalence]:
    """Correct the tests of one family for their number (Holm): new p values, and what is equivalent by them.

    The intervals stay those of a single comparison.
    """
    pairs = zip(results, holm([result.p for result in results]).tolist(), strict=True)
    return [dataclasses.replace(result, p=p, equivalent=p < alpha) for result, p in pairs]


def holm(p: ArrayLike) -> np.ndarray:
    """Return Holm's corrected p values (float64 [n]) of one family.

    All hypotheses with a corrected value below alpha can be rejected together: the chance that a true one is among them
    is at most alpha. NaN, a test that could not be made, stays NaN and does not count.
    """
    values = np.asarray(p, dtype=float)
    corrected = np.full(values.shape, np.nan)
    order = np.argsort(values)[: np.isfinite(values).sum()]
    # As statsmodels' multipletests, which takes a hundred times longer: it collects garbage at every call.
    steps = np.arange(len(order), 0, -1) * values[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def simultaneous(comparisons: Mapping[str, int]) -> str:
    """Return in words what corrected verdicts allow to conclude of all of them at once; empty for one comparison.

    `comparisons` is, for each kind of comparison such as ``"with random"``, how many were made in one set and head.
    """
    many = [f"{number} {kind}" for kind, number in comparisons.items() if number > 1]
    if not many:
        return ""
    return (
        f"Verdicts are corrected (Holm) for the number of comparisons in each set and head: {' and '.join(many)}. "
        "Among those of one kind, the chance that even one is called reproduced although it is false is at most 5 %."
    )
