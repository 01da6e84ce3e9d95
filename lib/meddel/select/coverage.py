"""Selectors which cover the pool: k-center, herding, hierarchical K-means (facility location has its own file)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from tqdm import tqdm

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select.pool import Pool, check_choice, pool, turns
from meddel.select.registry import register
from meddel_kernels.cpu.threads import one_blas_thread

_UNIT_ROUNDOFF = 2.0**-24  # of float32
_IMAGES_PER_CLUSTER = (20, 200, 2000)
_ITERATIONS = 50


@register("k-center")
def k_center(embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator) -> pa.Table:
    """Keep images which leave no image far from a kept one (Gonzalez 1985; Sener and Savarese 2018).

    The greedy begins with an image that is drawn and adds ``argmax_i min_{s in S} |x_i - x_s|``, the image farthest
    from all kept ones. The greatest distance which is left is at most twice the smallest possible with so many images.
    Outliers are what k-center likes best. There are no labels to begin with and no integer program, as Sener and
    Savarese have. `distance` of a kept image is that to the nearest one kept before.
    """
    images = pool(embeddings, index, budget)
    n = len(images)
    with progress(what="k-center", total=budget, unit="image") as bar:
        start = int(rng.integers(n))
        chosen = kernels.farthest_point(images.unit, budget, start=start, callback=lambda *_: bar.update())
    distance = np.full(n, np.inf)
    distance[chosen.rows] = chosen.distances
    return selection_by_nearest(images, chosen.rows, budget, distance=distance)


@register("herding")
def herding(embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator) -> pa.Table:
    """Keep images whose mean embedding is near the mean of all (Welling 2009; Chen, Welling and Smola 2010).

    With mu the mean of the unit embeddings, herding repeats

        ``x_{t+1} = argmax_x <w_t, x>,   w_{t+1} = w_t + mu - x_{t+1},   w_0 = mu``,

    the greedy which makes ``|mu - (1/T) sum_t x_t|`` small. An image is kept once, so the paper's rate 1/T is not
    guaranteed. Nothing is drawn; the deleted images are ranked by ``<w, x>`` after the last step.
    """
    images = pool(embeddings, index, budget)
    # a step is too short for a second thread, which would only wait for the next one
    with one_blas_thread(), progress(what="herding", total=budget, unit="image") as bar:
        order = _herd(images.unit, budget, bar)
    return selection_by_nearest(images, order, budget)


def _herd(unit: np.ndarray, budget: int, bar: tqdm) -> np.ndarray:
    """Return all rows: the first `budget` as herding chooses them, the others by the last score."""
    n, d = unit.shape
    order, taken = np.empty(n, np.int64), np.zeros(n, bool)
    mean, chosen, narrow = unit.mean(axis=0), np.zeros(d), unit.astype(np.float32)
    for step in range(budget):
        weight = (step + 1) * mean - chosen
        scores = narrow @ weight.astype(np.float32)
        scores[taken] = -np.inf
        # each score is off by less than this, so the greatest is among the candidates, which float64 decides
        margin = 1.01 * (d + 4) * _UNIT_ROUNDOFF * np.linalg.norm(weight) + np.finfo(np.float32).tiny
        candidates = np.flatnonzero(scores >= scores.max() - 2 * margin)
        best = candidates[np.argmax(_scores(unit[candidates], weight))]
        order[step], taken[best] = best, True
        chosen += unit[best]
        bar.update()
    rest = np.flatnonzero(~taken)
    order[budget:] = rest[np.argsort(-_scores(unit[rest], (budget + 1) * mean - chosen), kind="stable")]
    return order


def _scores(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the products in float64, those of equal rows equal to the last bit, which BLAS does not promise."""
    return (rows * weight).sum(axis=1)


@register("hierarchical")
def hierarchical(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: Generator,
    *,
    levels: Sequence[int] | None = None,
    resamplings: int = 10,
    keep: Keep = "random",
) -> pa.Table:
    """Keep images balanced over a hierarchy of clusters, so that every concept counts alike (arXiv 2405.15613).

    1. Level 1 clusters the images, level t the centroids of level t - 1. A rare kind gets centroids of its own, and
       above a centroid counts once, however many images it stands for.
    2. Several times, K-means runs again on the r points nearest to each centroid alone: dense regions then lose the
       centroids which their mere number of points had drawn. r is half the mean number of points in a cluster.
    3. A cluster which is to give s images asks each child for ``min(a, |C_j|)``, with the a at which these sum to s.
       The paper does so for one budget. Here the children take turns in an order drawn once until they are empty, which
       is the same division at all budgets by one ranking.

    Parameters
    ----------
    levels : sequence of int or None
        Number of clusters on each level from the lowest, falling. None: one for each 20, 200 and 2000 images.
    resamplings : int
        How often each level is resampled; 0 for plain K-means.
    keep : {"random", "near", "far"}
        Which images of a cluster of level 1 come first: drawn, or by their distance to the centroid.
    """
    images = pool(embeddings, index, budget)
    n = len(images)
    default = tuple(n // images for images in _IMAGES_PER_CLUSTER if n // images > 1) or (1,)
    counts = default if levels is None else tuple(levels)
    falling = all(upper < lower for lower, upper in pairwise(counts))
    if not counts or not falling or not 1 <= counts[-1] <= counts[0] <= n:
        raise MedDELError(f"levels of {counts} clusters for {n} images", fix=f"give falling numbers from {n} to 1")
    if resamplings < 0:
        raise MedDELError(f"{resamplings} resamplings", fix="give 0 or more")
    check_choice("keep rule", keep, Keep)
    with progress(what="hierarchical K-means", total=len(counts) * (1 + resamplings), unit="K-means") as bar:
        parents, distances = _hierarchy(images.unit, counts, rng, resamplings, bar)
    first = {"near": distances, "far": -distances, "random": rng.permutation(n)}[keep]
    return selection_by_nearest(images, balanced(parents, first, rng), budget, cluster=parents[0])


def _hierarchy(
    unit: np.ndarray, counts: Sequence[int], rng: Generator, resamplings: int, bar: tqdm
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the cluster of each row, then of each cluster the one above, and each row's distance to its centroid."""
    points, parents, distances = unit, [], np.zeros(len(unit))
    for count in counts:
        k = min(count, len(points))
        found = kernels.kmeans(points, k, seed=int(rng.integers(2**63)), iterations=_ITERATIONS)
        centroids, labels, apart = found.centroids, found.labels, found.distances
        bar.update()
        for _ in range(resamplings):
            nearest = np.flatnonzero(turns(labels, apart) < max(2, round(len(points) / (2 * k))))
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


def balanced(parents: Sequence[np.ndarray], first: np.ndarray, rng: Generator) -> np.ndarray:
    """Rank all rows so that every prefix is balanced over the children of every cluster.

    Rows of a cluster of the lowest level come by rising `first`; the turns of the children are drawn.
    """
    cluster = np.arange(len(first))  # of each row, on the level that is done
    turn, within = np.zeros(len(first)), first
    for parent in (*parents, np.zeros(parents[-1].max() + 1, np.int64)):
        cluster = parent[cluster]
        turn = turns(cluster, within, turn)
        within = rng.permutation(cluster.max() + 1)[cluster]
    return np.argsort(turn)


def selection_by_nearest(
    images: Pool,
    order: np.ndarray,
    budget: int,
    *,
    distance: np.ndarray | None = None,
    cluster: np.ndarray | None = None,
) -> pa.Table:
    """Keep the first `budget` places of `order`, and report the nearest kept image of each other one.

    Places which are not in `order` follow, the farthest from its nearest kept image first. `distance` is for the kept.
    """
    n = len(images)
    kept, deleted = order[:budget], np.ones(n, bool)
    deleted[kept] = False
    partner, apart = np.full(n, -1), np.full(n, np.nan)
    if deleted.any():
        nearest = kernels.nearest_kept(images.unit, kept)
        partner[deleted], apart[deleted] = nearest.kept[deleted], nearest.distances[deleted]
    left_out = np.setdiff1d(np.arange(n), order)
    return images.selection(
        np.concatenate([order, left_out[np.argsort(-apart[left_out], kind="stable")]]),
        budget,
        reason="not drawn",
        partner=partner,
        cosine=1 - apart**2 / 2,
        distance=apart if distance is None else np.where(deleted, apart, distance),
        cluster=cluster,
    )
