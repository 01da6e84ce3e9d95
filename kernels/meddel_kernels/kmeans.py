"""K-means: Lloyd's iterations, which go through the same steps to the same bytes whatever computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels import fixed_point
from meddel_kernels.backends import Backend, Rows
from meddel_kernels.inputs import float64, matrix, prepared, weights_of, whole
from meddel_kernels.pairs import blocks
from meddel_kernels.seeding import check_k, parallel, plus_plus
from meddel_kernels.unit_rows import scaled, unit_rows

Start = Literal["k-means++", "k-means||"]


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


def kmeans(
    x: ArrayLike,
    k: int,
    *,
    seed: int = 0,
    start: Start | ArrayLike = "k-means++",
    iterations: int = 50,
    tolerance: float = 0.0,
    spherical: bool = False,
    weights: ArrayLike | None = None,
    callback: Callable[[int, float], None] | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> KMeans:
    """Cluster the rows of `x` by Lloyd's iterations.

    An iteration assigns each row to its nearest centroid (see `assign`), repairs empty clusters, and moves each
    centroid to the mean of its rows, a fixed-point sum (see ``fixed_point``). Empty clusters are repaired in the order
    of their index: each takes the row whose squared distance to its centroid, times its weight, is greatest (ties: the
    lowest row) among the rows that are neither nearer than the sums resolve nor alone in their cluster. Where there is
    none, that is, where `x` has fewer than `k` distinct rows, it stays empty and its centroid in place. The iterations
    end when no label changes, or when the centroids' squared movement, summed, is at most `tolerance` times the mean
    variance of the columns (of all rows, without weights). Labels and distances are those of the returned centroids.

    A row of weight w counts as w equal rows do in means, draws and inertia. A row of weight 0 only gets a label; a
    cluster of such rows counts as empty. Weights that are all 1 change nothing. Weighted means resolve less where the
    weights differ by more than a million-fold (see ``fixed_point``).

    Parameters
    ----------
    x : matrix [n, d]
        float16, bfloat16, float32 or float64; NumPy, torch, CuPy, or what speaks their protocols (see ``inputs``).
        Where `spherical`, the unit rows are computed on the host.
    k : int
        Number of clusters, from 1 to n.
    seed : int
        Seed of all draws, not negative.
    start : {"k-means++", "k-means||"} or matrix [k, d]
        How to draw the rows to start from (see `kmeans_plus_plus`, `kmeans_parallel`), or the centroids themselves.
    iterations : int
        At most so many, at least 1.
    tolerance : float
        At least 0.
    spherical : bool
        Cluster the unit rows by cosine: scale each mean to length 1 (one of length 0 leaves its centroid in place).
    weights : float [n] or None
        Finite, at least 0, the largest between 1e-30 and 1e30.
    callback : callable or None
        Called after each iteration with its number, from 1, and the inertia before the move.
    backend : {"auto", "cpu", "cuda", "numba-cuda", "reference"}
        What computes; the answer is the same to the last bit. ``auto`` is ``cpu``.
    threads : int or None
        None means ``NUMBA_NUM_THREADS``, by default all cores.

    Raises
    ------
    ValueError
        `x` or `start` is no matrix of finite values up to 1e150, or another parameter is out of range.
    """
    x = unit_rows(x) if spherical else matrix(x, "x", backend, threads)
    n, d = x.shape
    check_k(k, n)
    if iterations < 1 or not tolerance >= 0:
        raise ValueError(f"iterations {iterations} must be at least 1 and tolerance {tolerance} at least 0")
    draw, given = _start(start, k, d)
    checked = weights_of(weights, n)
    rows = prepared(x, backend, threads)
    threshold = tolerance * _variance(rows) if tolerance else 0.0
    centroids = rows.take(draw(rows, k, np.random.default_rng(seed), checked)) if given is None else given
    return lloyd(rows, centroids, iterations, threshold, spherical, checked, callback)


def lloyd(
    rows: Rows,
    centroids: np.ndarray,
    iterations: int,
    threshold: float = 0.0,
    spherical: bool = False,
    weights: np.ndarray | None = None,
    callback: Callable[[int, float], None] | None = None,
) -> KMeans:
    """Move `centroids` (float64 [k, d]) as `kmeans` states, until their squared movement is at most `threshold`."""
    k = len(centroids)
    p = _power(rows, weights)
    previous: np.ndarray | None = None
    moves = 0
    plain = weights is None and callback is None and not spherical and threshold == 0
    advance = getattr(rows, "advance", None) if plain else None
    while moves < iterations:
        if advance is not None:
            centroids, previous, made = advance(centroids, previous, p, iterations - moves)
            moves += made
            if moves == iterations:
                break
        labels = rows.assign(centroids, previous)
        sizes = np.bincount(labels if weights is None else labels[weights > 0], minlength=k)
        squares = rows.squares(centroids, labels) if callback is not None or not sizes.all() else None
        if squares is not None and not sizes.all():
            mass = np.bincount(labels, weights, minlength=k)
            resolved = np.square(fixed_point.resolution(rows.d, p, rows.largest, sizes, mass))[labels]
            gains = np.where(squares > resolved, squares if weights is None else weights * squares, 0.0)
            labels, sizes = repaired(labels, sizes, gains, 0.0)
        if previous is not None and not (labels != previous if weights is None else weights[labels != previous]).any():
            break
        moved = _means(rows, labels, centroids, p, weights)
        if spherical:
            moved = scaled(moved)
            moved = np.where(moved.any(axis=1)[:, None], moved, centroids)
        shift = float(np.square(moved - centroids).sum())
        centroids, previous, moves = moved, labels, moves + 1
        if callback is not None and squares is not None:
            callback(moves, _inertia(np.sqrt(squares), weights))
        if shift <= threshold:
            break
    labels = rows.assign(centroids, previous)
    distances = np.sqrt(rows.squares(centroids, labels))
    return KMeans(centroids, labels, distances, moves, _inertia(distances, weights))


def update(
    x: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    weights: ArrayLike | None = None,
    previous: ArrayLike | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """Return the mean of each label's rows, a fixed-point sum (see ``fixed_point``): the same bytes in any order.

    Parameters
    ----------
    x, weights, backend, threads
        As for `kmeans`.
    labels : int [n]
        From 0 to k - 1.
    k : int
        At least 1.
    previous : matrix [k, d] or None
        What a label without rows, or without weight, gets. None: there must be no such label.

    Returns
    -------
    float64 [k, d]

    Raises
    ------
    ValueError
        `x` or `previous` is no matrix of finite values up to 1e150 of that shape, a label or a weight is out of range,
        or a label is empty and there is no `previous`.
    """
    x = matrix(x, "x", backend, threads)
    n, d = x.shape
    if k < 1:
        raise ValueError(f"k {k} must be at least 1")
    given, checked = whole(labels, k, "labels").astype(np.int32), weights_of(weights, n)
    if given.shape != (n,):
        raise ValueError(f"labels must be {n}, one for each row, not {len(given)}")
    if previous is None:
        empty = np.flatnonzero(np.bincount(given, checked, minlength=k) == 0)
        if empty.size:
            raise ValueError(f"label {empty[0]} has no rows or no weight: give the previous centroids")
    before = np.zeros((k, d)) if previous is None else float64(previous, "previous")
    if before.shape != (k, d):
        raise ValueError(f"previous has shape {before.shape}, not {(k, d)}")
    rows = prepared(x, backend, threads)
    return _means(rows, given, before, _power(rows, checked), checked)


def repaired(labels: np.ndarray, sizes: np.ndarray, gains: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Give each empty cluster the row of greatest gain, by the rule that `kmeans` states; return labels and sizes.

    `labels` is int32 [n], `sizes` int64 [k], `gains` float64 [n] each row's squared distance to its centroid, times its
    weight; rows of no more gain than `least` stay.
    """
    labels, sizes = labels.copy(), sizes.copy()
    farthest = _by_falling(gains, 1024 + 4 * int(np.count_nonzero(sizes == 0)))
    for cluster in np.flatnonzero(sizes == 0):
        row = next((row for row in farthest if sizes[labels[row]] > 1 and gains[row] > least), None)
        if row is None:
            break
        sizes[labels[row]] -= 1
        labels[row], sizes[cluster] = cluster, 1
    return labels, sizes


def _by_falling(gains: np.ndarray, first: int) -> Iterator[int]:
    """Yield the rows by falling gain, ties in their order; the first few without sorting the others."""
    rest = np.ones(len(gains), bool)
    if first < len(gains):
        few = gains >= np.partition(gains, len(gains) - first)[len(gains) - first]
        rows, rest = np.flatnonzero(few), ~few
        yield from rows[np.argsort(-gains[rows], kind="stable")]
    rows = np.flatnonzero(rest)
    yield from rows[np.argsort(-gains[rows], kind="stable")]


def _power(rows: Rows, weights: np.ndarray | None) -> int:
    """Return the power at which the rows, or those that have a weight, can be summed; see ``fixed_point``."""
    if weights is None:
        return fixed_point.power(rows.n, rows.largest)
    return fixed_point.power(int(np.count_nonzero(weights)), rows.largest * float(weights.max()))


def _means(rows: Rows, labels: np.ndarray, empty: np.ndarray, p: int, weights: np.ndarray | None) -> np.ndarray:
    """Return each label's mean, float64 [k, d]; that of one without weight is its row of `empty`."""
    k = len(empty)
    sums = rows.sums(labels, k, p) if weights is None else rows.sums(labels, k, p, weights)
    return fixed_point.means(sums, np.bincount(labels, weights, minlength=k), p, empty)


def _inertia(distances: np.ndarray, weights: np.ndarray | None) -> float:
    """Return the sum of the squared distances, each times its weight; infinite if it overflows."""
    with np.errstate(over="ignore"):
        squares = np.square(distances)
        return float((squares if weights is None else weights * squares).sum())


def _start(start: Start | ArrayLike, k: int, d: int) -> tuple[Callable[..., np.ndarray], np.ndarray | None]:
    """Return what draws the rows to start from, and the centroids where they are given."""
    if isinstance(start, str):
        if start not in get_args(Start):
            raise ValueError(f"unknown start {start!r}: choose one of {', '.join(get_args(Start))}, or give centroids")
        return (parallel if start == "k-means||" else plus_plus), None
    given = float64(start, "start")
    if given.shape != (k, d):
        raise ValueError(f"start has shape {given.shape}, not {(k, d)}")
    return plus_plus, given


def _variance(rows: Rows) -> float:
    """Return the mean variance of the columns, from their distances to the first row, in one pass."""
    first, total, squares = rows.take(np.array([0]))[0], np.zeros(rows.d), np.zeros(rows.d)
    for part in blocks(rows.n, rows.d):
        block = rows.take(np.arange(part.start, part.stop)) - first
        total += block.sum(axis=0)
        squares += np.square(block).sum(axis=0)
    return float(np.maximum(squares / rows.n - np.square(total / rows.n), 0.0).mean())
