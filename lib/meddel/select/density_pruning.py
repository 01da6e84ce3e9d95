"""Density-based pruning (Abbas et al. 2024, arXiv 2401.04578): more images of varied clusters, fewer of dense ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import meddel_kernels as kernels
from meddel.errors import MedDELError
from meddel.select.base import register
from meddel.select.inputs import budget_for
from meddel.select.pool import pool, unit_embeddings
from meddel.select.quotas import quotas
from meddel.select.semdedup import deduplicate
from meddel.select.spherical import clusters


@register("density-pruning")
def select(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    dedup: float = 0.63,
    temperature: float = 0.1,
    neighbours: int = 20,
    k: int | None = None,
    iterations: int = 50,
) -> pa.Table:
    """Keep `budget` images: of every cluster a quota by its complexity, the farthest from the centroid first.

    1. SemDeDup keeps the share `dedup` of the images (see `meddel.select.semdedup`), and what is left is clustered.
    2. Cluster j has the complexity C_j = d_inter,j d_intra,j: the mean cosine distance of its centroid to the
       `neighbours` nearest other centroids, times that of its images to the centroid. Its share is the softmax
       P_j = exp(C_j / temperature) / sum over i of exp(C_i / temperature).
    3. The quotas N_j minimise the sum of (N_j - N P_j)² subject to 1 <= N_j <= M_j, the cluster's size, and to their
       sum N, the budget (see `meddel.select.quotas`).
    4. Of cluster j the N_j images that are farthest from their centroid stay.

    **Smaller selections need not lie inside larger ones**: the quotas depend on the budget. A budget beyond what
    SemDeDup leaves is filled up with duplicates, the least alike first.

    Where this departs from the paper: the quotas are the optimum in whole numbers, where its code rounds each and can
    miss the budget by a few; a budget below the number of clusters, at which its programme has no solution, allows
    N_j = 0; `dedup` is a share (that of the paper's 277 of 440 million images) instead of a threshold; k is sqrt(n / 2)
    of the images left instead of 100 or 500.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
    index : pyarrow.Table
        n rows with ``id``.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator
        Seeds both K-means.
    dedup : float
        In (0, 1].
    temperature : float
        Above 0: the smaller, the more the most complex clusters get.
    neighbours : int
        At least 1; where there are fewer other centroids, these.
    k, iterations
        As for `meddel.select.spherical.clusters`, both times; a k beyond the images that are left is cut to them.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`: who goes is a ``duplicate`` or ``prototypical``. The kept images are ranked so
    that every cluster's quota is spent evenly. `cluster` and `distance` are those of the second clustering, `partner`
    and `cosine` those of SemDeDup.

    Raises
    ------
    MedDELError
        The budget, an embedding or a setting is refused.
    """
    if not temperature > 0 or neighbours < 1:
        what = f"temperature = {temperature} and neighbours = {neighbours} give no shares"
        raise MedDELError(what, fix="give a temperature above 0, such as 0.1, and at least 1 neighbour")
    images = pool(embeddings, index, budget)
    unit = unit_embeddings(embeddings, images)
    first = deduplicate(unit, rng, k=k, iterations=iterations)
    left = budget_for(dedup, len(images))
    stay = np.sort(first.order[:left])
    second = clusters(unit[stay], rng, k=k if k is None else min(k, left), iterations=iterations)
    cluster, distance = kernels.assign(unit, second.centroids)
    used, member = np.unique(cluster[stay], return_inverse=True)
    spread = complexity(second.centroids[used], member, distance[stay], neighbours)
    chosen = _hardest(member, distance[stay], softmax(spread / temperature), min(budget, left))
    rest = np.setdiff1d(np.arange(left), chosen)
    rest = rest[np.argsort(-distance[stay][rest], kind="stable")]
    return images.selection(
        np.concatenate([stay[chosen], stay[rest], first.order[left:]]),
        budget,
        reason=np.where(np.isin(np.arange(len(images)), stay), "prototypical", first.reason),
        partner=first.partner,
        cosine=first.cosine,
        distance=distance,
        cluster=cluster,
    )


def complexity(centroids: np.ndarray, member: np.ndarray, distance: np.ndarray, neighbours: int = 20) -> np.ndarray:
    """Return d_inter d_intra of each cluster, both mean cosine distances, from 0 to 2.

    Parameters
    ----------
    centroids : float64 [k, d]
        Of length 1.
    member : int [n]
        The cluster of each image; none is empty.
    distance : float64 [n]
        Euclidean distance of each unit embedding to its centroid.
    neighbours : int
        How many of the nearest other centroids count. A cluster without others has d_inter 0.

    Returns
    -------
    float64 [k]
    """
    k = len(centroids)
    apart = 1 - centroids @ centroids.T
    np.fill_diagonal(apart, np.inf)
    nearest = np.sort(apart, axis=1)[:, : min(neighbours, k - 1)]
    inter = nearest.mean(axis=1) if k > 1 else np.zeros(1)
    return inter * np.bincount(member, distance**2 / 2, minlength=k) / np.bincount(member, minlength=k)


def softmax(values: np.ndarray) -> np.ndarray:
    """Return the shares exp(v_j) / sum over i of exp(v_i): float64 [k]."""
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def _hardest(member: np.ndarray, distance: np.ndarray, share: np.ndarray, total: int) -> np.ndarray:
    """Return the images that fill the quotas, farthest first, the clusters' quotas spent evenly."""
    sizes = np.bincount(member)
    quota = quotas(share, sizes, total)
    inside = np.lexsort((-distance, member))
    turn = np.arange(len(inside)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    of = quota[member[inside]]
    taken = turn < of
    spent = (turn[taken] + 0.5) / of[taken]
    return inside[taken][np.lexsort((member[inside][taken], spent))]
