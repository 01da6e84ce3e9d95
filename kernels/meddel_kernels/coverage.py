"""How well some rows cover the others: the k-center greedy, and the nearest of the rows that were kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.backends import Backend
from meddel_kernels.inputs import matrix, prepared, whole


class FarthestPoint(NamedTuple):
    """Result of `farthest_point`, in the order of choice.

    Attributes
    ----------
    rows : int64 [m]
        Distinct rows.
    distances : float64 [m]
        Euclidean distance of each to the nearest row chosen before, which never rises; that of the first is infinite.
    """

    rows: np.ndarray
    distances: np.ndarray


class NearestKept(NamedTuple):
    """Result of `nearest_kept`, by row of `x`.

    Attributes
    ----------
    kept : int64 [n]
        The nearest kept row.
    distances : float64 [n]
        Euclidean distance to it.
    """

    kept: np.ndarray
    distances: np.ndarray


def farthest_point(
    x: ArrayLike,
    m: int,
    *,
    start: int | None = None,
    seed: int = 0,
    callback: Callable[[int, float], None] | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> FarthestPoint:
    """Choose `m` rows, each the farthest from those chosen before: Gonzalez's greedy k-center (1985).

    No other `m` rows leave every row within less than half the distance that these do. Ties go to the lowest row; where
    every row equals a chosen one, the lowest row that is not chosen is next.

    Parameters
    ----------
    x, backend, threads
        As for `kmeans`.
    m : int
        From 1 to n.
    start : int or None
        The first row. None: drawn, all as likely.
    seed : int
        Seed of that draw, not negative.
    callback : callable or None
        Called after each choice with its number, from 1, and its distance.

    Raises
    ------
    ValueError
        `x` is no matrix of finite values up to 1e150, or `m` or `start` is out of range.
    """
    x = matrix(x, "x", backend, threads)
    n = len(x)
    if not 1 <= m <= n:
        raise ValueError(f"m {m} must lie between 1 and the number of rows, {n}")
    if start is not None and not 0 <= start < n:
        raise ValueError(f"start {start} must be a row, from 0 to {n - 1}")
    rows = prepared(x, backend, threads)
    squares, chosen = np.full(n, np.inf), np.zeros(n, bool)
    result = FarthestPoint(np.empty(m, np.int64), np.empty(m))
    row = int(np.random.default_rng(seed).integers(n)) if start is None else start
    for step in range(m):
        result.rows[step], result.distances[step] = row, np.sqrt(squares[row])
        chosen[row] = True
        if callback is not None:
            callback(step + 1, float(result.distances[step]))
        rows.min_distance(squares, row)
        row = int(np.argmax(squares))
        if chosen[row]:
            row = int(np.argmin(chosen))
    return result


def nearest_kept(
    x: ArrayLike, kept: ArrayLike, *, backend: Backend = "auto", threads: int | None = None
) -> NearestKept:
    """Find, for each row, the nearest of the `kept` rows; of equally near ones, the first in the order of `kept`.

    Parameters
    ----------
    x, backend, threads
        As for `kmeans`.
    kept : int [m]
        Distinct rows, at least one.

    Raises
    ------
    ValueError
        `x` is no matrix of finite values up to 1e150, or `kept` is empty, repeats a row or leaves the range.
    """
    x = matrix(x, "x", backend, threads)
    given = whole(kept, len(x), "kept").astype(np.int64)
    if not given.size or np.bincount(given).max() > 1:
        raise ValueError("kept must name one row or more, none of them twice")
    rows = prepared(x, backend, threads)
    centroids = rows.take(given)
    nearest = rows.assign(centroids, None)
    return NearestKept(given[nearest], np.sqrt(rows.squares(centroids, nearest)))
