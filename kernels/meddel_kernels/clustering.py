"""K-means, the algorithm: whatever computes distances and sums, it goes through the same steps to the same bytes.

A back end prepares the matrix once, as `Rows`, and answers a few questions about it. Every answer is exact, so that no
choice that is made here (a draw, a repair, the end) can differ between back ends. Here are Lloyd's iterations; the
starts are in ``seeding``, the iterations on batches in ``minibatch``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from meddel_kernels import fixed_point
from meddel_kernels.reference.pairs import unit_rows


class Rows(Protocol):
    """A matrix [n, d] that a back end has prepared."""

    n: int
    d: int
    largest: float

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        ...

    def subset(self, rows: np.ndarray) -> Rows:
        """Return some rows (int64 [m]), prepared; what has been prepared of them is not computed again."""
        ...

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None) -> np.ndarray:
        """Return the nearest of the centroids (float64 [k, d]) for each row, int32 [n]; a good guess saves work."""
        ...

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]."""
        ...

    def lower(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances (float64 [n]) by that to row `index` where that is less."""
        ...

    def sums(self, labels: np.ndarray, k: int, p: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the fixed-point sum of each label's rows, each times its weight (float64 [n]): int64 [k, d]."""
        ...


class KMeans(NamedTuple):
    """Result of `kmeans`.

    Attributes
    ----------
    centroids : float64 [k, d]
    labels : int32 [n]
        The nearest centroid of each row.
    distances : float64 [n]
        Euclidean distance of each row (of its unit row, where spherical) to that centroid.
    iterations : int
        How often the centroids were moved.
    inertia : float
        Sum of the squared distances, each times its row's weight.
    """

    centroids: np.ndarray
    labels: np.ndarray
    distances: np.ndarray
    iterations: int
    inertia: float


class Rule(NamedTuple):
    """How centroids are moved, and when that ends; see `meddel_kernels.kmeans`.

    Attributes
    ----------
    iterations : int
        At most so many.
    threshold : float
        The end, where the summed squared movement is no greater.
    spherical : bool
    weights : float64 [n] or None
    callback : callable or None
        Told each iteration's number and inertia.
    """

    iterations: int
    threshold: float = 0.0
    spherical: bool = False
    weights: np.ndarray | None = None
    callback: Callable[[int, float], None] | None = None


def lloyd(rows: Rows, centroids: np.ndarray, rule: Rule) -> KMeans:
    """Move `centroids` (float64 [k, d]) by Lloyd's iterations, as `meddel_kernels.kmeans` states."""
    k, weights, callback = len(centroids), rule.weights, rule.callback
    p = power(rows, weights)
    previous: np.ndarray | None = None
    moves = 0
    while moves < rule.iterations:
        labels = rows.assign(centroids, previous)
        sizes = sizes_of(labels, k, weights)
        squares = rows.squares(centroids, labels) if callback is not None or not sizes.all() else None
        if squares is not None and not sizes.all():
            mass = mass_of(labels, k, weights)
            resolved = np.square(fixed_point.resolution(rows.d, p, rows.largest, sizes, mass))[labels]
            gains = np.where(squares > resolved, squares if weights is None else weights * squares, 0.0)
            labels, sizes = repaired(labels, sizes, gains, 0.0)
        if previous is not None and settled(labels, previous, weights):
            break
        moved = means_of(rows, labels, centroids, p, weights)
        if rule.spherical:
            moved = unit_or(moved, centroids)
        shift = float(np.square(moved - centroids).sum())
        centroids, previous, moves = moved, labels, moves + 1
        if callback is not None and squares is not None:
            callback(moves, inertia_of(np.sqrt(squares), weights))
        if shift <= rule.threshold:
            break
    return finished(rows, centroids, previous, moves, weights)


def finished(
    rows: Rows, centroids: np.ndarray, guess: np.ndarray | None, moves: int, weights: np.ndarray | None
) -> KMeans:
    """Return the result: the labels and distances of the centroids as they are now."""
    labels = rows.assign(centroids, guess)
    distances = np.sqrt(rows.squares(centroids, labels))
    return KMeans(centroids, labels, distances, moves, inertia_of(distances, weights))


def power(rows: Rows, weights: np.ndarray | None) -> int:
    """Return the power at which the rows, or those that have a weight, can be summed; see ``fixed_point``."""
    if weights is None:
        return fixed_point.power(rows.n, rows.largest)
    return fixed_point.power(int(np.count_nonzero(weights)), rows.largest * float(weights.max()))


def means_of(
    rows: Rows, labels: np.ndarray, empty: np.ndarray, p: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return each label's mean, float64 [k, d]; that of one without weight is its row of `empty`."""
    k = len(empty)
    sums = rows.sums(labels, k, p) if weights is None else rows.sums(labels, k, p, weights)
    return fixed_point.means(sums, mass_of(labels, k, weights), p, empty)


def mass_of(labels: np.ndarray, k: int, weights: np.ndarray | None) -> np.ndarray:
    """Return each label's number of rows, int64 [k], or their weights added up in the order of the rows."""
    return np.bincount(labels, weights, minlength=k)


def sizes_of(labels: np.ndarray, k: int, weights: np.ndarray | None) -> np.ndarray:
    """Return each label's number of rows that have a weight, int64 [k]."""
    return np.bincount(labels if weights is None else labels[weights > 0], minlength=k)


def settled(labels: np.ndarray, previous: np.ndarray, weights: np.ndarray | None) -> bool:
    """Tell whether no row that has a weight changed its label."""
    if weights is None:
        return np.array_equal(labels, previous)
    return not weights[labels != previous].any()


def unit_or(moved: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the means scaled to length 1; where one has no length, the centroid as it was."""
    scaled = unit_rows(moved)
    return np.where(scaled.any(axis=1)[:, None], scaled, centroids)


def inertia_of(distances: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the sum of the squared distances, each times its weight; infinite if it overflows."""
    with np.errstate(over="ignore"):
        squares = np.square(distances)
        return float((squares if weights is None else weights * squares).sum())


def repaired(labels: np.ndarray, sizes: np.ndarray, gains: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Give each empty cluster the row of greatest gain, by the rule that `kmeans` states.

    Parameters
    ----------
    labels : int32 [n]
    sizes : int64 [k]
    gains : float64 [n]
        Squared distance of each row to its centroid, times its weight.
    least : float
        Rows of no more gain than that stay.

    Returns
    -------
    The labels and sizes after it.
    """
    labels, sizes = labels.copy(), sizes.copy()
    farthest = iter(np.argsort(-gains, kind="stable"))
    for cluster in np.flatnonzero(sizes == 0):
        row = next((row for row in farthest if sizes[labels[row]] > 1 and gains[row] > least), None)
        if row is None:
            break
        sizes[labels[row]] -= 1
        labels[row], sizes[cluster] = cluster, 1
    return labels, sizes
