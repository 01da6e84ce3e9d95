"""K-means on a store is K-means in memory, bit for bit, whatever the shards, the blocks and the threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import meddel_kernels as kernels
from meddel.errors import MedDELError
from meddel.scale.kmeans import Clusters, kmeans
from meddel.scale.stream import Stream
from meddel.store import Store


def equal(found: Clusters, expected: kernels.KMeans) -> None:
    for name in ("centroids", "labels", "distances"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name


def stream_of(store: Store, block_rows: int, threads: int | None = None) -> Stream:
    """Return a stream of rows that are in the order of their ids."""
    return Stream(store, block_rows, np.arange(store.rows), threads=threads)


def unit_rows(store: Store) -> np.ndarray:
    return kernels.unit_rows(np.asarray(store.embeddings))


@pytest.mark.parametrize(("shard_rows", "block_rows", "threads"), [(700, 700, 1), (150, 64, 2), (33, 200, 3)])
@pytest.mark.parametrize("iterations", [1, 4, 50])
def test_from_the_same_centroids(
    stored: Callable[..., Store], tmp_path: Path, shard_rows: int, block_rows: int, threads: int, iterations: int
) -> None:
    store = stored(shard_rows=shard_rows)
    unit = unit_rows(store)
    start = unit[np.random.default_rng(1).permutation(len(unit))[:9]]
    expected = kernels.kmeans(unit, 9, start=start, iterations=iterations)
    stream = stream_of(store, block_rows, threads)
    equal(kmeans(stream, 9, tmp_path, "a", seed=0, iterations=iterations, start=start), expected)
    assert expected.iterations > 4 or iterations < 50


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_from_its_own_start(stored: Callable[..., Store], tmp_path: Path, seed: int) -> None:
    store = stored()
    expected = kernels.kmeans(unit_rows(store), 8, seed=seed, start="k-means||")
    equal(kmeans(stream_of(store, 99), 8, tmp_path, "a", seed=seed), expected)


def test_empty_clusters_are_repaired_with_the_same_rows(stored: Callable[..., Store], tmp_path: Path) -> None:
    store = stored()
    unit = unit_rows(store)
    start = np.concatenate([unit[:3], np.full((5, unit.shape[1]), 10.0)])
    labels = kernels.assign(unit, start)[0]
    assert len(np.unique(labels)) < 8
    expected = kernels.kmeans(unit, 8, start=start)
    assert len(np.unique(expected.labels)) == 8
    equal(kmeans(stream_of(store, 64), 8, tmp_path, "a", seed=0, start=start), expected)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_fewer_distinct_rows_than_clusters(stored: Callable[..., Store], tmp_path: Path, k: int) -> None:
    x = np.repeat(np.random.default_rng(0).standard_normal((3, 5)), 20, axis=0)
    store = stored(values=x, shard_rows=17)
    expected = kernels.kmeans(unit_rows(store), k, seed=4, start="k-means||")
    equal(kmeans(stream_of(store, 16), k, tmp_path, "a", seed=4), expected)


def test_another_key_starts_anew_and_the_same_goes_on(stored: Callable[..., Store], tmp_path: Path) -> None:
    stream = stream_of(stored(), 200)
    kmeans(stream, 8, tmp_path, "a", seed=0, iterations=2)
    made = (tmp_path / "kmeans.npz").stat().st_mtime_ns
    kmeans(stream, 8, tmp_path, "a", seed=0, iterations=2)
    assert (tmp_path / "kmeans.npz").stat().st_mtime_ns == made
    expected = kernels.kmeans(unit_rows(stream.store), 5, seed=1, start="k-means||")
    equal(kmeans(stream, 5, tmp_path, "b", seed=1), expected)


def test_a_row_without_length_is_named(stored: Callable[..., Store], tmp_path: Path) -> None:
    store = stored()
    embeddings = np.load(store.shards[2].path)
    embeddings[4] = 0
    np.save(store.shards[2].path, embeddings)
    with pytest.raises(MedDELError, match=r"length 0 in an embedding \(image-00304\)"):
        kmeans(stream_of(Store.open(store.folder, verify=False), 64), 8, tmp_path, "a", seed=0, start=np.eye(8, 24))
