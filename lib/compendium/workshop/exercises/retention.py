"""The retention curve: every eta from one pass (exercise `draw_the_retention_curve`)."""

from __future__ import annotations

import numpy as np

from compendium.workshop.checks import Check
from meddel.select import meddel


def _greatest() -> np.ndarray:
    """Return greatest cosines to an earlier image of thirty images in three clusters; two of them are equal."""
    greatest = np.random.default_rng(6).uniform(0.2, 1, size=30).round(3)
    greatest[[0, 10, 20]] = -np.inf
    greatest[5] = greatest[4]
    return greatest


def _ranking(greatest: np.ndarray) -> meddel.Ranking:
    """Return the ranking of images that all passed the eps filter."""
    n = len(greatest)
    zeros = np.zeros(n)
    return meddel.Ranking(np.argsort(greatest), greatest, np.full(n, -1), zeros, zeros.astype(np.int32), zeros > 0)


def _curve(greatest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return meddel.eta_curve(_ranking(greatest))


CHECKS = (
    Check(
        "kept at eta",
        lambda greatest, eta: float((_ranking(greatest).ascending <= eta).mean()),
        lambda: [(_greatest(), 0.9), (_greatest(), -1.0)],
        "the share of images whose greatest cosine is at most eta; -inf is below every eta",
    ),
    Check(
        "retention curve",
        _curve,
        lambda: [(_greatest(),)],
        "the curve rises only at the values themselves: sort them once and ask np.searchsorted with side='right'",
    ),
    Check(
        "eta for a ratio",
        lambda greatest, ratio: meddel.eta_for(_ranking(greatest), ratio),
        lambda: [(_greatest(), 0.05), (_greatest(), 0.5), (_greatest(), 1.0)],
        "to keep the m least values, eta is the m-th of them in order, and never below -1",
    ),
)
