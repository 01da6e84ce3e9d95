"""A store to stream, and what is computed from it in memory to compare with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import meddel_kernels as kernels
from meddel import store
from meddel.config import Keep
from meddel.images.index import INDEX_SCHEMA
from meddel.scale.generating import shard_of
from meddel.select.ranking import Ranking, order_within, ranked

Stored = Callable[..., store.Store]
InMemory = Callable[..., tuple[Ranking, kernels.KMeans]]


@pytest.fixture(autouse=True)
def without_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bars in the output of tests."""
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Make a store of `values`, or of n rows of width d, with shards of any size and ids in any order."""

    def make(
        n: int = 700, d: int = 24, *, values: np.ndarray | None = None, shard_rows: int = 150, shuffled: bool = False
    ) -> store.Store:
        x = shard_of(n, d, 5, 0) if values is None else values
        ids = [f"image-{i:05d}" for i in range(len(x))]
        if shuffled:
            ids = np.random.default_rng(3).permutation(ids).tolist()
        columns = {"id": ids, "path": ids, "source": ["made"] * len(x)}
        return store.write(
            tmp_path / f"store-{shard_rows}-{shuffled}", x, _index(columns, len(x)), encoder={}, shard_rows=shard_rows
        )

    return make


def _index(columns: dict[str, list[str]], n: int) -> pa.Table:
    return pa.table({field.name: pa.array(columns.get(field.name, [None] * n), field.type) for field in INDEX_SCHEMA})


@pytest.fixture
def in_memory() -> InMemory:
    """MedDEL's ranking of a store, with all of it in memory and the start that a store's K-means has."""

    def compute(
        opened: store.Store, *, k: int, seed: int = 0, iterations: int = 50, eps: float = 0.9, keep: Keep = "near"
    ) -> tuple[Ranking, kernels.KMeans]:
        by_id = np.argsort(np.array(opened.index["id"].to_pylist()))
        unit = kernels.unit_rows(np.asarray(opened.embeddings)[by_id])
        rng = np.random.default_rng(seed)
        own, drawn = int(rng.integers(2**63)), rng.permutation(len(unit))
        found = kernels.kmeans(unit, k, seed=own, start="k-means||", iterations=iterations)
        inside, offsets = order_within(found.labels, found.distances, k, eps=eps, keep=keep, drawn=drawn)
        cosine, partner = kernels.row_max_cosine(unit, inside, offsets)
        return ranked(found.labels, found.distances, cosine, partner, offsets, eps=eps, by_id=by_id), found

    return compute
