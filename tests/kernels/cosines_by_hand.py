"""The cosines' operations once more, by hand: all exact cosines of a cluster, and plain Python on top.

Tests compare every back end with these, the reference too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from meddel_kernels import unit_rows

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
"""x [n, d]; order int64 [m]; offsets int64 [c + 1]."""


def clusters(x: np.ndarray, order: np.ndarray, offsets: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each cluster's rows and all their exact cosines."""
    unit = unit_rows(x)
    for start, stop in pairwise(offsets.tolist()):
        rows = order[start:stop]
        exact = [np.clip((unit[rows] * unit[row]).sum(axis=1), -1.0, 1.0) for row in rows]
        yield rows, np.array(exact).reshape(len(rows), len(rows))


def row_max(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    cosine, partner = np.full(len(batch[0]), -np.inf), np.full(len(batch[0]), -1, np.int64)
    for rows, exact in clusters(*batch):
        for j in range(1, len(rows)):
            i = int(np.argmax(exact[j, :j]))
            cosine[rows[j]], partner[rows[j]] = exact[j, i], rows[i]
    return cosine, partner


def near_duplicates(batch: Batch, threshold: float, greedy: bool) -> np.ndarray:
    partner = np.full(len(batch[0]), -1, np.int64)
    for rows, exact in clusters(*batch):
        for j in range(1, len(rows)):
            above = exact[j, :j] > threshold
            if greedy:
                above &= partner[rows[:j]] < 0
            if above.any():
                partner[rows[j]] = rows[np.argmax(above)]
    return partner


def top_neighbours(batch: Batch, m: int) -> tuple[np.ndarray, np.ndarray]:
    cosine, neighbour = np.full((len(batch[0]), m), -np.inf), np.full((len(batch[0]), m), -1, np.int64)
    for rows, exact in clusters(*batch):
        for j in range(len(rows)):
            others = np.delete(np.arange(len(rows)), j)
            best = others[np.argsort(-exact[j, others], kind="stable")][:m]
            cosine[rows[j], : len(best)], neighbour[rows[j], : len(best)] = exact[j, best], rows[best]
    return cosine, neighbour
