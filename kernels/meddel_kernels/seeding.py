"""Where K-means starts: k-means++, and k-means||, which takes few passes where the other takes k.

Both draw from squared distances that are exact, added up in the order of the rows, so that a seed means the same rows
on every back end. A draw's probability is a row's squared distance to the nearest row chosen before, times its weight.

- ``plus_plus``: Arthur and Vassilvitskii, k-means++: the advantages of careful seeding (SODA 2007).
- ``parallel``: Bahmani, Moseley, Vattani, Kumar and Vassilvitskii, Scalable k-means++ (VLDB 2012), Algorithm 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.backends import Backend, Rows
from meddel_kernels.inputs import matrix, prepared, weights_of

_SHRINK = 2.0**-400  # keeps sums of squares from overflow, exactly


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
    sum of ``w d^2``. Of the candidates, each with the weights of the rows that it is nearest to (ties: the earliest
    candidate), k-means++ draws k. Where there are no more than k, all are taken and k-means++ draws the others from all
    rows.

    Parameters
    ----------
    x, k, seed, weights, backend, threads
        As for `kmeans_plus_plus`.
    oversampling : float
        Candidates to expect of a round, in multiples of `k`; above 0. The paper's l is ``oversampling k``.
    rounds : int
        At least 0.

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
    """Refuse a number of clusters that `n` rows can't have."""
    if not 1 <= k <= n:
        raise ValueError(f"k {k} must lie between 1 and the number of rows, {n}")


def plus_plus(rows: Rows, k: int, rng: np.random.Generator, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the rows that `kmeans_plus_plus` draws from a generator: int64 [k]."""
    first = _first(rows.n, rng, weights)
    return _extended(rows, np.array([first]), np.full(rows.n, np.inf), k, rng, weights)


def parallel(
    rows: Rows,
    k: int,
    rng: np.random.Generator,
    weights: np.ndarray | None = None,
    *,
    oversampling: float = 2.0,
    rounds: int = 5,
) -> np.ndarray:
    """Return the rows that `kmeans_parallel` draws from a generator: int64 [k]."""
    candidates = np.array([_first(rows.n, rng, weights)])
    owner, squares = np.zeros(rows.n, np.int64), np.full(rows.n, np.inf)
    rows.min_distance(squares, int(candidates[0]))
    for _ in range(rounds):
        chances, total = _chances(squares, weights)
        if total[-1] == 0:
            break
        new = np.flatnonzero(rng.random(rows.n) * total[-1] < oversampling * k * chances)
        if not new.size:
            continue
        centroids = rows.take(new)
        nearest = rows.assign(centroids, None)
        found = rows.squares(centroids, nearest)
        nearer = found < squares
        owner[nearer] = len(candidates) + nearest[nearer]
        squares[nearer] = found[nearer]
        candidates = np.concatenate([candidates, new])
    if len(candidates) <= k:
        return _extended(rows, candidates, squares, k, rng, weights)
    mass = np.bincount(owner, weights, minlength=len(candidates)).astype(np.float64)
    return candidates[plus_plus(rows.subset(candidates), k, rng, mass)]


def _extended(
    rows: Rows, start: np.ndarray, squares: np.ndarray, k: int, rng: np.random.Generator, weights: np.ndarray | None
) -> np.ndarray:
    """Return `start` and what k-means++ draws after it, int64 [k].

    `squares` are the squared distances to all of `start` but the last; they are lowered in place.
    """
    chosen = np.empty(k, np.int64)
    chosen[: len(start)] = start
    for step in range(len(start), k):
        rows.min_distance(squares, int(chosen[step - 1]))
        chances, total = _chances(squares, weights)
        if total[-1] == 0:
            chances = _unchosen(chosen[:step], rows.n, weights)
            total = np.cumsum(chances)
        chosen[step] = _drawn(chances, total, rng.random() * total[-1])
    return chosen


def _first(n: int, rng: np.random.Generator, weights: np.ndarray | None) -> int:
    """Draw the first row, by weight."""
    if weights is None:
        return int(rng.integers(n))
    total = np.cumsum(weights)
    # A row of whole weight w is drawn as w equal rows would be.
    whole = total[-1] <= 2**53 and bool((weights == np.rint(weights)).all())
    return _drawn(weights, total, rng.integers(int(total[-1])) if whole else rng.random() * total[-1])


def _chances(squares: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return what each row's probability is in proportion to, and its cumulative sum."""
    with np.errstate(over="ignore"):
        chances = squares if weights is None else weights * squares
        total = np.cumsum(chances)
    return (chances, total) if total[-1] < np.inf else _chances(squares * _SHRINK, weights)


def _unchosen(chosen: np.ndarray, n: int, weights: np.ndarray | None) -> np.ndarray:
    """Return the weights of the rows that are not chosen; if none is left that has a weight, 1 for each."""
    chances = np.ones(n) if weights is None else weights.copy()
    chances[chosen] = 0.0
    return chances if chances.any() else _unchosen(chosen, n, None)


def _drawn(chances: np.ndarray, total: np.ndarray, target: float) -> int:
    """Return the row whose share of the cumulative sum holds the target."""
    row = int(np.searchsorted(total, target, side="right"))
    # Rounding may draw beyond the last row that has a chance.
    return row if row < len(total) else int(np.flatnonzero(chances)[-1])
