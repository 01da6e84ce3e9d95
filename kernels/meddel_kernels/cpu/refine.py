"""The tiers behind a screen of centroids: float32 distances of candidates, and float64 where those can't decide.

Formula. A float32 distance is a sum of squared differences in any order. It errs by at most ``2^-23 (|x| + |c|) +
(d / 2 + 8) 2^-24 D``, and the exact sums lose what ``quantize.vanished`` says. Candidates whose lower bound is above
the least upper bound are out; where more than one is left, the exact numbers decide, ties to the lowest centroid.

Contract. As ``assign``. Bytes moved: 4 d of x for a row, and of each candidate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.bounds import FAR, LISTED
from meddel_kernels.cpu.exact import DEPTH, total
from meddel_kernels.cpu.llvm import LANES, ROWS, TILE, njit_raw
from meddel_kernels.cpu.quantize import ROUNDING, Basis, Codes, pack, quantize

BLOCK = 96


class Table(NamedTuple):
    """A matrix, prepared."""

    x: np.ndarray  # float32 or float64 [n, d]: the rows, exact
    rounded: np.ndarray  # float32 [n, d]: the same in a unit of their own
    norm: np.ndarray  # float32 [n]: their lengths in it
    codes: Codes
    factor: float  # what turns distances in that unit into the codes'
    cuts: np.ndarray  # `exact.plan(d)`
    wrong: np.float32  # a float32 distance errs by 2^-23 (|x| + |c|) + wrong, tiny squares in exact sums included,
    share: np.float32  # and by this share of itself
    vanished: np.float32  # what tiny squares lose, in the codes' unit


class Centroids(NamedTuple):
    """Centroids, prepared; columns beyond k can't win."""

    exact: np.ndarray  # float64 [k, d]
    rounded: np.ndarray  # float32 [k, d]: in the unit of `Table.rounded`
    tiles: np.ndarray  # uint8 [p, l / 4, 64, 4]
    scale: np.ndarray  # float32 [64 p]: s_c
    residual: np.ndarray  # float32 [64 p]: r_c
    half_square: np.ndarray  # float32 [64 p]: |c'|^2 / 2
    length: np.float32  # the largest of |s q|
    error: np.float32  # of e
    half_most: np.float32  # of |c'|^2 / 2
    residual_most: np.float32  # of r
    norm: np.float32  # and of the lengths of `rounded`


class Workspace(NamedTuple):
    """The memory that one thread writes to."""

    products: np.ndarray  # int32 [BLOCK, 64 p]: of a block with all centroids
    few: np.ndarray  # int32 [BLOCK, 64]: with the movers
    waiting: np.ndarray  # int64 [BLOCK]: rows that wait for the screen
    q: np.ndarray  # int8 [BLOCK + 6, l]: their codes
    columns: np.ndarray  # int32 [.]: one row's candidates
    low: np.ndarray  # float32 [.]: their lower bounds
    distance: np.ndarray  # float32 [.]: their float32 distances
    stack: np.ndarray  # float64 [DEPTH]: for `exact`


def prepare(centroids: np.ndarray, basis: Basis, unit: float) -> Centroids:
    """Return `centroids` (float64 [k, d]) prepared; ``Table.rounded`` is in multiples of `unit`."""
    k, codes = len(centroids), quantize(centroids, basis)
    tiles = pack(codes.q[:k])
    scale, residual = (np.zeros(len(tiles) * TILE, np.float32) for _ in range(2))
    half_square = np.full(len(tiles) * TILE, FAR)
    scale[:k], residual[:k], half_square[:k] = codes.scale, codes.residual, codes.square / 2
    rounded = (centroids * unit).astype(np.float32)
    norm = np.float32(np.sqrt(np.square(rounded, dtype=np.float64).sum(axis=1).max()))
    most = (part.max() for part in (codes.length, codes.error, half_square[:k], codes.residual))
    return Centroids(centroids, rounded, tiles, scale, residual, half_square, *most, norm)


def some_centroids(c: Centroids, columns: np.ndarray) -> Centroids:
    """Return at most one tile of the prepared centroids (int32 [m]) for a screen of their own."""
    m, quads = len(columns), c.tiles.shape[1]
    tiles = np.full((1, quads, TILE, 4), 128, np.uint8)
    tiles[0, :, :m] = c.tiles[columns // TILE, :, columns % TILE].transpose(1, 0, 2)
    scale, residual, half_square = np.zeros(TILE, np.float32), np.zeros(TILE, np.float32), np.full(TILE, FAR)
    scale[:m], residual[:m], half_square[:m] = c.scale[columns], c.residual[columns], c.half_square[columns]
    return c._replace(tiles=tiles, scale=scale, residual=residual, half_square=half_square)


def new_workspace(t: Table, c: Centroids) -> Workspace:
    """Return a workspace for one thread."""
    columns = c.scale.shape[0]
    candidates = max(columns, LISTED + 1) + LANES
    return Workspace(
        products=np.empty((BLOCK, columns), np.int32),
        few=np.empty((BLOCK, TILE), np.int32),
        waiting=np.empty(BLOCK, np.int64),
        q=np.zeros((BLOCK + ROWS, t.codes.q.shape[1]), np.int8),
        columns=np.empty(candidates, np.int32),
        low=np.empty(candidates, np.float32),
        distance=np.empty(candidates, np.float32),
        stack=np.empty(DEPTH),
    )


@njit_raw(fastmath=True)
def distance32(a: np.ndarray, i: int, b: np.ndarray, j: int) -> float:
    """Return the float32 distance of two rows, in whatever order is fastest."""
    total = np.float32(0)
    for column in range(a.shape[1]):
        term = a[i, column] - b[j, column]
        total += term * term
    return np.sqrt(total)


@njit_raw()
def error_bound(t: Table, i: int, c: Centroids) -> float:
    """Return by how much a float32 distance of row `i` can be wrong, but for the share ``t.share`` of it."""
    return np.float32(2.0**-23) * (t.norm[i] + c.norm) + t.wrong


@njit_raw()
def slack(t: Table, i: int, c: Centroids) -> float:
    """Return b_i of ``assign``: what rounding to int8 and float32 may add to a score of row `i`."""
    return np.float32(
        t.codes.error[i] * c.length + (t.codes.length[i] + t.codes.error[i]) * c.error
        + ROUNDING * (t.codes.length[i] * c.length + t.codes.residual[i] * c.residual_most + c.half_most)
        + ROUNDING * np.float32(t.codes.square[i])
    )  # fmt: skip


@njit_raw()
def winner_of(
    t: Table, c: Centroids, count: int, known: int, distance: float, i: int, work: Workspace, counts: np.ndarray
) -> int:
    """Return which of `count` candidates is the nearest, `known` at its float32 `distance` among them.

    ``work.columns`` and ``work.low`` are the candidates and their lower bounds; these are raised.
    """
    wrong, one = error_bound(t, i, c), np.float32(1)
    most = (distance + wrong) * (one + t.share)
    for at in range(count):
        work.distance[at] = -one
        if work.columns[at] == known or work.low[at] <= most:
            value = distance
            if work.columns[at] != known:
                value = distance32(t.rounded, i, c.rounded, work.columns[at])
                counts[0] += 1
            work.distance[at] = value
            work.low[at] = max(np.float32(0), (value - wrong) * (one - t.share))
            most = min(most, (value + wrong) * (one + t.share))
    winner, left = -1, 0
    for at in range(count):
        if work.distance[at] >= 0 and work.low[at] <= most:
            winner = at
            left += 1
    if left > 1:
        counts[1] += 1
        winner = _decide(t, c, count, most, i, work)
    return winner


@njit_raw()
def _decide(t: Table, c: Centroids, count: int, most: float, i: int, work: Workspace) -> int:
    """Return which of the candidates within float32's error is nearest in float64, ties to the lowest centroid."""
    least, winner = np.inf, -1
    for at in range(count):
        if work.distance[at] >= 0 and work.low[at] <= most:
            value = total(t.x, i, c.exact, work.columns[at], t.cuts, work.stack, True)
            if value < least or (value == least and work.columns[at] < work.columns[winner]):
                least, winner = value, at
    return winner
