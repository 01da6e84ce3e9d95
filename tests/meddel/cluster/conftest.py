"""Workers as processes on this machine, a store that they share, and what befalls them."""

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

from meddel import scale as out_of_core
from meddel import store
from meddel.images.index import INDEX_SCHEMA
from meddel.scale import cluster
from meddel.scale.generating import shard_of

N, D = 3000, 16
RULE = {"k": 12, "ratio": 0.3, "iterations": 6, "seed": 3}

Stored = Callable[..., store.Store]


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bars, and tasks of 256 rows: some clusters are larger."""
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")
    monkeypatch.setattr("meddel.scale.cluster.shared._LEAST_ROWS", 256)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of two workers on this machine; a worker that is lost is replaced."""
    with cluster.connect(workers=2) as found:
        yield found


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """The store of the same rows in shards of any size."""

    def make(shard_rows: int = 400) -> store.Store:
        ids = np.random.default_rng(3).permutation([f"image-{i:05d}" for i in range(N)]).tolist()
        columns = {"id": ids, "path": ids, "source": ["made"] * N}
        index = pa.table({f.name: pa.array(columns.get(f.name, [None] * N), f.type) for f in INDEX_SCHEMA})
        folder = tmp_path_factory.mktemp("store")
        return store.write(folder, shard_of(N, D, 5, 0), index, encoder={}, shard_rows=shard_rows)

    return make


@pytest.fixture(scope="session")
def expected(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The selection that one process makes."""
    return out_of_core.select(stored(), tmp_path_factory.mktemp("one"), threads=1, **RULE).read_bytes()


class Befalls(WorkerPlugin):
    """Sends a signal to the first worker that finishes a task of a function; a stopped one goes on a second later.

    Parameters
    ----------
    function : str
        The function's name.
    sent : signal.Signals
    once : Path
        A file that says that it has happened.
    at : {"memory", "executing"}
        The state that the task comes to: finished, or begun.
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
