"""K-means on arrays, whatever computes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.backends import Backend
from meddel_kernels.clustering import KMeans, Rows, Rule, lloyd
from meddel_kernels.minibatch import minibatch as by_batches
from meddel_kernels.operations.inputs import array, matrix, prepared, weights_of
from meddel_kernels.operations.seeds import check_k
from meddel_kernels.reference.pairs import blocks, unit_rows
from meddel_kernels.seeding import parallel, plus_plus

Start = Literal["k-means++", "k-means||"]


def kmeans(
    x: ArrayLike,
    k: int,
    *,
    seed: int = 0,
    start: Start | ArrayLike = "k-means++",
    starts: int = 1,
    iterations: int = 50,
    tolerance: float = 0.0,
    spherical: bool = False,
    weights: ArrayLike | None = None,
    minibatch: int | None = None,
    callback: Callable[[int, float], None] | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> KMeans:
    """Cluster the rows of `x` by Lloyd's iterations, or by batches.

    *Lloyd.* An iteration assigns each row to its nearest centroid (see `assign`), repairs empty clusters, and moves
    each centroid to the mean of its rows, a fixed-point sum (see ``fixed_point``). Empty clusters are repaired in the
    order of their index: each takes the row whose squared distance to its centroid, times its weight, is greatest
    (ties: the lowest row) among the rows that are neither nearer than the sums resolve nor alone in their cluster.
    Where there is none, that is, where `x` has fewer than `k` distinct rows, it stays empty and its centroid in place.
    The iterations end when no label changes, or when the centroids' squared movement, summed, is at most `tolerance`
    times the mean variance of the columns (of all rows, without weights).

    *Batches.* An iteration draws `minibatch` distinct rows, all as likely, finds their nearest centroids, and moves
    each centroid to the mean of all rows that the batches so far have given it, a row as often as it was drawn. That
    is Sculley's rule: a step of 1 / (rows so far) for each row. The first row of a centroid takes it from its start;
    one that gets none stays there. Nothing is repaired. The iterations end by number, or by a `tolerance` above 0.

    In the end labels and distances are those of the returned centroids, for all rows.

    *Weights.* A row of weight w counts as w equal rows do in means, draws and inertia. A row of weight 0 only gets a
    label; a cluster of such rows counts as empty. Weights that are all 1 change nothing. Weighted means resolve less
    where the weights differ by more than a million-fold (see ``fixed_point``).

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
    starts : int
        How many to try, at least 1: the least inertia is returned, of equals the earliest. The first draws from
        ``numpy.random.default_rng(seed)``, start t, from 0, from ``default_rng([seed, t])``; batches go on from there.
    iterations : int
        At most so many, at least 1.
    tolerance : float
        At least 0.
    spherical : bool
        Cluster the unit rows by cosine: scale each mean to length 1 (one of length 0 leaves its centroid in place).
    weights : float [n] or None
        Finite, at least 0, the largest between 1e-30 and 1e30.
    minibatch : int or None
        Rows in a batch, from 1 to n. None: Lloyd.
    callback : callable or None
        Called after each iteration with its number, from 1 in each start, and the inertia before the move; that of the
        batch, where there are batches.
    backend : {"auto", "cpu", "cuda", "numba-cuda", "reference"}
        Who computes; the answer is the same to the last bit. ``auto`` is the fastest one here.
    threads : int or None
        None means ``NUMBA_NUM_THREADS``, by default all cores.

    Raises
    ------
    ValueError
        `x` or `start` is no matrix of finite values up to 1e150, or another parameter is out of range.
    """
    x = unit_rows(array(x, "x")) if spherical else matrix(x, "x", backend, threads)
    n, d = x.shape
    check_k(k, n)
    if iterations < 1 or not tolerance >= 0:
        raise ValueError(f"iterations {iterations} must be at least 1 and tolerance {tolerance} at least 0")
    if minibatch is not None and not 1 <= minibatch <= n:
        raise ValueError(f"minibatch {minibatch} must lie between 1 and the number of rows, {n}")
    draw, given = _start(start, k, d)
    if starts < 1 or (starts > 1 and given is not None and minibatch is None):
        raise ValueError(f"starts {starts} must be at least 1, and 1 from given centroids")
    checked = weights_of(weights, n)
    rows = prepared(x, backend, threads)
    threshold = tolerance * _variance(rows) if tolerance else 0.0
    rule = Rule(iterations, threshold, spherical, checked, callback)
    best: KMeans | None = None
    for turn in range(starts):
        rng = np.random.default_rng([seed, turn] if turn else seed)
        centroids = rows.take(draw(rows, k, rng, checked)) if given is None else given
        if minibatch is None:
            result = lloyd(rows, centroids, rule)
        else:
            result = by_batches(rows, centroids, rule, size=minibatch, rng=rng)
        if best is None or result.inertia < best.inertia:
            best = result
    return best


def _start(start: Start | ArrayLike, k: int, d: int) -> tuple[Callable[..., np.ndarray], np.ndarray | None]:
    """Return what draws the rows to start from, and the centroids where they are given."""
    if isinstance(start, str):
        if start not in get_args(Start):
            raise ValueError(f"unknown start {start!r}: choose one of {', '.join(get_args(Start))}, or give centroids")
        return (parallel if start == "k-means||" else plus_plus), None
    given = np.ascontiguousarray(matrix(start, "start"), np.float64)
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
