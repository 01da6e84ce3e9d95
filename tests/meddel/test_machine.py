"""What is said of a machine that is ready, and of one that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

import meddel_kernels as kernels
from meddel import machine
from meddel.errors import MedDELError

ENOUGH = machine.Machine("3.12.1", 4, 16 << 30, 8 << 30, 50 << 30, None)


def test_a_machine_that_is_ready_is_told_in_one_line(tmp_path: Path) -> None:
    said = machine.check(tmp_path, ENOUGH)
    assert said.startswith("ready: Python 3.12.1, 4 cores, 8.0 of 16.0 GiB of memory free, 50 GiB of disk, no GPU")
    assert "\n" not in said
    assert "Big Card" in machine.check(tmp_path, ENOUGH._replace(gpu="Big Card"))


def test_this_machine_is_looked_at(tmp_path: Path) -> None:
    found = machine.look(tmp_path / "not" / "there")
    assert found.memory == psutil.virtual_memory().total >= found.memory_free > 0
    assert found.disk_free > 0 and found.cores >= 1


@pytest.mark.parametrize(
    ("lack", "told"),
    [
        ({"memory_free": 1 << 30}, "1.0 of 16.0 GiB of memory are free and a run needs 3; close other programs"),
        ({"disk_free": 1 << 30}, "1.0 GiB are free on the disk and a run needs 2"),
    ],
)
def test_what_is_too_little_is_said(lack: dict[str, int], told: str, tmp_path: Path) -> None:
    with pytest.raises(MedDELError, match=told):
        machine.check(tmp_path, ENOUGH._replace(**lack))


def test_a_folder_that_can_not_be_written_is_named() -> None:
    with pytest.raises(MedDELError, match=r"can't write there: [^(]* \(/proc"):
        machine.check(Path("/proc/self/fdinfo"), ENOUGH)


def test_kernels_that_are_wrong_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = kernels.kmeans

    def wrong(*arguments: object, backend: str, **others: object) -> kernels.KMeans:
        found = right(*arguments, backend=backend, **others)
        return found._replace(labels=np.zeros_like(found.labels)) if backend == "cpu" else found

    monkeypatch.setattr(kernels, "kmeans", wrong)
    with pytest.raises(MedDELError, match="other clusters than their reference"):
        machine.check(tmp_path, ENOUGH)
