"""K-means on batches of rows (Sculley, Web-scale k-means clustering, WWW 2010), in sums that have no order.

Sculley moves a centroid towards each of its rows, one after the other, by a step of 1 / (rows it has had so far). That
keeps it at the mean of all rows that it has had. So here that mean is what is computed: fixed-point sums and weights
are added up over all batches, and divide once a batch. Nothing depends on the order inside a batch, and no rounding
adds up.
"""

from __future__ import annotations

import numpy as np

from meddel_kernels import fixed_point
from meddel_kernels.clustering import KMeans, Rows, Rule, finished, inertia_of, mass_of, unit_or


def minibatch(rows: Rows, centroids: np.ndarray, rule: Rule, *, size: int, rng: np.random.Generator) -> KMeans:
    """Move `centroids` (float64 [k, d]) by batches of `size` rows, as `meddel_kernels.kmeans` states."""
    k, weights = len(centroids), rule.weights
    heaviest = 1.0 if weights is None else float(weights.max())
    p = fixed_point.power(rule.iterations * size, rows.largest * heaviest)
    sums, mass = np.zeros((k, rows.d), np.int64), np.zeros(k)
    moves = 0
    while moves < rule.iterations:
        drawn = np.sort(rng.choice(rows.n, size, replace=False))
        batch, its = rows.subset(drawn), None if weights is None else weights[drawn]
        labels = batch.assign(centroids, None)
        inertia = 0.0
        if rule.callback is not None:
            inertia = inertia_of(np.sqrt(batch.squares(centroids, labels)), its)
        sums += batch.sums(labels, k, p) if its is None else batch.sums(labels, k, p, its)
        mass += mass_of(labels, k, its)
        moved = fixed_point.means(sums, mass, p, centroids)
        if rule.spherical:
            moved = unit_or(moved, centroids)
        shift = float(np.square(moved - centroids).sum())
        centroids, moves = moved, moves + 1
        if rule.callback is not None:
            rule.callback(moves, inertia)
        # A batch that moves nothing proves nothing about the others.
        if rule.threshold > 0 and shift <= rule.threshold:
            break
    return finished(rows, centroids, None, moves, weights)
