"""Self-supervised prototypes (Sorscher et al. 2022, arXiv 2206.14486): keep the most or the least typical images."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from meddel.select.base import register
from meddel.select.pool import pool, unit_embeddings
from meddel.select.spherical import clusters


@register("prototypes-hard")
def hard(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
) -> pa.Table:
    """Keep the `budget` images that are farthest from their prototype: the paper's choice where data abound.

    The images are clustered by K-means; the prototypes are the centroids c, and the difficulty of an image is its
    cosine distance to the nearest of them, 1 - max over c of cos(x, c). Smaller selections lie inside larger ones.

    Where this departs from the paper: K-means is spherical, so that the cluster and the difficulty are decided by the
    same angle; there are no classes, so that none is protected from being pruned away; k is sqrt(n / 2) instead of
    about the number of classes, to which the paper finds its results insensitive.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
    index : pyarrow.Table
        n rows with ``id``.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator
        Seeds K-means.
    k, iterations
        As for `meddel.select.spherical.clusters`.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`: who goes is ``prototypical``. `distance` is the Euclidean distance d between
    the unit embedding and its unit centroid: the cosine distance is d² / 2.

    Raises
    ------
    MedDELError
        The budget, an embedding or a setting is refused.
    """
    return _by_distance(embeddings, index, budget, rng, k, iterations, sign=-1)


@register("prototypes-easy")
def easy(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
) -> pa.Table:
    """Keep the `budget` images that are nearest to their prototype: the paper's choice where data are scarce.

    The same as `hard` the other way round; who goes is ``atypical``.
    """
    return _by_distance(embeddings, index, budget, rng, k, iterations, sign=1)


def _by_distance(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    k: int | None,
    iterations: int,
    sign: int,
) -> pa.Table:
    images = pool(embeddings, index, budget)
    found = clusters(unit_embeddings(embeddings, images), rng, k=k, iterations=iterations)
    order = np.argsort(sign * found.distances, kind="stable")
    reason = np.full(len(images), "atypical" if sign > 0 else "prototypical")
    return images.selection(order, budget, reason=reason, distance=found.distances, cluster=found.labels)
