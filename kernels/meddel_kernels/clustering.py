"""K-means, the algorithm: whatever computes distances and sums, it goes through the same steps to the same bytes.

A back end prepares the matrix once, as `Rows`, and answers four questions about it. Every answer is exact, so that no
choice that is made here (a draw, a repair, the end) can differ between back ends.
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

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None) -> np.ndarray:
        """Return the nearest of the centroids (float64 [k, d]) for each row, int32 [n]; a good guess saves work."""
        ...

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]."""
        ...

    def lower(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances (float64 [n]) by that to row `index` where that is less."""
        ...

    def sums(self, labels: np.ndarray, k: int, p: int) -> np.ndarray:
        """Return the fixed-point sum of each label's rows, int64 [k, d]."""
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
        Sum of the squared distances.
    """

    centroids: np.ndarray
    labels: np.ndarray
    distances: np.ndarray
    iterations: int
    inertia: float


def plus_plus(rows: Rows, k: int, seed: int) -> np.ndarray:
    """Return the rows that k-means++ starts from, int64 [k]."""
    rng = np.random.default_rng(seed)
    chosen = np.empty(k, np.int64)
    chosen[0] = rng.integers(rows.n)
    squares = np.full(rows.n, np.inf)
    for step in range(1, k):
        rows.lower(squares, int(chosen[step - 1]))
        weights = squares
        if not squares.any():
            weights = np.ones(rows.n)
            weights[chosen[:step]] = 0.0
        total = np.cumsum(weights)
        drawn = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
        # Rounding may draw beyond the last row that has a weight.
        chosen[step] = drawn if drawn < rows.n else np.flatnonzero(weights)[-1]
    return chosen


def lloyd(
    rows: Rows,
    centroids: np.ndarray,
    *,
    iterations: int,
    tolerance: float,
    variance: float,
    spherical: bool,
    callback: Callable[[int, float], None] | None,
) -> KMeans:
    """Move `centroids` (float64 [k, d]) by Lloyd's iterations, as `meddel_kernels.kmeans` states."""
    k = len(centroids)
    p = fixed_point.power(rows.n, rows.largest)
    resolved = fixed_point.resolution(rows.d, p) ** 2
    previous: np.ndarray | None = None
    moves = 0
    while moves < iterations:
        labels = rows.assign(centroids, previous)
        sizes = np.bincount(labels, minlength=k)
        squares = rows.squares(centroids, labels) if callback is not None or not sizes.all() else None
        if squares is not None and not sizes.all():
            labels, sizes = repaired(labels, sizes, squares, resolved)
        if previous is not None and np.array_equal(labels, previous):
            break
        moved = fixed_point.means(rows.sums(labels, k, p), sizes, p, centroids)
        if spherical:
            scaled = unit_rows(moved)
            moved = np.where(scaled.any(axis=1)[:, None], scaled, centroids)
        shift = float(np.square(moved - centroids).sum())
        centroids, previous, moves = moved, labels, moves + 1
        if callback is not None and squares is not None:
            callback(moves, inertia_of(np.sqrt(squares)))
        if shift <= tolerance * variance:
            break
    labels = rows.assign(centroids, previous)
    distances = np.sqrt(rows.squares(centroids, labels))
    return KMeans(centroids, labels, distances, moves, inertia_of(distances))


def inertia_of(distances: np.ndarray) -> float:
    """Return the sum of the squared distances."""
    return float(np.square(distances).sum())


def repaired(
    labels: np.ndarray, sizes: np.ndarray, squares: np.ndarray, resolved: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give each empty cluster the row that lies farthest from its centroid, by the rule that `kmeans` states."""
    labels, sizes = labels.copy(), sizes.copy()
    farthest = iter(np.argsort(-squares, kind="stable"))
    for cluster in np.flatnonzero(sizes == 0):
        row = next((row for row in farthest if sizes[labels[row]] > 1 and squares[row] > resolved), None)
        if row is None:
            break
        sizes[labels[row]] -= 1
        labels[row], sizes[cluster] = cluster, 1
    return labels, sizes
