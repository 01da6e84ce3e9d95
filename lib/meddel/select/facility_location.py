"""Facility location (Wei, Iyer and Bilmes 2015): kept images such that every image has one that is like it.

The objective is ``f(S) = sum_i max(0, max_{s in S} cos(i, s))``, to be large. It rises with S and is submodular: what
an image adds never grows while S does. So the greedy reaches at least ``1 - 1/e`` (63 %) of the best value that any
set of that size has (Nemhauser, Wolsey and Fisher 1978), and no method that looks at polynomially many sets can promise
more.

*In clusters where n is large.* All cosines of n images don't fit in memory, so that above `largest` images the sum is
over pairs of the same cluster only: ``f_C(S) = sum_C sum_{i in C} max(0, max_{s in S and C} cos(i, s))``, with the
clusters of spherical K-means, those of more than `largest` images cut by distance to their centroid. That is a facility
location too, and the bounds hold for f_C, and not for f, which is at least as large.

*In whole numbers.* Cosines are rounded to multiples of 2^-30, so that gains add up to the same in any order, and a gain
from before is never below that of now: the lazy greedy then chooses just what the plain one does, ties included.
(`meddel_kernels.facility_location_gains` computes all gains afresh, as the plain greedy needs them at each step; the
lazy one asks for a handful of rows, and reads them from the cosines of the cluster.)
"""

from __future__ import annotations

import heapq

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select import spherical
from meddel.select.base import register
from meddel.select.nearest_kept import selection_by_nearest
from meddel.select.pool import pool, unit_embeddings

ONE = 2**30  # the whole number that stands for a cosine of 1
LARGEST = 4096
_IN_A_CLUSTER = 1000
_ITERATIONS = 20
_ROWS_AT_ONCE = 512


@register("facility-location")
def select(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    k: int | None = None,
    largest: int = LARGEST,
) -> pa.Table:
    """Keep the `budget` images that the greedy adds first: always the one with the greatest gain in f.

    Lazy (Minoux 1978): a gain is computed anew only when the old one is the greatest left. As clusters don't act on
    each other, each is ranked by itself and the rankings are merged by gain, which is the greedy on all at once.

    The greedy is nested, and all images are ranked. Cost: the cosines inside the clusters, ``n c d`` for clusters of c,
    and some c for each gain computed; memory: ``4 c^2`` bytes.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
    index : pyarrow.Table
        n rows with ``id``. Ties go by id.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator
        Seeds K-means; not used for up to `largest` images.
    k : int or None
        Number of clusters; None means one for each 1000 images, or one for all if they are no more than `largest`.
    largest : int
        At most so many images in a cluster.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`, with the cluster, and the nearest kept image (of any cluster) of those that go.

    Raises
    ------
    MedDELError
        A setting is out of range, or the budget or an embedding is refused (see `check_budget`, `check_embeddings`).
    """
    images = pool(embeddings, index, budget)
    unit = unit_embeddings(embeddings, images)
    clusters, labels = clustered(unit, rng, k, largest)
    rows, gains = [], []
    with progress(what="facility location", total=len(labels), unit="image") as bar:
        for cluster in clusters:
            order, gain = lazy_greedy(whole_cosines(unit[cluster]), bar)
            rows.append(cluster[order])
            gains.append(gain)
    places = np.concatenate(rows)
    merged = np.lexsort((places, -np.concatenate(gains)))
    return selection_by_nearest(images, unit, places[merged], budget, cluster=labels)


@register("facility-location-stochastic")
def select_stochastic(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    sample: int = 100,
    k: int | None = None,
    largest: int = LARGEST,
) -> pa.Table:
    """Keep the `budget` images that the stochastic greedy adds first: the best of `sample` drawn ones at each step.

    Mirzasoleiman et al. (2015) draw ``(n / b) ln(1 / eps)`` images for a budget b and prove an expected value of at
    least ``1 - 1/e - eps`` of the best. Their number of draws depends on the budget, and so would the whole ranking.
    Departure: `sample` is fixed, so that the ranking is nested; a budget b then has ``eps = exp(-sample b / n)``, that
    is, 0.7 % where 5 % are kept and 100 drawn.

    All images are ranked. Cost: as for `select`, with gains for at most `sample` images a step; memory: the cosines of
    all clusters, ``4 n c`` bytes for clusters of c.

    Parameters
    ----------
    embeddings, index, budget, k, largest
        As for `select`.
    rng : numpy.random.Generator
        Seeds K-means and draws the images, with replacement.
    sample : int
        At least 1.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`, as for `select`.

    Raises
    ------
    MedDELError
        As for `select`.
    """
    images = pool(embeddings, index, budget)
    if sample < 1:
        raise MedDELError(f"a sample of {sample} images", fix="give at least 1")
    unit = unit_embeddings(embeddings, images)
    clusters, labels = clustered(unit, rng, k, largest)
    with progress(what="facility location", total=len(labels), unit="image") as bar:
        cosines = [whole_cosines(unit[cluster]) for cluster in clusters]
        order = _stochastic_greedy(cosines, clusters, labels, rng, sample, bar)
    return selection_by_nearest(images, unit, order, budget, cluster=labels)


def clustered(
    unit: np.ndarray, rng: np.random.Generator, k: int | None, largest: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Divide the rows into clusters of at most `largest`.

    Parameters
    ----------
    unit : float64 [n, d]
    rng : numpy.random.Generator
        One number is drawn, whatever n.
    k, largest
        As for `select`.

    Returns
    -------
    clusters : list of int64 arrays
        The rows of each, rising; none is empty.
    labels : int32 [n]
        The cluster of each row.

    Raises
    ------
    MedDELError
        `k` or `largest` is out of range.
    """
    n = len(unit)
    if largest < 1:
        raise MedDELError(f"at most {largest} images in a cluster", fix="give at least 1")
    wanted = k if k is not None else (1 if n <= largest else -(-n // min(largest, _IN_A_CLUSTER)))
    found = spherical.clusters(unit, rng, k=wanted, iterations=_ITERATIONS)
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
    """Rank all rows of a cluster by the greedy.

    Parameters
    ----------
    whole : int32 [c, c]
        `whole_cosines`.
    bar : tqdm or None
        Advanced by 1 for each row.

    Returns
    -------
    order : int64 [c]
        Each time the row with the greatest gain, of equal ones the lowest.
    gains : int64 [c]
        Their gains, never rising, in multiples of 1 / `ONE`.
    """
    c = len(whole)
    order, gains = np.empty(c, np.int64), np.empty(c, np.int64)
    best, total = np.zeros(c, np.int32), 0
    stale = [(-int(gain), row) for row, gain in enumerate(whole.sum(axis=1, dtype=np.int64))]
    heapq.heapify(stale)
    for step in range(c):
        while True:
            _, row = stale[0]
            gain = int(np.maximum(whole[row], best).sum(dtype=np.int64)) - total
            # what lies below is at least as large as it would be now, so that the first that stays on top is the best
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
    cosines: list[np.ndarray],
    clusters: list[np.ndarray],
    labels: np.ndarray,
    rng: np.random.Generator,
    sample: int,
    bar: tqdm,
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
