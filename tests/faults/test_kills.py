"""kill -9 at any moment, and the same again: the files are those of a run that nobody killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

KILLS, AT_OPERATIONS = 50, 8
SCRIPT = Path(__file__).with_name("stages_to_kill.py")
MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def hunter() -> Iterator[subprocess.Popen[str]]:
    """The process that kills stages; its files lie in memory where that is possible, as it writes thousands."""
    folder = tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None)
    command = [sys.executable, str(SCRIPT), folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("stage", ["import", "kmeans", "sort", "dedup", "select", "embed", "pretrain"])
def test_a_stage_that_is_killed_ends_in_the_same_bytes(
    stage: str, hunter: subprocess.Popen[str], survived: Callable[..., None]
) -> None:
    hunter.stdin.write(f"{stage} {KILLS} {AT_OPERATIONS} 0\n")
    hunter.stdin.flush()
    line = hunter.stdout.readline()
    assert line, f"exit code {hunter.wait()}"
    said = json.loads(line)
    assert (said["died"], said["at_operations"]) == (KILLS, AT_OPERATIONS)
    assert said["midway"] >= KILLS // 4, "most died before they had begun, or when they were done"
    assert said["same"] and said["files"] > 0
    survived("kill -9 at a random time", stage, said["died"])
    survived("kill -9 at a random file operation", stage, said["at_operations"])
