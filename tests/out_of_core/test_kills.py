"""kill -9 at any moment, and the same again: the files are those of a run that nobody killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 12
SCRIPT = Path(__file__).with_name("stages_to_kill.py")


@pytest.mark.skipif(not hasattr(sys, "addaudithook") or sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("stage", ["embed", "import", "kmeans", "sort", "dedup", "select"])
def test_a_stage_that_is_killed_ends_in_the_same_bytes(stage: str, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path), stage, str(KILLS), "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["died"] == KILLS
    assert said["good"] and said["files"] > 0
