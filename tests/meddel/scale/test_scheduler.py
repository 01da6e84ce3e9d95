"""Which workers a command takes. A scheduler that is killed is said in one line; with another one it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meddel import scale, study
from meddel.scale.jobs import fitting_workers, share_study
from tests.meddel.scale.conftest import N_SHARED, Stored
from tests.meddel.study_cases import draw_data, run_of

pytestmark = pytest.mark.usefixtures("small_tasks")
DASK = str(Path(sys.executable).with_name("dask"))


@contextmanager
def scheduler(folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """A scheduler with a worker, as a person starts them: its address, and its process."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    shared = ["--scheduler-file", str(file), "--no-dashboard"]
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", "0", *shared],
        ["worker", "--nthreads", "1", "--no-nanny", "--local-directory", str(folder), *shared],
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen([DASK, *command], **quiet) for command in commands]
    try:
        while not file.exists():
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"], processes[0]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_scheduler_that_is_lost_and_started_again(meddel: Callable, shared_store: Stored, tmp_path: Path) -> None:
    store, stages, kept = shared_store(), tmp_path / "kept_stages", tmp_path / "kept.csv"
    rule = {"k": 12, "ratio": 0.3, "seed": 3}
    arguments = ["select", store.folder, "--out", kept, *(x for name in rule for x in (f"--{name}", rule[name]))]

    def kill(process: subprocess.Popen) -> None:
        while not (stages / "kmeans.npz").exists():
            time.sleep(0.001)
        process.kill()

    with scheduler(tmp_path) as (address, process):
        watcher = threading.Thread(target=kill, args=(process,))
        watcher.start()
        code, _, err = meddel(*arguments, "--scheduler", address)
        watcher.join()
    assert code == 1 and f"meddel: the scheduler is gone ({address}); start it and run the same again" in err
    assert not kept.exists() and not list(stages.glob("shared-*"))
    seeded = (stages / "kmeans.npz").stat().st_mtime_ns
    with scheduler(tmp_path) as (address, _):
        code, out, err = meddel(*arguments, "--scheduler", address)
    assert code == 0, err
    assert "1 workers with 1 threads" in out and f"kept {0.3 * N_SHARED:.0f} of {N_SHARED}" in out
    assert (stages / "kmeans.npz").stat().st_mtime_ns > seeded
    expected = scale.select(store, tmp_path / "one", threads=1, **rule)
    assert (stages / "selection.parquet").read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(("options", "said"), [
    (("--selector", "random"), "random needs all embeddings in memory"), (("--threads", 2), "leave --threads out"),
    (("--scheduler", "tcp://127.0.0.1:1"), "give --scheduler or --workers"),
])  # fmt: skip
def test_what_workers_cant_do_is_refused_at_once(
    meddel: Callable, shared_store: Stored, tmp_path: Path, options: tuple, said: str
) -> None:
    code, out, err = meddel(
        "select", shared_store().folder, "--ratio", 0.1, "--out", tmp_path / "kept.csv", "--workers", 2, *options
    )
    assert (code, out) == (1, "") and said in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["run", "embed"])
def test_one_cluster_at_a_time(meddel: Callable, photos: Path, weights: Path, tmp_path: Path, command: str) -> None:
    given = [photos, "--weights", weights] if command == "embed" else []
    both = ("--scheduler", "tcp://127.0.0.1:1", "--workers", 2)
    code, _, err = meddel(command, *given, "--out", tmp_path / "out", *both)
    assert code == 1 and "give --scheduler or --workers" in err


@pytest.mark.parametrize(("free", "cores", "fitting"), [(64, 8, 8), (9, 8, 3), (64, 1, 1), (1, 8, 1)])
def test_as_many_workers_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, free: int, cores: int, fitting: int
) -> None:
    memory = type("Memory", (), {"available": free << 30})
    monkeypatch.setattr("psutil.virtual_memory", memory)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert fitting_workers() == fitting


def test_a_study_takes_workers_by_itself_and_only_for_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("meddel.scale.jobs.fitting_workers", lambda: 2)
    run = run_of(draw_data(tmp_path / "data"), tmp_path / "out", seeds=1, ratios=(0.5,), selectors=("random",))
    share_study(run, [], None, 1)
    assert not run.out.exists(), "one worker is this process"
    share_study(run, [], None, None)
    said = capsys.readouterr().out
    assert said.startswith("2 workers") and "encoders trained or scored by workers" in said
    made = {path: path.stat().st_mtime_ns for path in run.out.rglob("*") if path.is_file()}
    share_study(run, [], None, None)
    assert capsys.readouterr().out == ""
    assert {path: path.stat().st_mtime_ns for path in made} == made
    study.run_study(run)
    assert {path: path.stat().st_mtime_ns for path in made} == made
