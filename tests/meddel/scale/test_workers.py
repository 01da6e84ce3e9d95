"""The selection of a cluster is that of one process, byte for byte, whatever its workers do."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from meddel.errors import MedDELError
from meddel.scale import select
from meddel.scale.stream import Stream
from meddel.scale.workers import SharedStream, connect
from meddel.store import Store
from tests.meddel.scale.conftest import RULE, Befalls, Stored

pytestmark = pytest.mark.usefixtures("small_tasks")


@pytest.mark.parametrize(("workers", "shard_rows"), [(1, 3000), (4, 70), (2, 400)])
def test_any_number_of_workers_and_any_shards_select_the_same(
    client: Client, shared_store: Stored, expected: bytes, tmp_path: Path, workers: int, shard_rows: int
) -> None:
    client.cluster.scale(workers)
    while len(client.scheduler_info(n_workers=-1)["workers"]) != workers:
        time.sleep(0.05)
    path = select(shared_store(shard_rows), tmp_path, client=client, **RULE)
    assert path.read_bytes() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cosines.npz", "kmeans.npz", "selection.parquet", "selection.parquet.json",
    ]  # fmt: skip


@pytest.mark.parametrize(("function", "sent"), [
    ("on_rows", signal.SIGKILL), ("merged", signal.SIGKILL), ("compare_pack", signal.SIGKILL),
    ("on_rows", signal.SIGSTOP),
])  # fmt: skip
def test_a_worker_that_is_killed_or_slow_changes_nothing(
    client: Client, shared_store: Stored, expected: bytes, tmp_path: Path, function: str, sent: signal.Signals
) -> None:
    once = tmp_path / "once"
    client.register_plugin(Befalls(function, sent, once), name="befalls")
    try:
        path = select(shared_store(), tmp_path / "out", client=client, **RULE)
    finally:
        client.unregister_worker_plugin("befalls")
    assert once.exists()
    assert path.read_bytes() == expected


def test_a_task_that_takes_its_worker_down_ends_the_run(
    shared_store: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shared_store()
    with connect(workers=1) as own:  # which has done its part when this worker is gone
        monkeypatch.setattr(own.cluster.scheduler, "allowed_failures", 0)
        own.register_plugin(Befalls("on_rows", signal.SIGKILL, tmp_path / "once", at="executing"), name="befalls")
        with pytest.raises(MedDELError, match="a task ended its worker 1 times, mostly for want of memory"):
            select(store, tmp_path / "out", client=own, **RULE)
    assert not list((tmp_path / "out").glob("shared-*"))


def test_a_run_that_has_lost_its_last_worker_ends(
    shared_store: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shared_store()
    monkeypatch.setattr("meddel.scale.workers._DESERTED", 1)
    with connect(workers=1) as own:
        own.cluster.scale(0)
        while own.scheduler_info(n_workers=-1)["workers"]:
            time.sleep(0.05)
        with pytest.raises(MedDELError, match=r"the last worker is lost and none took its place \(tcp:.*\); run"):
            select(store, tmp_path / "out", client=own, **RULE)
    assert not list((tmp_path / "out").glob("shared-*"))


def test_a_worker_that_cant_see_the_store_is_named(client: Client, shared_store: Stored, tmp_path: Path) -> None:
    store = shared_store()
    gone_stream = Stream(Store(tmp_path / "elsewhere", store.manifest), 99, np.arange(store.rows))
    with pytest.raises(MedDELError, match=r"worker \d+ \(tcp://[\d.:]+\) can't see the store \(.*elsewhere\); let all"):
        next(SharedStream(gone_stream, client, tmp_path).each(np.sum))
    shutil.copytree(shared_store(70).folder, tmp_path / "elsewhere")
    with pytest.raises(MedDELError, match="sees another store"):
        next(SharedStream(gone_stream, client, tmp_path).each(np.sum))
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_a_damaged_shard_and_another_version_are_refused(
    client: Client, shared_store: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shared_store()
    content = bytearray(store.shards[5].path.read_bytes())
    content[-1] ^= 1
    store.shards[5].path.write_bytes(content)
    with pytest.raises(MedDELError, match=r"its checksum differs \(.*shard-00005.npy\)"):
        select(store, tmp_path, client=client, **RULE)
    monkeypatch.setattr("meddel.scale.workers.__version__", "0.0")
    with pytest.raises(MedDELError, match=r"worker \d+ \(tcp://[\d.:]+\) has no meddel 0.0: 0"):
        select(store, tmp_path, client=client, **RULE)


@pytest.mark.parametrize(("arguments", "said"), [
    (("tcp://127.0.0.1:1", 2), "give --scheduler or --workers"), ((None, 0), "0 workers"),
    (("tcp://127.0.0.1:1", None), r"no scheduler answers \(tcp://127.0.0.1:1\)"),
    (("nonsense://x", None), "no scheduler answers"),
])  # fmt: skip
def test_what_is_no_cluster_is_said(arguments: tuple, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meddel.scale.workers.PATIENCE", 1)
    with pytest.raises(MedDELError, match=said), connect(*arguments):
        pass
