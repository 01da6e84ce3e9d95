"""Progress bars: where they are written, and when there are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from meddel.progress import progress


def test_bars_go_to_the_named_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "bars"
    monkeypatch.setenv("MEDDEL_PROGRESS", str(target))
    assert list(progress(range(3), what="count", unit="step")) == [0, 1, 2]
    assert "count" in target.read_text()


def test_bars_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")
    assert list(progress(range(3), what="count")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_bar_that_is_advanced_by_hand_counts_to_its_total(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", str(tmp_path / "bars"))
    with progress(what="bytes", total=10, unit="B") as bar:
        bar.update(4)
        bar.update(6)
        assert bar.n == bar.total == 10


def test_a_bar_of_bytes_is_scaled_and_starts_where_work_was_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", str(tmp_path / "bars"))
    with progress(what="fetch", total=4_000_000, unit="B", done=3_000_000) as bar:
        assert bar.n == 3_000_000
    assert "75%" in (shown := (tmp_path / "bars").read_text()) and "3.00M/4.00M" in shown


def test_bars_leave_no_semaphore_behind_in_a_process_that_is_killed() -> None:
    code = (
        "import multiprocessing, multiprocessing.resource_tracker as tracker\n"
        "multiprocessing.set_start_method('spawn')\n"  # as Dask's workers are started
        "from meddel.progress import progress\n"
        "progress(range(3), what='count')\n"
        "print(tracker._resource_tracker._pid)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n", "nothing is shared between processes"
