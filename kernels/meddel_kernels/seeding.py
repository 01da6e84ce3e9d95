"""Where K-means starts: k-means++, and k-means||, which takes few passes where the other takes k.

Both draw from squared distances that are exact, added up in the order of the rows, so that a seed means the same rows
on every back end. A draw's probability is a row's squared distance to the nearest row chosen before, times its weight.

- ``plus_plus``: Arthur and Vassilvitskii, k-means++: the advantages of careful seeding (SODA 2007).
- ``parallel``: Bahmani, Moseley, Vattani, Kumar and Vassilvitskii, Scalable k-means++ (VLDB 2012), Algorithm 2.
"""

from __future__ import annotations

import numpy as np

from meddel_kernels.clustering import Rows

_SHRINK = 2.0**-400  # keeps sums of squares from overflow, exactly


def plus_plus(rows: Rows, k: int, rng: np.random.Generator, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the rows that k-means++ starts from, in the order of their choice: int64 [k]."""
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
    """Return the rows that k-means|| starts from: int64 [k].

    Each round keeps, beside the candidates so far, every row by itself with probability ``oversampling k w d^2 / sum of
    w d^2``. Of the candidates, each with the weights of the rows that it is nearest to (ties: the earliest candidate),
    k-means++ draws k. If there are no more than k, all are chosen, and k-means++ goes on among all rows.
    """
    candidates = np.array([_first(rows.n, rng, weights)])
    owner, squares = np.zeros(rows.n, np.int64), np.full(rows.n, np.inf)
    rows.lower(squares, int(candidates[0]))
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
    """Return `start` and what k-means++ draws after it, int64 [k]; `squares` are those to all of `start` but the last,
    and are lowered in place."""
    chosen = np.empty(k, np.int64)
    chosen[: len(start)] = start
    for step in range(len(start), k):
        rows.lower(squares, int(chosen[step - 1]))
        chances, total = _chances(squares, weights)
        if total[-1] == 0:
            chances = _unchosen(chosen[:step], rows.n, weights)
            total = np.cumsum(chances)
        chosen[step] = _drawn(chances, total, rng.random() * total[-1])
    return chosen


def _first(n: int, rng: np.random.Generator, weights: np.ndarray | None) -> int:
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
    row = int(np.searchsorted(total, target, side="right"))
    # Rounding may draw beyond the last row that has a chance.
    return row if row < len(total) else int(np.flatnonzero(chances)[-1])
