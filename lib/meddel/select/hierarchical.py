"""Hierarchical K-means with balanced sampling (Vo et al. 2024, arXiv 2405.15613): every concept counts alike.

1. *Clusters of clusters.* Level 1 clusters the images, level t the centroids of level t - 1. Images of a rare kind are
   few but lie apart, so that they get centroids of their own, and on the levels above a centroid counts once, however
   many images it stands for.
2. *Resampling.* After K-means on a level, several times: take the r points nearest to each centroid, run K-means on
   these alone, and assign all points to the new centroids. Dense regions then lose the centroids that their mere number
   of points had drawn.
3. *Balanced sampling.* A budget is divided from the top down. A cluster that is to give s images asks its children for
   ``min(a, |C_j|)`` each, with the a at which ``sum_j min(a, |C_j|) = s``, |C_j| in images; what is left over goes, one
   each, to children that have more than a. A cluster of level 1 gives images that are drawn, or the nearest to its
   centroid.

The paper samples for one budget. Here the children take turns, in an order that is drawn once, until they are empty:
after any number of turns each has given ``min(a, |C_j|)`` or one more, so that the same division is met at all budgets
by one ranking, and the selections are nested.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

import numpy as np
import pyarrow as pa
from tqdm import tqdm

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select.base import register
from meddel.select.nearest_kept import selection_by_nearest
from meddel.select.pool import pool, unit_embeddings

_IMAGES_PER_CLUSTER = (20, 200, 2000)
_ITERATIONS = 50


@register("hierarchical")
def select(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    levels: Sequence[int] | None = None,
    resamplings: int = 10,
    keep: Keep = "random",
) -> pa.Table:
    """Keep `budget` images, balanced over a hierarchy of clusters (see the module).

    Departures: the embeddings are scaled to length 1; r is half the mean number of points in a cluster, but at least 2
    (the paper sets it for each data set); clusters that get no point are left out.

    Nested, and all images are ranked. Cost: one K-means on all images and `resamplings` on about half of them; memory:
    the unit rows, and half of them again.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
    index : pyarrow.Table
        n rows with ``id``.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator
        Seeds K-means, draws the turns, and the images where ``keep="random"``.
    levels : sequence of int or None
        Number of clusters on each level from the lowest, falling. None: one for each 20, 200 and 2000 images, without
        the levels that would have fewer than two, but at least one level.
    resamplings : int
        How often each level is resampled; 0 for plain K-means.
    keep : {"random", "near", "far"}
        Which images of a cluster of level 1 come first: drawn, or by their distance to the centroid.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`, with the cluster of level 1, and the nearest kept image of those that go.

    Raises
    ------
    MedDELError
        A setting is out of range, or the budget or an embedding is refused (see `check_budget`, `check_embeddings`).
    """
    images = pool(embeddings, index, budget)
    n = len(images)
    counts = _default_levels(n) if levels is None else tuple(levels)
    _check_settings(n, counts, resamplings, keep)
    unit = unit_embeddings(embeddings, images)
    with progress(what="hierarchical K-means", total=len(counts) * (1 + resamplings), unit="K-means") as bar:
        parents, distances = hierarchy(unit, counts, rng, resamplings, bar)
    first = {"near": distances, "far": -distances, "random": rng.permutation(n)}[keep]
    return selection_by_nearest(images, unit, balanced(parents, first, rng), budget, cluster=parents[0])


def hierarchy(
    unit: np.ndarray, counts: Sequence[int], rng: np.random.Generator, resamplings: int, bar: tqdm
) -> tuple[list[np.ndarray], np.ndarray]:
    """Cluster the rows, then the centroids, and so on.

    Parameters
    ----------
    unit : float64 [n, d]
    counts : sequence of int
        Clusters on each level from the lowest.
    rng : numpy.random.Generator
        Seeds every K-means.
    resamplings : int
    bar : tqdm
        Advanced by 1 for each K-means.

    Returns
    -------
    parents : list of int arrays
        The cluster of each row; then, level by level, the cluster above of each cluster. None is empty.
    distances : float64 [n]
        Of each row to the centroid of its cluster.
    """
    points, parents, distances = unit, [], np.zeros(len(unit))
    for count in counts:
        k = min(count, len(points))
        found = kernels.kmeans(points, k, seed=int(rng.integers(2**63)), iterations=_ITERATIONS)
        centroids, labels, apart = found.centroids, found.labels, found.distances
        bar.update()
        for _ in range(resamplings):
            nearest = _nearest(labels, apart, max(2, round(len(points) / (2 * k))))
            seed = int(rng.integers(2**63))
            if len(nearest) >= k:
                centroids = kernels.kmeans(points[nearest], k, seed=seed, iterations=_ITERATIONS).centroids
                labels, apart = kernels.assign(points, centroids)
            bar.update()
        used, labels = np.unique(labels, return_inverse=True)
        distances = distances if parents else apart
        parents.append(labels)
        points = centroids[used]
    return parents, distances


def balanced(parents: Sequence[np.ndarray], first: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rank all rows so that every prefix is balanced over the children of every cluster.

    Parameters
    ----------
    parents : sequence of int arrays
        As from `hierarchy`.
    first : float or int [n]
        Rows of a cluster of the lowest level come by rising value, ties by row.
    rng : numpy.random.Generator
        Draws in which order the children take turns.

    Returns
    -------
    int64 [n], the rows, first to keep first.
    """
    n = len(first)
    cluster = np.arange(n)  # of each row, on the level that is done
    turn, within = np.zeros(n), first
    for parent in (*parents, np.zeros(parents[-1].max() + 1, np.int64)):
        above = parent[cluster]
        order = np.lexsort((np.arange(n), within, turn, above))
        sizes = np.bincount(above)
        turn = np.empty(n, np.int64)
        turn[order] = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        within = rng.permutation(len(sizes))[above]
        cluster = above
    return np.argsort(turn)


def _nearest(labels: np.ndarray, distances: np.ndarray, count: int) -> np.ndarray:
    """Return the rows that are among the `count` nearest of their cluster, rising."""
    order = np.lexsort((distances, labels))
    sizes = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[place < count])


def _default_levels(n: int) -> tuple[int, ...]:
    counts = tuple(n // images for images in _IMAGES_PER_CLUSTER if n // images > 1)
    return counts or (1,)


def _check_settings(n: int, levels: tuple[int, ...], resamplings: int, keep: str) -> None:
    falling = all(upper < lower for lower, upper in pairwise(levels))
    if not levels or not falling or not 1 <= levels[-1] <= levels[0] <= n:
        raise MedDELError(f"levels of {levels} clusters for {n} images", fix=f"give falling numbers from {n} to 1")
    if resamplings < 0:
        raise MedDELError(f"{resamplings} resamplings", fix="give 0 or more")
    if keep not in get_args(Keep):
        raise MedDELError(f"unknown keep rule {keep!r}", fix=f"choose one of {', '.join(get_args(Keep))}")
