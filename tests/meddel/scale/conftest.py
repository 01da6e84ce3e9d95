"""Stores to stream and to share, the results in memory, workers on this machine, and what befalls them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from distributed import Client, WorkerPlugin

import meddel_kernels as kernels
from compendium.scaling import shard_of
from meddel import scale, store
from meddel.config import Keep
from meddel.images.index import INDEX_SCHEMA
from meddel.scale.workers import connect
from meddel.select.ranking import Ranking, order_within, ranked

N_SHARED = 3000
RULE = {"k": 12, "ratio": 0.3, "iterations": 6, "seed": 3}

Stored = Callable[..., store.Store]
InMemory = Callable[..., tuple[Ranking, kernels.KMeans]]


@pytest.fixture(autouse=True)
def without_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bars in the output of tests."""
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")


def write_store(folder: Path, x: np.ndarray, shard_rows: int, shuffled: bool) -> store.Store:
    """Write rows as a store, with ids in their order or in any."""
    ids = [f"image-{i:05d}" for i in range(len(x))]
    if shuffled:
        ids = np.random.default_rng(3).permutation(ids).tolist()
    rows = [{"id": name, "path": name, "source": "made"} for name in ids]
    return store.write(folder, x, pa.Table.from_pylist(rows, schema=INDEX_SCHEMA), encoder={}, shard_rows=shard_rows)


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Make a store of `values`, or of n rows of width d, with shards of any size and ids in any order."""

    def make(
        n: int = 700, d: int = 24, *, values: np.ndarray | None = None, shard_rows: int = 150, shuffled: bool = False
    ) -> store.Store:
        x = shard_of(n, d, 5, 0) if values is None else values
        return write_store(tmp_path / f"store-{shard_rows}-{shuffled}", x, shard_rows, shuffled)

    return make


@pytest.fixture
def in_memory() -> InMemory:
    """Return a function that gives MedDEL's ranking of a store in memory, from the start of a store's K-means."""

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


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of 256 rows: some clusters are larger."""
    monkeypatch.setattr("meddel.scale.workers._LEAST_ROWS", 256)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of two workers on this machine; a worker that is lost is replaced."""
    with connect(workers=2) as found:
        yield found


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Make the store of the same 3,000 rows in shards of any size."""

    def make(shard_rows: int = 400) -> store.Store:
        return write_store(tmp_path_factory.mktemp("store"), shard_of(N_SHARED, 16, 5, 0), shard_rows, True)

    return make


@pytest.fixture(scope="session")
def expected(shared_store: Stored, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The selection that one process makes."""
    return scale.select(shared_store(), tmp_path_factory.mktemp("one"), threads=1, **RULE).read_bytes()


class Befalls(WorkerPlugin):
    """Send a signal to the first worker that finishes (`at` "memory") or begins ("executing") a task of a function.

    A stopped worker goes on a second later. The file `once` says that it has happened.
    """

    def __init__(self, function: str, sent: signal.Signals, once: Path, at: str = "memory") -> None:
        self.function, self.sent, self.once, self.at = function, sent, once, at

    def transition(self, key: str, start: str, finish: str, **_: object) -> None:
        """Called by a worker for each change of a task."""
        if finish != self.at or not str(key).startswith(f"{self.function}-"):
            return
        try:
            self.once.touch(exist_ok=False)
        except FileExistsError:
            return
        if self.sent == signal.SIGSTOP:
            subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), self.sent)
