"""K-means in steps, and the pairs that clusters save (exercise `cluster_by_hand`)."""

from __future__ import annotations

import numpy as np

import meddel_kernels as kernels
from compendium.workshop.checks import Check


def _groups() -> tuple[np.ndarray, np.ndarray]:
    """Return rows around three places, float64 [30, 2], and three of them to start from."""
    rng = np.random.default_rng(3)
    x = 4 * rng.normal(size=(3, 2))[np.arange(30) % 3] + rng.normal(size=(30, 2))
    return x, x[:3]


def _labels() -> np.ndarray:
    return np.random.default_rng(4).integers(5, size=40)


def _pairs(labels: np.ndarray) -> int:
    sizes = np.bincount(labels)
    return int((sizes * (sizes - 1) // 2).sum())


def _kmeans(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    return kernels.kmeans(x, len(centroids), start=centroids, iterations=100).labels


CHECKS = (
    Check(
        "assign",
        lambda x, centroids: kernels.assign(x, centroids)[0],
        lambda: [_groups()],
        "subtract every centroid from every row ([n, 1, d] minus [k, d]), square, sum, and take the place of the least",
    ),
    Check(
        "update",
        kernels.update,
        lambda: [(_groups()[0], np.arange(30) % 3, 3)],
        "the new centroid c is the mean of the rows whose label is c",
    ),
    Check(
        "K-means",
        _kmeans,
        lambda: [_groups()],
        "assign, update, and again, until the labels stay as they are; return the labels",
    ),
    Check(
        "pairs compared",
        _pairs,
        lambda: [(_labels(),), (np.zeros(5, int),)],
        "a cluster of m images has m (m - 1) / 2 pairs; np.bincount counts the images of each cluster",
    ),
)
