"""Selectors which prune: duplicates, the typical or the atypical, dense clusters."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from scipy.special import softmax

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select.pool import Pool, budget_for, check_choice, pool, spherical_clusters, turns
from meddel.select.ranking import Ranking, order_within, ranked, reasons
from meddel.select.registry import register


@register("semdedup")
def semdedup(
    embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator, *, k: int | None = None, keep: Keep = "far"
) -> pa.Table:
    """Keep one of each group of alike images (SemDeDup, Abbas et al. 2023, arXiv 2303.09540).

    It is MedDEL's eta rule in the clusters of spherical K-means, without an eps filter, and of two duplicates the one
    farther from the centroid is kept. The threshold follows from the budget; k is sqrt(n / 2) instead of the paper's
    11,000 to 50,000 for its hundreds of millions of images.
    """
    images = pool(embeddings, index, budget)
    return _selected(images, _deduplicated(images.unit, rng, k, keep), budget)


@register("prototypes-hard")
def prototypes_hard(
    embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator, *, k: int | None = None
) -> pa.Table:
    """Keep the `budget` images farthest from their centroid (Sorscher et al. 2022, arXiv 2206.14486).

    The paper's choice where data abound. K-means is spherical; k is sqrt(n / 2) instead of about the number of classes.
    """
    return _prototypes(embeddings, index, budget, rng, k, sign=-1)


@register("prototypes-easy")
def prototypes_easy(
    embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator, *, k: int | None = None
) -> pa.Table:
    """Keep the `budget` images nearest to their centroid: the choice of Sorscher et al. where data are scarce."""
    return _prototypes(embeddings, index, budget, rng, k, sign=1)


@register("d4")
def d4(
    embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator, *, dedup: float = 0.75, k: int | None = None
) -> pa.Table:
    """Keep the images farthest from their centroid, of those which SemDeDup leaves (D4, arXiv 2308.12284).

    SemDeDup keeps the share `dedup`; what is left is clustered again, as duplicates draw centroids to themselves. A
    budget beyond that is filled up with duplicates, the least alike first. The paper is about documents.
    """
    images = pool(embeddings, index, budget)
    first, left, _, cluster, distance = _deduplicated_then_clustered(images, rng, dedup, k)
    order = left[np.argsort(-distance[left], kind="stable")]
    return _selected(images, first, budget, order, distance=distance, cluster=cluster)


@register("density-pruning")
def density_pruning(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: Generator,
    *,
    dedup: float = 0.63,
    temperature: float = 0.1,
    neighbours: int = 20,
    k: int | None = None,
) -> pa.Table:
    """Keep more images of varied clusters than of dense ones (Abbas et al. 2024, arXiv 2401.04578).

    SemDeDup keeps the share `dedup`, and what is left is clustered. With the complexity C_j = d_inter d_intra (see
    `complexity`) the share of cluster j is P_j = exp(C_j / temperature) / sum_i exp(C_i / temperature), its quota
    follows from `quotas`, and of each cluster the images farthest from the centroid are kept.

    **A smaller selection need not be part of a larger one**, as the quotas depend on the budget. Quotas are the optimum
    in whole numbers, where the paper's code rounds each and can miss the budget by a few.
    """
    if not temperature > 0 or neighbours < 1:
        what = f"temperature = {temperature} and neighbours = {neighbours} give no shares"
        raise MedDELError(what, fix="give a temperature above 0, such as 0.1, and at least 1 neighbour")
    images = pool(embeddings, index, budget)
    first, left, centroids, cluster, distance = _deduplicated_then_clustered(images, rng, dedup, k)
    used, member = np.unique(cluster[left], return_inverse=True)
    share = softmax(complexity(centroids[used], member, distance[left], neighbours) / temperature)
    quota = quotas(share, np.bincount(member), min(budget, len(left)))[member]
    turn = turns(member, -distance[left])
    # within the quotas the clusters' quotas are spent evenly; beyond them the farthest come first
    spent = np.divide(turn + 0.5, quota, out=np.full(len(left), np.inf), where=turn < quota)
    beyond = turn >= quota
    order = left[np.lexsort((np.where(beyond, 0, member), np.where(beyond, -distance[left], spent), beyond))]
    return _selected(images, first, budget, order, distance=distance, cluster=cluster)


def complexity(centroids: np.ndarray, member: np.ndarray, distance: np.ndarray, neighbours: int = 20) -> np.ndarray:
    """Return d_inter d_intra of each cluster, both mean cosine distances: to the nearest centroids, of its images.

    `distance` is Euclidean, between an image's unit embedding and its unit centroid. A lone cluster has d_inter 0.
    """
    k = len(centroids)
    apart = 1 - centroids @ centroids.T
    np.fill_diagonal(apart, np.inf)
    nearest = np.sort(apart, axis=1)[:, : min(neighbours, k - 1)]
    inter = nearest.mean(axis=1) if k > 1 else np.zeros(1)
    return inter * np.bincount(member, distance**2 / 2, minlength=k) / np.bincount(member, minlength=k)


def quotas(share: np.ndarray, sizes: np.ndarray, total: int) -> np.ndarray:
    """Return the whole numbers x which minimise sum_j (x_j - total share_j)² with 1 <= x_j <= sizes_j and sum `total`.

    Where `total` is below the number of clusters, x_j may be 0. Without whole numbers the optimum is
    x_j = total share_j + s, cut to the bounds, for the one s at which the sum is right (Karush, Kuhn, Tucker); the sum
    is piecewise linear in s, with a bend wherever a cluster meets a bound. Rounding down and giving the rest to the
    greatest fractions is the optimum in whole numbers.
    """
    least = np.full(len(sizes), 1 if total >= len(sizes) else 0)
    wanted = total * share
    bends = np.concatenate([least - wanted, sizes - wanted])
    order = np.argsort(bends, kind="stable")
    bends = bends[order]
    rising = np.cumsum(np.repeat([1, -1], len(sizes))[order])[:-1]
    sums = least.sum() + np.concatenate([[0.0], np.cumsum(rising * np.diff(bends))])
    exact = np.clip(wanted + np.interp(total, sums, bends), least, sizes)
    whole = np.floor(exact).astype(np.int64)
    greatest = np.argsort(whole - exact, kind="stable")
    whole[greatest[: total - whole.sum()]] += 1
    return whole


def _deduplicated(unit: np.ndarray, rng: Generator, k: int | None, keep: Keep = "far") -> Ranking:
    """Rank unit rows as SemDeDup does: MedDEL's ranking by place, with no outliers."""
    check_choice("keep rule", keep, Keep)
    found, drawn = spherical_clusters(unit, rng, k=k), rng.permutation(len(unit))
    labels, distances, k = found.labels, found.distances, len(found.centroids)
    inside, offsets = order_within(labels, distances, k, eps=np.inf, keep=keep, drawn=drawn)
    with progress(what="compare within clusters", total=len(unit), unit="image") as bar:
        cosine, partner = kernels.row_max_cosine(unit, inside, offsets, callback=bar.update)
    return ranked(labels, distances, cosine, partner, offsets, eps=np.inf, by_id=np.arange(len(unit)))


def _deduplicated_then_clustered(
    images: Pool, rng: Generator, dedup: float, k: int | None
) -> tuple[Ranking, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return SemDeDup's ranking, the places it leaves, their new centroids, and the cluster and distance of all."""
    first = _deduplicated(images.unit, rng, k)
    left = np.sort(first.order[: budget_for(dedup, len(images))])
    k = k if k is None else min(k, len(left))
    centroids = spherical_clusters(images.unit[left], rng, k=k).centroids
    return first, left, centroids, *kernels.assign(images.unit, centroids)


def _selected(
    images: Pool, first: Ranking, budget: int, order: np.ndarray | None = None, **columns: np.ndarray
) -> pa.Table:
    """Select by SemDeDup's ranking; or first by `order`, whose images are deleted as prototypical, then by the rest."""
    reason, by_place = reasons(first.outlier, first.partner), first.order
    if order is not None:
        reason = np.where(np.isin(np.arange(len(images)), order), "prototypical", reason)
        by_place = np.concatenate([order, first.order[len(order) :]])
    columns = {"distance": first.distance, "cluster": first.cluster} | columns
    return images.selection(by_place, budget, reason=reason, partner=first.partner, cosine=first.cosine, **columns)


def _prototypes(
    embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator, k: int | None, sign: int
) -> pa.Table:
    images = pool(embeddings, index, budget)
    found = spherical_clusters(images.unit, rng, k=k)
    order = np.argsort(sign * found.distances, kind="stable")
    reason = "atypical" if sign > 0 else "prototypical"
    return images.selection(order, budget, reason=reason, distance=found.distances, cluster=found.labels)
