"""Cosines and the pairs above a threshold (exercise `find_duplicates`)."""

from __future__ import annotations

import numpy as np

import meddel_kernels as kernels
from compendium.workshop.checks import Check


def _pair() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [(np.array([3.0, 4.0]), np.array([4.0, 3.0])), (rng.normal(size=5), 7 * rng.normal(size=5))]


def _rows() -> np.ndarray:
    """Return six rows, the last two of which repeat others at another length."""
    x = np.random.default_rng(2).normal(size=(6, 3))
    x[4:] = 2 * x[[1, 3]] + 0.1
    return x


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    one, other = kernels.unit_rows(np.stack([a, b]))
    return float(one @ other)


def _cosines(x: np.ndarray) -> np.ndarray:
    unit = kernels.unit_rows(x)
    return unit @ unit.T


def _duplicates(x: np.ndarray, eta: float) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(_cosines(x) > eta, 1))]


CHECKS = (
    Check("cosine", _cosine, _pair, "divide the product of the two vectors by both of their lengths"),
    Check("cosines", _cosines, lambda: [(_rows(),)], "scale each row to length 1, then one matrix product does it"),
    Check(
        "duplicates",
        _duplicates,
        lambda: [(_rows(), 0.9), (_rows(), 0.2)],
        "take each pair once, the earlier image first, and not an image with itself; above eta means greater than it",
    ),
)
