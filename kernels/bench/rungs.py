"""The rungs below the kernels as they are: what each idea bought, on the same data."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import scipy.sparse
import torch

from meddel_kernels.cpu import clusters
from meddel_kernels.cpu.rows import CpuRows

PIECE = 20  # rows: the three lines write all differences
_turns = defaultdict(itertools.count)


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
    return x.assign(moves[next(_turns["carried"]) % 2], labels)


def triangle(x: np.ndarray, order: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Half of the square, in tiles of 1,024, the greatest of each column."""
    all_rows, greatest = torch.from_numpy(x), torch.zeros(len(x))
    for start, stop in itertools.pairwise(offsets):
        cluster = all_rows[torch.from_numpy(order[start:stop])]
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


def product_seeding(x: np.ndarray, k: int) -> np.ndarray:
    """k-means++ by a product in float32, one column at a time."""
    rng, wide = np.random.default_rng(0), torch.from_numpy(x)
    squares = wide.square().sum(dim=1)
    nearest, chosen = torch.full((len(x),), torch.inf), [int(rng.integers(len(x)))]
    while len(chosen) < k:
        last = chosen[-1]
        nearest = torch.minimum(nearest, squares + squares[last] - 2 * (wide @ wide[last])).clamp(min=0)
        sums = nearest.cumsum(dim=0)
        chosen.append(int(torch.searchsorted(sums, float(rng.random()) * float(sums[-1])).clamp(max=len(x) - 1)))
    return np.array(chosen)


def without_bound(job: Callable[[], object]) -> object:
    """A job whose int8 leads are taken to say nothing."""
    with patch.dict(CpuRows.lower.__globals__, vanished=lambda *_: np.inf):
        return job()


def add_at(x: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Row by row, as NumPy has it."""
    sums = np.zeros((k, x.shape[1]))
    np.add.at(sums, labels, x)
    return sums


def one_hot(x: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """A sparse product."""
    ones = np.ones(len(x), np.float32)
    return scipy.sparse.csr_matrix((ones, (labels, np.arange(len(x)))), shape=(k, len(x))) @ x


def index_add(x: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """As one writes it in torch."""
    sums = torch.zeros((k, x.shape[1]))
    return sums.index_add_(0, torch.from_numpy(labels).long(), torch.from_numpy(x)).numpy()


def summed_anew(x: CpuRows, labels: np.ndarray, k: int) -> np.ndarray:
    """All rows read: another power of two each time, so that no sums are there from before."""
    power = 24 + next(_turns["summed anew"]) % 2
    return x.sums(labels, k, power) * 2.0**-power


def summed_again(x: CpuRows, moves: tuple[np.ndarray, np.ndarray], k: int) -> np.ndarray:
    """Some rows have moved, to and fro."""
    return x.sums(moves[next(_turns["summed again"]) % 2], k, 24) * 2.0**-24


def squares(x: np.ndarray, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Differences and sums in pieces of 8,192 rows."""
    parts = [slice(start, start + 8192) for start in range(0, len(x), 8192)]
    return np.concatenate([np.square(x[part] - centroids[labels[part]]).sum(axis=1) for part in parts])


def partitioned(x: np.ndarray, m: int) -> np.ndarray:
    """Half sorted, then the few are sorted."""
    cosines = x @ x.T
    np.fill_diagonal(cosines, -np.inf)
    few = np.argpartition(-cosines, m, axis=1)[:, :m]
    return np.take_along_axis(few, np.argsort(-np.take_along_axis(cosines, few, axis=1), axis=1), axis=1)


def tiles_topk(x: np.ndarray, m: int) -> np.ndarray:
    """A thousand rows at a time."""
    all_rows, found = torch.from_numpy(x), []
    for start in range(0, len(x), 1024):
        cosines = all_rows[start : start + 1024] @ all_rows.T
        cosines.diagonal(start).fill_(-torch.inf)
        found.append(cosines.topk(m, dim=1).indices)
    return torch.cat(found).numpy()


def matrix_gains(x: np.ndarray, best: np.ndarray) -> np.ndarray:
    """All cosines, what each has above the best, the sums of the columns."""
    wide = x.astype(np.float64)
    return np.maximum(wide @ wide.T - best[:, None], 0).sum(axis=0)


def tiles_gains(x: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The same in float32, a thousand columns at a time."""
    all_rows, least = torch.from_numpy(x), torch.from_numpy(best.astype(np.float32))[:, None]
    return torch.cat([(all_rows @ part.T - least).clamp(min=0).sum(dim=0) for part in all_rows.split(1024)]).numpy()
