"""The tiers behind a screen: the float32 distances of candidates, and float64 where those can't tell.

Formula. A float32 distance is a sum of squared differences in any order. It errs by at most ``2^-23 (|x| + |c|) +
(d / 2 + 8) 2^-24 D``, and the exact sums lose what ``lead.vanished`` says. Candidates whose lower bound is above the
least upper bound are out; where more than one is left, the exact numbers decide, ties to the lowest centroid.

Contract. As ``nearest``. Bytes moved: 4 d of x for a row, and of each candidate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.bounds import LISTED
from meddel_kernels.cpu.centroids import Centroids
from meddel_kernels.cpu.exact import DEPTH, squared_difference
from meddel_kernels.cpu.lead import ROUNDING, Lead
from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import PANEL, ROWS
from meddel_kernels.cpu.reaching import LANES

BLOCK = 96


class Table(NamedTuple):
    """A matrix as the tiers want it.

    Attributes
    ----------
    x : float32 or float64 [n, d]
        The rows, exact.
    rounded : float32 [n, d]
        The same in the unit of ``Centroids.rounded``, and their lengths `norm`, float32 [n].
    leads : Lead
    factor : float
        f over that unit: what turns tier 2's distances into the leads'.
    cuts : int64 [m, 3]
        ``exact.plan(d)``.
    wrong, steps : float32
        Tier 2 errs by at most ``2^-23 (|x| + |c|) + wrong`` and by the share `steps`; `wrong` also holds what tiny
        squares lose in the exact sums.
    vanished : float32
        That loss in the leads' unit; see ``lead.vanished``.
    """

    x: np.ndarray
    rounded: np.ndarray
    norm: np.ndarray
    leads: Lead
    factor: float
    cuts: np.ndarray
    wrong: np.float32
    steps: np.float32
    vanished: np.float32


class Room(NamedTuple):
    """Room for one thread: products of a block with all centroids and with the movers, the rows that wait for the
    screen and their q, one row's candidates with their lower bounds and float32 distances, ``exact``'s sums."""

    products: np.ndarray
    few: np.ndarray
    waiting: np.ndarray
    q: np.ndarray
    columns: np.ndarray
    low: np.ndarray
    distance: np.ndarray
    stack: np.ndarray


def room_for(t: Table, c: Centroids) -> Room:
    """Return room for one thread."""
    columns, wide = c.scale.shape[0], t.leads.q.shape[1]
    candidates = max(columns, LISTED + 1) + LANES
    return Room(
        products=np.empty((BLOCK, columns), np.int32),
        few=np.empty((BLOCK, PANEL), np.int32),
        waiting=np.empty(BLOCK, np.int64),
        q=np.zeros((BLOCK + ROWS, wide), np.int8),
        columns=np.empty(candidates, np.int32),
        low=np.empty(candidates, np.float32),
        distance=np.empty(candidates, np.float32),
        stack=np.empty(DEPTH),
    )


@lean(fastmath=True)
def near(a: np.ndarray, i: int, b: np.ndarray, j: int) -> float:
    """Return the float32 distance of two rows, in whatever order is fastest."""
    total = np.float32(0)
    for column in range(a.shape[1]):
        term = a[i, column] - b[j, column]
        total += term * term
    return np.sqrt(total)


@lean()
def wrong_by(t: Table, i: int, c: Centroids) -> float:
    """Return by how much a float32 distance of row `i` can be wrong, but for the share ``t.steps`` of it."""
    return np.float32(2.0**-23) * (t.norm[i] + c.norm) + t.wrong


@lean()
def slack_of(t: Table, i: int, c: Centroids) -> float:
    """Return b_i."""
    return np.float32(
        t.leads.error[i] * c.length + (t.leads.length[i] + t.leads.error[i]) * c.error
        + ROUNDING * (t.leads.length[i] * c.length + t.leads.residual[i] * c.residual_most + c.half_most)
        + ROUNDING * np.float32(t.leads.square[i])
    )  # fmt: skip


@lean()
def winner_of(
    t: Table, c: Centroids, count: int, known: int, distance: float, i: int, room: Room, counts: np.ndarray
) -> int:
    """Return which of `count` candidates is the nearest, `known` at its float32 `distance` among them.

    ``room.columns`` and ``room.low`` are the candidates and their lower bounds; these are raised.
    """
    wrong, one = wrong_by(t, i, c), np.float32(1)
    most = (distance + wrong) * (one + t.steps)
    for at in range(count):
        room.distance[at] = -one
        if room.columns[at] == known or room.low[at] <= most:
            value = distance
            if room.columns[at] != known:
                value = near(t.rounded, i, c.rounded, room.columns[at])
                counts[0] += 1
            room.distance[at] = value
            room.low[at] = max(np.float32(0), (value - wrong) * (one - t.steps))
            most = min(most, (value + wrong) * (one + t.steps))
    winner, left = -1, 0
    for at in range(count):
        if room.distance[at] >= 0 and room.low[at] <= most:
            winner = at
            left += 1
    if left > 1:
        counts[1] += 1
        winner = _exactly(t, c, count, most, i, room)
    return winner


@lean()
def _exactly(t: Table, c: Centroids, count: int, most: float, i: int, room: Room) -> int:
    """Return which of the candidates within float32's error is nearest in float64, ties to the lowest centroid."""
    least, winner = np.inf, -1
    for at in range(count):
        if room.distance[at] >= 0 and room.low[at] <= most:
            value = squared_difference(t.x, i, c.exact, room.columns[at], t.cuts, room.stack)
            if value < least or (value == least and room.columns[at] < room.columns[winner]):
                least, winner = value, at
    return winner
