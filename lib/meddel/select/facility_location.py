"""Facility location (Wei, Iyer and Bilmes 2015): kept images such that every image has one that is like it.

The objective ``f(S) = sum_i max(0, max_{s in S} cos(i, s))`` rises with S and is submodular, so the greedy reaches at
least ``1 - 1/e`` (63 %) of the best value of any set of that size (Nemhauser, Wolsey and Fisher 1978).

*In clusters where n is large*: above `largest` images the sum is over pairs of the same cluster of spherical K-means
only, clusters of more than `largest` images cut by distance to their centroid. The bounds hold for that sum, and f is
at least as large.

*In whole numbers*: cosines are rounded to multiples of 2^-30, so that gains add up to the same in any order, and the
lazy greedy chooses just what the plain one does, ties included.
"""

from __future__ import annotations

import heapq

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from tqdm import tqdm

from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select.coverage import selection_by_nearest
from meddel.select.pool import pool, spherical_clusters
from meddel.select.registry import register

ONE = 2**30  # the whole number that stands for a cosine of 1
LARGEST = 4096
_IN_A_CLUSTER = 1000
_ITERATIONS = 20
_ROWS_AT_ONCE = 512


@register("facility-location")
def facility_location(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: Generator,
    *,
    k: int | None = None,
    largest: int = LARGEST,
) -> pa.Table:
    """Keep the images which the greedy adds first: always the one with the greatest gain in f.

    Lazy (Minoux 1978): a gain is computed again only when the old one is the greatest left. Clusters don't act on each
    other, so their rankings are merged by gain. Memory: ``4 c^2`` bytes for a cluster of c.

    Parameters
    ----------
    k : int or None
        Number of clusters; None: one for each 1000 images, or one for all if they are no more than `largest`.
    largest : int
        At most so many images in a cluster.
    """
    images = pool(embeddings, index, budget)
    clusters, labels = _clustered(images.unit, rng, k, largest)
    rows, gains = [], []
    with progress(what="facility location", total=len(labels), unit="image") as bar:
        for cluster in clusters:
            order, gain = lazy_greedy(whole_cosines(images.unit[cluster]), bar)
            rows.append(cluster[order])
            gains.append(gain)
    places = np.concatenate(rows)
    merged = np.lexsort((places, -np.concatenate(gains)))
    return selection_by_nearest(images, places[merged], budget, cluster=labels)


@register("facility-location-stochastic")
def facility_location_stochastic(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: Generator,
    *,
    sample: int = 100,
    k: int | None = None,
    largest: int = LARGEST,
) -> pa.Table:
    """Keep the images which the stochastic greedy adds first: the best of `sample` drawn ones at each step.

    Mirzasoleiman et al. (2015) draw ``(n / b) ln(1 / eps)`` images for a budget b and prove an expected value of at
    least ``1 - 1/e - eps`` of the best. Here `sample` is fixed, so that one ranking serves all budgets; a budget b then
    has ``eps = exp(-sample b / n)``. Memory: ``4 n c`` bytes for clusters of c.
    """
    images = pool(embeddings, index, budget)
    if sample < 1:
        raise MedDELError(f"a sample of {sample} images", fix="give at least 1")
    clusters, labels = _clustered(images.unit, rng, k, largest)
    with progress(what="facility location", total=len(labels), unit="image") as bar:
        cosines = [whole_cosines(images.unit[cluster]) for cluster in clusters]
        order = _stochastic_greedy(cosines, clusters, labels, rng, sample, bar)
    return selection_by_nearest(images, order, budget, cluster=labels)


def _clustered(unit: np.ndarray, rng: Generator, k: int | None, largest: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the rows of each cluster of at most `largest`, rising, and the cluster of each row."""
    n = len(unit)
    if largest < 1:
        raise MedDELError(f"at most {largest} images in a cluster", fix="give at least 1")
    wanted = k if k is not None else (1 if n <= largest else -(-n // min(largest, _IN_A_CLUSTER)))
    found = spherical_clusters(unit, rng, k=wanted, iterations=_ITERATIONS)
    by_distance = np.lexsort((found.distances, found.labels))
    parts = np.split(by_distance, np.cumsum(np.bincount(found.labels, minlength=wanted))[:-1])
    pieces = [piece for part in parts if part.size for piece in np.array_split(part, -(-len(part) // largest))]
    labels = np.empty(n, np.int32)
    for number, piece in enumerate(pieces):
        labels[piece] = number
    return [np.sort(piece) for piece in pieces], labels


def whole_cosines(unit: np.ndarray) -> np.ndarray:
    """Return the cosines of unit rows, those below 0 as 0, in multiples of 1 / `ONE`: int32 [c, c]."""
    c = len(unit)
    whole = np.empty((c, c), np.int32)
    for start in range(0, c, _ROWS_AT_ONCE):
        block = unit[start : start + _ROWS_AT_ONCE] @ unit.T
        whole[start : start + _ROWS_AT_ONCE] = np.rint(np.clip(block, 0, 1, out=block) * ONE)
    return whole


def lazy_greedy(whole: np.ndarray, bar: tqdm | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rank all rows of a cluster by the greedy, of equal gains the lowest row first; return their gains too."""
    c = len(whole)
    order, gains = np.empty(c, np.int64), np.empty(c, np.int64)
    best, total = np.zeros(c, np.int32), 0
    stale = [(-int(gain), row) for row, gain in enumerate(whole.sum(axis=1, dtype=np.int64))]
    heapq.heapify(stale)
    for step in range(c):
        while True:
            _, row = stale[0]
            gain = int(np.maximum(whole[row], best).sum(dtype=np.int64)) - total
            # what is below is at least as large as it would be now, so the first that stays on top is the best
            heapq.heapreplace(stale, (-gain, row))
            if stale[0] == (-gain, row):
                break
        heapq.heappop(stale)
        np.maximum(best, whole[row], out=best)
        total += gain
        order[step], gains[step] = row, gain
        if bar is not None:
            bar.update()
    return order, gains


def _stochastic_greedy(
    cosines: list[np.ndarray], clusters: list[np.ndarray], labels: np.ndarray, rng: Generator, sample: int, bar: tqdm
) -> np.ndarray:
    """Return all rows, each time the best of `sample` drawn from those that are left (lazily, as in `lazy_greedy`)."""
    n = len(labels)
    inside, stale = np.empty(n, np.int64), np.empty(n, np.int64)
    for whole, cluster in zip(cosines, clusters, strict=True):
        inside[cluster] = np.arange(len(cluster))
        stale[cluster] = whole.sum(axis=1, dtype=np.int64)
    best, totals = [np.zeros(len(cluster), np.int32) for cluster in clusters], [0] * len(clusters)
    left, order = np.arange(n), np.empty(n, np.int64)
    for step in range(n):
        positions = np.unique((rng.random(sample) * (n - step)).astype(np.int64))
        drawn = left[positions]
        chosen: tuple[int, int, int] | None = None
        for candidate in np.lexsort((drawn, -stale[drawn])):
            row = int(drawn[candidate])
            if chosen is not None and (-int(stale[row]), row) >= chosen[:2]:
                break
            cluster = labels[row]
            joined = np.maximum(cosines[cluster][inside[row]], best[cluster])
            stale[row] = int(joined.sum(dtype=np.int64)) - totals[cluster]
            if chosen is None or (-int(stale[row]), row) < chosen[:2]:
                chosen = (-int(stale[row]), row, int(positions[candidate]))
        gain, row, position = chosen
        cluster = labels[row]
        np.maximum(best[cluster], cosines[cluster][inside[row]], out=best[cluster])
        totals[cluster] -= gain
        order[step], left[position] = row, left[n - step - 1]
        bar.update()
    return order
