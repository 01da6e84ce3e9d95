"""The rungs below the kernels as they are: what each idea bought, on the same data."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import torch

from meddel_kernels.cpu import clusters
from meddel_kernels.cpu.rows import CpuRows

PIECE = 20  # rows: the three lines write all differences
_turn = itertools.count()


def three_lines(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """All differences, their squares summed, the least: in pieces that fit the memory."""
    wide = x.astype(np.float64)
    pieces = np.split(wide, range(PIECE, len(wide), PIECE))
    return np.concatenate([np.square(p[:, None] - centroids[None]).sum(axis=2).argmin(axis=1) for p in pieces])


def float32_product(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The square multiplied out: a matrix product in float32, wrong where two are close."""
    narrow = torch.from_numpy(centroids.astype(np.float32))
    half = narrow.square().sum(dim=1) / 2
    return torch.cat([(part @ narrow.T - half).argmax(dim=1) for part in torch.from_numpy(x).split(8192)]).numpy()


def afresh(x: CpuRows, centroids: np.ndarray) -> np.ndarray:
    """The int8 screen in all columns, nothing kept."""
    with patch.dict(CpuRows.assign.__globals__, MOST=len(centroids)):
        return x.assign(centroids, None)


def leading(x: CpuRows, centroids: np.ndarray) -> np.ndarray:
    """The int8 screen in the leading columns, without bounds from before."""
    with patch.object(x, "_before", None):
        return x.assign(centroids, None)


def carried(x: CpuRows, moves: tuple[np.ndarray, np.ndarray], labels: np.ndarray) -> np.ndarray:
    """An assignment after the centroids have moved a little, to and fro."""
    return x.assign(moves[next(_turn) % 2], labels)


def triangle(x: np.ndarray, order: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Half of the square, in tiles of 1,024, the greatest of each column."""
    rows_, greatest = torch.from_numpy(x), torch.zeros(len(x))
    for start, stop in itertools.pairwise(offsets):
        cluster = rows_[torch.from_numpy(order[start:stop])]
        best = torch.zeros(len(cluster))
        for tile in range(0, len(cluster), 1024):
            products = cluster[: tile + 1024] @ cluster[tile : tile + 1024].T
            best[tile : tile + 1024] = torch.triu(products, diagonal=1 - tile).max(dim=0)[0]
        greatest[torch.from_numpy(order[start:stop])] = best
    return greatest.numpy()


def all_columns(job: Callable[[], object]) -> object:
    """A job in large clusters without the leading directions."""
    with patch.object(clusters, "suffice", lambda *_: False):
        return job()
