"""Two processes on one store: the second waits, says so, and goes on when the first is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meddel.errors import MedDELError
from meddel.store import locked

HOLD = """
import logging, sys
from pathlib import Path
from meddel.store import locked

logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s", force=True)
with locked(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
print("out", flush=True)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that enters the lock of a folder and stays until its input ends."""
    command = [sys.executable, "-u", "-c", HOLD, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.fault("two processes on one store", "the second waits and says so")
@pytest.mark.parametrize("ending", ["done", "killed"])
def test_the_second_process_waits_until_the_first_is_gone(tmp_path: Path, ending: str) -> None:
    first = hold(tmp_path)
    assert first.stdout.readline() == "in\n"
    with hold(tmp_path) as second:
        assert second.stdout.readline().startswith("another process is at work in ")
        assert second.poll() is None
        if ending == "killed":
            first.send_signal(signal.SIGKILL)
        first.communicate("")
        assert second.stdout.readline() == "in\n"
        assert second.communicate("")[0] == "out\n"
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".store.json.x1y2.part").touch()
    (tmp_path / "mine.part").touch()
    with locked(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "mine.part"]


def test_a_folder_that_can_not_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MedDELError, match=r"can't write: .*give another --out folder"), locked(tmp_path / "file" / "a"):
        pass
