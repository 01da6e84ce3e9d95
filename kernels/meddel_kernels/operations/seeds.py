"""The rows that K-means starts from, whatever computes the distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.backends import Backend
from meddel_kernels.operations.inputs import matrix, prepared, weights_of
from meddel_kernels.seeding import parallel, plus_plus


def kmeans_plus_plus(
    x: ArrayLike,
    k: int,
    *,
    seed: int,
    weights: ArrayLike | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """Choose `k` distinct rows to start from: each with probability in proportion to its weight times its squared
    distance to the nearest row chosen before (Arthur and Vassilvitskii 2007), the first in proportion to its weight.

    Where every row equals a chosen one, the next is drawn by weight from the rows that were not chosen; where none of
    these has a weight, uniformly. Whole weights draw what as many equal rows, one after the other, would.

    Parameters
    ----------
    x : matrix [n, d]
        As for `kmeans`.
    k : int
        From 1 to n.
    seed : int
        Seed of the draws, not negative.
    weights, backend, threads
        As for `kmeans`.

    Returns
    -------
    int64 [k], the rows in the order of their choice.

    Raises
    ------
    ValueError
        As for `kmeans`.
    """
    x = matrix(x, "x", backend, threads)
    check_k(k, len(x))
    checked = weights_of(weights, len(x))
    return plus_plus(prepared(x, backend, threads), k, np.random.default_rng(seed), checked)


def kmeans_parallel(
    x: ArrayLike,
    k: int,
    *,
    seed: int,
    oversampling: float = 2.0,
    rounds: int = 5,
    weights: ArrayLike | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """Choose `k` distinct rows to start from in a few rounds over `x`: k-means|| (Bahmani et al. 2012, Algorithm 2).

    The first candidate is drawn by weight. In a round each row becomes a candidate by itself, with probability
    ``min(1, oversampling k w d^2 / phi)``: d is its distance to the nearest candidate of the rounds before, and phi the
    sum of ``w d^2``. Of the candidates, weighted with the rows that are nearest to them, k-means++ draws k. Where
    there are no more than k, all are taken and k-means++ draws the others from all rows.

    Parameters
    ----------
    x : matrix [n, d]
        As for `kmeans`.
    k : int
        From 1 to n.
    seed : int
        Seed of the draws, not negative.
    oversampling : float
        Candidates to expect of a round, in multiples of `k`; above 0. The paper's l is ``oversampling k``.
    rounds : int
        At least 0.
    weights, backend, threads
        As for `kmeans`.

    Returns
    -------
    int64 [k], the rows in the order of their choice.

    Raises
    ------
    ValueError
        As for `kmeans`, or `oversampling` or `rounds` is out of range.
    """
    x = matrix(x, "x", backend, threads)
    check_k(k, len(x))
    if not 0 < oversampling < np.inf or rounds < 0:
        raise ValueError(f"oversampling {oversampling} must be above 0 and rounds {rounds} at least 0")
    checked, rng = weights_of(weights, len(x)), np.random.default_rng(seed)
    rows = prepared(x, backend, threads)
    return parallel(rows, k, rng, checked, oversampling=oversampling, rounds=rounds)


def check_k(k: int, n: int) -> None:
    """Refuse a number of clusters that `n` rows can't have.

    Raises
    ------
    ValueError
        It is below 1 or above `n`.
    """
    if not 1 <= k <= n:
        raise ValueError(f"k {k} must lie between 1 and the number of rows, {n}")
