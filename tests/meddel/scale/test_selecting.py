"""The selection from a store is MedDEL's in memory, row for row; what was finished is not done again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.images.index import INDEX_SCHEMA
from meddel.scale import extra_bytes, select
from meddel.scale.dedup import packs
from meddel.scale.selecting import block_rows
from meddel.select import budget_for
from meddel.store import Store, write

N, D, K = 700, 24, 6


def limit(rows: int) -> int:
    """The memory limit under which a block has so many rows; ids as `stored` makes them."""
    ids = N * 11 + 4 * (N + 5)
    return extra_bytes(N, D, K, rows, ids) + 2000


@pytest.mark.parametrize("keep", ["near", "far", "random"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_it_is_the_selection_in_memory(
    stored: Callable[..., Store], in_memory: Callable, tmp_path: Path, keep: Keep, shuffled: bool
) -> None:
    store = stored(shuffled=shuffled)
    ranking, _ = in_memory(store, k=K, seed=7, eps=0.8, keep=keep)
    assert 0 < ranking.outlier.sum() < N / 2
    for ratio in (0.1, 0.6, 1.0):
        path = select(store, tmp_path / "out", k=K, ratio=ratio, seed=7, eps=0.8, keep=keep)
        expected = ranking.selection(store.index, budget_for(ratio, N))
        assert pq.read_table(path).equals(expected)
    path = select(store, tmp_path / "out", k=K, eta=0.7, seed=7, eps=0.8, keep=keep)
    budget = int((ranking.ascending <= 0.7).sum())
    assert pq.read_table(path).equals(ranking.selection(store.index, budget))


@pytest.mark.parametrize("k", [1, K])
@pytest.mark.parametrize("keep", ["near", "random"])
def test_clusters_larger_than_a_block_are_done_in_parts(
    stored: Callable[..., Store],
    in_memory: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    k: int,
    keep: Keep,
) -> None:
    monkeypatch.setattr("meddel.scale.selecting.block_rows", lambda *_: 64)
    x = np.asarray(stored().embeddings)
    x = x[np.random.default_rng(0).integers(0, N // 3, N)]  # equal rows: ties in every part
    store = stored(values=x, shard_rows=70)
    ranking, found = in_memory(store, k=k, seed=2, keep=keep)
    assert np.bincount(found.labels).max() > 64
    path = select(store, tmp_path / "out", k=k, ratio=0.3, seed=2, keep=keep)
    assert pq.read_table(path).equals(ranking.selection(store.index, budget_for(0.3, N)))


@pytest.mark.parametrize(("offsets", "block"), [
    ([0, 3, 3, 9, 40, 41, 50], 10), ([0, 100], 7), ([0, 0, 0], 4), ([0, 4, 8, 12], 8), ([0, 11, 12, 30], 10),
])  # fmt: skip
def test_packs_cover_every_line_once_and_fit_a_block(offsets: list[int], block: int) -> None:
    found = packs(np.array(offsets), block)
    assert [line for pack in found for line in range(pack.first, pack.last)] == list(range(offsets[-1]))
    for pack in found:
        assert pack.last - pack.first <= block
        assert offsets[pack.clusters.start] == pack.begin <= pack.first
        assert pack.last <= offsets[pack.clusters.stop]
        assert len(pack.clusters) == 1 or offsets[pack.clusters.stop] == pack.last


def test_another_ratio_takes_the_last_stage_alone(stored: Callable[..., Store], tmp_path: Path) -> None:
    store = stored()
    first = select(store, tmp_path, k=K, ratio=0.2).read_bytes()
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert sorted(made) == ["cosines.npz", "kmeans.npz"]
    assert select(store, tmp_path, k=K, ratio=0.4).read_bytes() != first
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")} == made
    assert select(store, tmp_path, k=K, ratio=0.2).read_bytes() == first
    assert not (tmp_path / "work").exists()


def test_the_limit_on_memory_changes_nothing(stored: Callable[..., Store], tmp_path: Path) -> None:
    store = stored()
    content = {
        select(store, tmp_path / str(rows), k=K, ratio=0.2, memory_limit_bytes=limit(rows), threads=rows % 3 + 1)
        .read_bytes()
        for rows in (512, 600)
    }  # fmt: skip
    assert content == {select(store, tmp_path / "none", k=K, ratio=0.2).read_bytes()}


def test_what_a_limit_allows_is_what_it_takes() -> None:
    for allowed in (512, 4000, 32768):
        taken = extra_bytes(10**6, 768, 2000, allowed, 10**7)
        assert block_rows(taken, 10**6, 768, 2000, 10**7) == allowed
        assert block_rows(taken + 10**6, 10**6, 768, 2000, 10**7) > allowed
    with pytest.raises(MedDELError, match="allow"):
        block_rows(extra_bytes(10**6, 768, 2000, 512, 10**7) - 1, 10**6, 768, 2000, 10**7)


@pytest.mark.parametrize(("settings", "said"), [
    ({}, "either a ratio or eta"), ({"ratio": 0.1, "eta": 0.9}, "either a ratio or eta"),
    ({"ratio": 0.0}, "outside"), ({"eta": 1.5}, "no cosine"), ({"ratio": 0.1, "k": 701}, "k = 701"),
    ({"ratio": 0.1, "iterations": 0}, "at least 1"), ({"ratio": 0.1, "eps": 0.0}, "no distance"),
    ({"ratio": 0.1, "keep": "best"}, "unknown keep rule"), ({"ratio": 0.1, "seed": -1}, "negative"),
    ({"ratio": 0.1, "threads": 0}, "0 threads"), ({"ratio": 0.1, "backend": "tpu"}, "unknown back end"),
    ({"ratio": 0.1, "memory_limit_bytes": 10**6}, r"1 MB of memory.*allow \d+ MB"),
])  # fmt: skip
def test_settings_out_of_range_are_refused_before_anything_is_written(
    stored: Callable[..., Store], tmp_path: Path, settings: dict, said: str
) -> None:
    store = stored()
    with pytest.raises(MedDELError, match=said):
        select(store, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    rows = [{"id": name, "source": "set"} for name in ("b", "a", "c", "a")]
    store = write(tmp_path / "store", np.eye(4), pa.Table.from_pylist(rows, schema=INDEX_SCHEMA), encoder={})
    with pytest.raises(MedDELError, match="an id occurs twice"):
        select(store, tmp_path / "out", k=2, ratio=0.5)
