"""SemDeDup (Abbas et al. 2023, arXiv 2303.09540): of images that mean the same, keep one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pyarrow as pa

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select.base import register
from meddel.select.pool import pool, unit_embeddings
from meddel.select.spherical import clusters


@dataclass(frozen=True)
class Deduplicated:
    """All n images in the order in which SemDeDup keeps them, and why.

    Attributes
    ----------
    order : int64 [n]
        Places, first to keep first: by ascending M. The first ones of the clusters, which have no M, lead, that of the
        largest cluster first. Ties go by place, which is the order of ids.
    cosine : float64 [n]
        M, by place (as all that follow): -inf for the first of a cluster.
    partner : int64 [n]
        The place that M is reached with, -1 for none.
    distance : float64 [n]
        Euclidean distance between the unit embedding and its unit centroid.
    cluster : int32 [n]
    """

    order: np.ndarray
    cosine: np.ndarray
    partner: np.ndarray
    distance: np.ndarray
    cluster: np.ndarray

    @property
    def reason(self) -> np.ndarray:
        """Why an image goes, if it goes: it is a duplicate, or as the first of its cluster it was not drawn."""
        return np.where(self.partner < 0, "not drawn", "duplicate")


def deduplicate(
    unit: np.ndarray, rng: np.random.Generator, *, k: int | None = None, iterations: int = 50, keep: Keep = "far"
) -> Deduplicated:
    """Rank unit rows (float64 [n, d]) as `select` does, whose parameters the others are."""
    if keep not in get_args(Keep):
        raise MedDELError(f"unknown keep rule {keep!r}", fix=f"choose one of {', '.join(get_args(Keep))}")
    found = clusters(unit, rng, k=k, iterations=iterations)
    drawn = rng.permutation(len(unit))
    priority = {"near": found.distances, "far": -found.distances, "random": drawn}[keep]
    inside = np.lexsort((priority, found.labels))
    sizes = np.bincount(found.labels, minlength=len(found.centroids))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    with progress(what="compare within clusters", total=len(unit), unit="image") as bar:
        cosine, partner = kernels.row_max_cosine(unit, inside, offsets, callback=bar.update)
    size = np.where(partner < 0, sizes[found.labels], 0)
    return Deduplicated(np.lexsort((-size, cosine)), cosine, partner, found.distances, found.labels)


@register("semdedup")
def select(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
    keep: Keep = "far",
) -> pa.Table:
    """Keep the `budget` images that are least alike to an earlier one of their cluster.

    The images are clustered by spherical K-means and each cluster is put in the order of falling distance to its
    centroid. Image j is a duplicate if and only if M_j > 1 - eps, where M_j = max over i before j in its cluster of
    cos(x_i, x_j). It is not greedy: a duplicate still makes duplicates of others.

    Where this departs from the paper: eps is not given but follows from the budget. As the images that stay at eps are
    those with M <= 1 - eps, keeping the images of least M is the paper's rule at the eps that gives the budget, ties
    aside, and smaller selections lie inside larger ones. Below one image a cluster, where no eps leads, the largest
    clusters come first. k is sqrt(n / 2) instead of the paper's 11,000 to 50,000 for its hundreds of millions of
    images.

    MedDEL differs from this by its eps filter, K-means with means as centroids, and by keeping the nearest (`keep`).

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
    index : pyarrow.Table
        n rows with ``id``.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator
        Seeds K-means and draws the order of ``keep="random"``.
    k, iterations
        As for `meddel.select.spherical.clusters`.
    keep : {"far", "near", "random"}
        Which of two duplicates is the earlier: the farther from the centroid (the paper's), the nearer, or drawn.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`: who goes is the ``duplicate`` of its partner or, as the first of its cluster,
    ``not drawn``.

    Raises
    ------
    MedDELError
        The budget, an embedding or a setting is refused.
    """
    images = pool(embeddings, index, budget)
    found = deduplicate(unit_embeddings(embeddings, images), rng, k=k, iterations=iterations, keep=keep)
    return images.selection(
        found.order,
        budget,
        reason=found.reason,
        partner=found.partner,
        cosine=found.cosine,
        distance=found.distance,
        cluster=found.cluster,
    )
