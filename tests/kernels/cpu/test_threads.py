"""Threads that share out ranges of rows: what they cover, and what happens when one fails or the process forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from meddel_kernels.cpu.threads import share_out, thread_count


@pytest.mark.parametrize(("n", "block", "threads"), [(0, 1, 2), (1, 64, 3), (1000, 64, 1), (1000, 64, 3), (7, 1, 5)])
def test_every_row_once_and_told_in_order(n: int, block: int, threads: int) -> None:
    ranges: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []
    share_out(lambda *part: ranges.append(part), n, block, threads, done=lambda *part: told.append(part))
    assert sorted(ranges) == told
    assert [row for part in told for row in range(*part)] == list(range(n))
    assert all(start % block == 0 for start, _ in told)


def test_after_an_error_nobody_goes_on() -> None:
    begun: list[int] = []

    def work(start: int, stop: int) -> None:
        begun.append(start)
        time.sleep(0.01)
        if start == 0:
            raise ArithmeticError("no")

    with pytest.raises(ArithmeticError, match=r"^no$"):
        share_out(work, 1000, 1, 2)
    before = len(begun)
    assert before < 16
    time.sleep(0.05)
    assert len(begun) == before


def test_threads_stay_from_call_to_call() -> None:
    def names() -> set[str]:
        found: set[str] = set()
        share_out(lambda *_: (found.add(threading.current_thread().name), time.sleep(0.005)), 64, 1, 2)
        return found

    assert names() == names() and len(names()) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    code = (
        "import os\n"
        "from meddel_kernels.cpu.threads import share_out\n"
        "def count():\n"
        "    rows = []\n"
        "    share_out(lambda start, stop: rows.extend(range(start, stop)), 100, 1, 2)\n"
        "    return len(rows)\n"
        "assert count() == 100\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if count() == 100 else 1)\n"
        "print(os.waitpid(child, 0)[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "0\n", done.stderr


def test_a_number_of_threads_is_one_or_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="threads 0 must be at least 1"):
        thread_count(0)
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", 3)
    assert (thread_count(None), thread_count(2)) == (3, 2)
