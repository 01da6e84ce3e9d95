"""Spherical K-means as the selectors use it: clusters by the angle between images, and unit vectors as centroids."""

from __future__ import annotations

import numpy as np

import meddel_kernels as kernels
from meddel.errors import MedDELError
from meddel.progress import progress


def clusters(
    unit: np.ndarray, rng: np.random.Generator, *, k: int | None = None, iterations: int = 50
) -> kernels.KMeans:
    """Cluster unit rows; the nearest centroid is that of the greatest cosine.

    Parameters
    ----------
    unit : float64 [n, d]
        Rows of length 1.
    rng : numpy.random.Generator
        Gives the seed: one draw.
    k : int or None
        Number of clusters; None means sqrt(n / 2), rounded, at least 1. Equal rows can leave clusters empty.
    iterations : int
        At most so many Lloyd iterations.

    Returns
    -------
    meddel_kernels.KMeans
        Centroids of length 1 and Euclidean distances d between unit vectors, in [0, 2]: the cosine is 1 - d² / 2.

    Raises
    ------
    MedDELError
        `k` lies outside 1 to n, or `iterations` is below 1.
    """
    n = len(unit)
    k = max(1, round(np.sqrt(n / 2))) if k is None else k
    if not 1 <= k <= n:
        raise MedDELError(f"k = {k} clusters of {n} images", fix=f"give a k from 1 to {n}")
    if iterations < 1:
        raise MedDELError(f"{iterations} iterations of K-means", fix="give at least 1")
    with progress(what="K-means", total=iterations, unit="iteration") as bar:
        return kernels.kmeans(
            unit,
            k,
            seed=int(rng.integers(2**63)),
            iterations=iterations,
            spherical=True,
            callback=lambda *_: bar.update(),
        )
