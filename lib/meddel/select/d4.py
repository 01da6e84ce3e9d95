"""D4 (Tirumala et al. 2023, arXiv 2308.12284): take out the duplicates, cluster anew, take out the prototypical."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import meddel_kernels as kernels
from meddel.select.base import register
from meddel.select.inputs import budget_for
from meddel.select.pool import pool, unit_embeddings
from meddel.select.semdedup import deduplicate
from meddel.select.spherical import clusters


@register("d4")
def select(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    dedup: float = 0.75,
    k: int | None = None,
    iterations: int = 50,
) -> pa.Table:
    """Keep the `budget` images that are farthest from their centroid, of those that SemDeDup leaves.

    1. SemDeDup keeps the share R_dedup = `dedup` of the images (see `meddel.select.semdedup`).
    2. K-means clusters what is left anew, as the duplicates had drawn centroids to themselves.
    3. Of these the share R_proto that is farthest from its new centroid stays: R = R_dedup R_proto, with R_dedup fixed
       and R_proto what the budget asks for.

    Smaller selections lie inside larger ones. A budget beyond R_dedup n, which the paper does not have, is filled up
    with duplicates, the least alike first.

    Where this departs from the paper: it is about documents, here it is images; K-means is spherical; k is sqrt(n / 2)
    of the images that are clustered instead of 11,000.

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
        R_dedup, in (0, 1].
    k, iterations
        As for `meddel.select.spherical.clusters`, both times; a k beyond the images that are left is cut to them.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`: who goes is a ``duplicate`` or ``prototypical``. `cluster` and `distance` are
    those of the second clustering, `partner` and `cosine` those of SemDeDup.

    Raises
    ------
    MedDELError
        The budget, an embedding or a setting is refused.
    """
    images = pool(embeddings, index, budget)
    unit = unit_embeddings(embeddings, images)
    first = deduplicate(unit, rng, k=k, iterations=iterations)
    left = budget_for(dedup, len(images))
    stay = np.sort(first.order[:left])
    second = clusters(unit[stay], rng, k=k if k is None else min(k, left), iterations=iterations)
    cluster, distance = kernels.assign(unit, second.centroids)
    hardest_first = stay[np.argsort(-distance[stay], kind="stable")]
    reason = np.where(np.isin(np.arange(len(images)), stay), "prototypical", first.reason)
    return images.selection(
        np.concatenate([hardest_first, first.order[left:]]),
        budget,
        reason=reason,
        partner=first.partner,
        cosine=first.cosine,
        distance=distance,
        cluster=cluster,
    )
