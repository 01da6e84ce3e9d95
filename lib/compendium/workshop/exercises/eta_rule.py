"""The eta rule of MedDEL, its two readings, and Algorithm 1 to the letter (exercise `apply_the_eta_rule`)."""

from __future__ import annotations

import numpy as np

import meddel_kernels as kernels
from compendium.workshop.checks import Check


def _cluster() -> np.ndarray:
    """Return the unit rows of one cluster, float64 [8, 4]; some repeat others nearly."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(8, 4))
    x[[3, 6, 7]] = x[[0, 1, 3]] + 0.1 * rng.normal(size=(3, 4))
    return kernels.unit_rows(x)


def _whole(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return order and offsets that make all rows one cluster in the order in which they stand."""
    return np.arange(len(unit)), np.array([0, len(unit)])


def _greatest(unit: np.ndarray) -> np.ndarray:
    return kernels.row_max_cosine(unit, *_whole(unit)).cosine


def _stays(unit: np.ndarray, eta: float) -> np.ndarray:
    return kernels.near_duplicates(unit, *_whole(unit), eta) < 0


def _letter(unit: np.ndarray, eta: float) -> int:
    itself = np.einsum("ij,ij->i", unit, unit)
    return int((np.maximum(_greatest(unit), itself) <= eta).sum())


CHECKS = (
    Check(
        "greatest cosine to an earlier image",
        _greatest,
        lambda: [(_cluster(),)],
        "in the matrix of all cosines, row j looks at the columns before j only; nothing is before the first: -inf",
    ),
    Check(
        "who stays",
        _stays,
        lambda: [(_cluster(), 0.9), (_cluster(), 0.5)],
        "an image goes if its greatest cosine to an earlier one exceeds eta, also where that one goes itself",
    ),
    Check(
        "the two readings",
        lambda distance, keep: np.argsort(distance if keep == "near" else -distance, kind="stable"),
        lambda: [(np.array([0.4, 0.1, 0.3]), "near"), (np.array([0.4, 0.1, 0.3]), "far")],
        "who comes first can't be deleted: the nearest first keeps near, the farthest first keeps far",
    ),
    Check(
        "to the letter",
        _letter,
        lambda: [(_cluster(), 0.9)],
        "j runs from k on, so that the diagonal counts too; how many have no cosine above eta then?",
    ),
)
