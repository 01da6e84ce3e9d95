"""Times and extra memory of functions, one after another and round after round, so that a machine's moods hit all."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Job = Callable[[], object]

PAUSE = 0.3  # seconds, after which the threads of the job before have stopped spinning


def interleaved(jobs: dict[str, Job], rounds: int) -> dict[str, dict[str, float]]:
    """Return for each job its median seconds and the greatest extra memory in MB over `rounds` rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    memory: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            gc.collect()
            _give_back()
            time.sleep(PAUSE)
            with _Peak() as peak:
                start = time.perf_counter()
                job()
                seconds[name].append(time.perf_counter() - start)
            memory[name].append(peak.extra)
            print(f"  {name:<34} {seconds[name][-1]:9.3f} s {memory[name][-1]:8.0f} MB", flush=True)
    return {name: {"seconds": float(np.median(seconds[name])), "extra_mb": max(memory[name])} for name in jobs}


def _give_back() -> None:
    """Give what has been freed back to the system, so that whoever uses it again is seen to use it."""
    with contextlib.suppress(OSError, AttributeError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)


def machine() -> str:
    """Return the processor's name and how many cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return f"{name}, {len(lines) and sum(line.startswith('processor') for line in lines)} cores"


class _Peak:
    """The resident memory that a block of code adds, sampled every 2 ms, in MB."""

    def __enter__(self) -> _Peak:
        self._done = threading.Event()
        self._before = self._most = self._resident()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self.extra = self._most - self._before

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self._most = max(self._most, self._resident())

    @staticmethod
    def _resident() -> float:
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096 / 1e6
