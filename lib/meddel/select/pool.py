"""Shared by all selectors: the checks of their input, and the images in the order of their ids."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator

import meddel_kernels as kernels
from meddel import config
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select.table import selection

_ROWS_AT_ONCE = 4096


def budget_for(ratio: float, n: int) -> int:
    """Return how many of `n` images the retention ratio R keeps: R n, halves rounded up, at least 1."""
    if n < 1:
        raise MedDELError("there is no image to select from", fix="give a folder with images")
    exact = Decimal(repr(config.check_ratio(ratio))) * n
    return max(1, int(exact.to_integral_value(ROUND_HALF_UP)))


def check_budget(budget: int, n: int) -> None:
    """Refuse a budget outside 1 to `n`."""
    if not 1 <= budget <= n:
        raise MedDELError(f"can't keep {budget} of {n} images", fix=f"give a budget from 1 to {n}")


def check_clusters(n: int, k: int, iterations: int) -> None:
    """Refuse a number of clusters or iterations which K-means of `n` images can't have."""
    if not 1 <= k <= n:
        raise MedDELError(f"k = {k} clusters of {n} images", fix=f"give a k from 1 to {n}")
    if iterations < 1:
        raise MedDELError(f"{iterations} iterations of K-means", fix="give at least 1")


def check_choice(what: str, value: str, choices: Any) -> None:
    """Refuse a `value` which is not among those of the Literal `choices`."""
    if value not in get_args(choices):
        raise MedDELError(f"unknown {what} {value!r}", fix=f"choose one of {', '.join(get_args(choices))}")


def check_embeddings(embeddings: np.ndarray, index: pa.Table) -> None:
    """Refuse embeddings which no selector can work with; the image of a broken row is named.

    They are read in pieces, so that a memory map may be larger than the memory.
    """
    fix = "embed the images again"
    if embeddings.ndim != 2 or not embeddings.shape[1] or embeddings.dtype not in (np.float16, np.float32, np.float64):
        what = f"embeddings must be a floating-point matrix, not {embeddings.dtype} {embeddings.shape}"
        raise MedDELError(what, fix=fix)
    if len(embeddings) != index.num_rows:
        raise MedDELError(f"{len(embeddings)} embeddings for {index.num_rows} images", fix=fix)
    if not index.num_rows:
        raise MedDELError("there is no image to select from", fix="give a folder with images")
    if pc.count_distinct(index["id"]).as_py() != index.num_rows:
        raise MedDELError("an id occurs twice in the index", fix="index the images again")
    for start in range(0, len(embeddings), _ROWS_AT_ONCE):
        rows = np.asarray(embeddings[start : start + _ROWS_AT_ONCE])
        for sound, problem in (
            (np.isfinite(rows).all(axis=1), "NaN or infinity in an embedding"),
            (rows.any(axis=1), "an embedding of length 0"),
        ):
            if not sound.all():
                raise MedDELError(problem, index["id"][start + int(np.argmin(sound))].as_py(), fix)


def rows_by_id(index: pa.Table) -> np.ndarray:
    """Return the rows of an index in the order of their ids: int64 [n]."""
    return pc.sort_indices(index["id"]).to_numpy().astype(np.int64)


@dataclass(frozen=True)
class Pool:
    """The images to select from in the order of their ids, in which results don't depend on the order of the rows.

    Attributes
    ----------
    index : pyarrow.Table
        n rows with ``id``.
    by_id : int64 [n]
        The row of the index at each *place* in the order of ids.
    embeddings : float [n, d]
        By row.
    """

    index: pa.Table
    by_id: np.ndarray
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.by_id)

    @cached_property
    def unit(self) -> np.ndarray:
        """The embeddings by place, scaled to length 1: float64 [n, d]."""
        return kernels.unit_rows(self.embeddings[self.by_id])

    def column(self, name: str) -> list[Any]:
        """Return a column of the index by place, or Nones where the index has no such column."""
        if name not in self.index.column_names:
            return [None] * len(self)
        return self.index[name].take(self.by_id).to_pylist()

    def selection(
        self,
        order: np.ndarray,
        budget: int,
        *,
        reason: str | np.ndarray,
        partner: np.ndarray | None = None,
        **columns: np.ndarray | None,
    ) -> pa.Table:
        """Return `meddel.select.table.selection`, with all arguments by place instead of by row."""
        place = np.argsort(self.by_id)
        columns["reason"] = np.broadcast_to(reason, len(self))
        if partner is not None:
            columns["partner"] = np.where(partner < 0, -1, self.by_id[partner])
        by_row = {name: values[place] for name, values in columns.items() if values is not None}
        return selection(self.index, self.by_id[order], budget, **by_row)


def pool(embeddings: np.ndarray, index: pa.Table, budget: int) -> Pool:
    """Return the images as a pool, after the checks which every selector makes."""
    check_embeddings(embeddings, index)
    check_budget(budget, index.num_rows)
    return Pool(index, rows_by_id(index), embeddings)


def clusters_for(n: int) -> int:
    """Return the number of clusters of `n` images where none is given: sqrt(n / 2), rounded, at least 1."""
    return max(1, round(np.sqrt(n / 2)))


def spherical_clusters(
    unit: np.ndarray, rng: Generator, *, k: int | None = None, iterations: int = 50
) -> kernels.KMeans:
    """Cluster unit rows by spherical K-means with a seed drawn from `rng`; centroids have length 1."""
    k = clusters_for(len(unit)) if k is None else k
    check_clusters(len(unit), k, iterations)
    seed = int(rng.integers(2**63))
    with progress(what="K-means", total=iterations, unit="iteration") as bar:
        return kernels.kmeans(
            unit, k, seed=seed, iterations=iterations, spherical=True, callback=lambda *_: bar.update()
        )


def turns(group: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """Return the position of each row in its group, the rows ordered by `keys` (the last decides first, as lexsort)."""
    order = np.lexsort((*keys, group))
    sizes = np.bincount(group)
    turn = np.empty(len(group), np.int64)
    turn[order] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return turn
