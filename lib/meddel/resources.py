"""The cost of a step, measured while it runs and never estimated: seconds, joules, peak memory, scratch space.

The system keeps one peak of memory per process. Linux lets a process reset it, so that a step has its own; where that
is refused, the peak since the process began is reported, and `Cost.peak_memory_of` says so.
"""

from __future__ import annotations

import re
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict

from meddel.energy import EnergyMeter

PeakOf = Literal["step", "process", "child"]
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_open: list[PeakMemory] = []
_lock = threading.RLock()


class Cost(BaseModel):
    """The cost of a step; None where something was not measured.

    Attributes
    ----------
    seconds : float
        Wall-clock time.
    joules : float or None
        Of everything that ran on the counted devices in that time.
    joules_by, joules_absent : str or None
        The counters (``"rapl"``, ``"nvml"``, ``"nvml+rapl"``), or the reason why there is none.
    peak_memory_bytes : int
        Greatest resident memory of the process.
    peak_memory_of : {"step", "process", "child"}
        Whether that is the peak of the step, of the process since it began, or of the child that did the work.
    memory_before_bytes, gpu_memory_bytes, scratch_bytes : int or None
        Resident memory when the step began; torch's peak on the GPU; disk space needed only while the step runs.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float
    joules: float | None = None
    joules_by: str | None = None
    joules_absent: str | None = None
    peak_memory_bytes: int
    peak_memory_of: PeakOf = "process"
    memory_before_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    scratch_bytes: int | None = None

    def then(self, later: Cost) -> Cost:
        """Return the cost of a step that was interrupted after `self` and resumed at the cost of `later`."""
        joules, by, absent = None, None, self.joules_absent or later.joules_absent
        if self.joules is not None and later.joules is not None:
            if self.joules_by == later.joules_by:
                joules, by = self.joules + later.joules, later.joules_by
            else:
                absent = f"measured by {self.joules_by} until it was cut off and by {later.joules_by} after"
        return Cost(
            seconds=self.seconds + later.seconds,
            joules=joules,
            joules_by=by,
            joules_absent=absent,
            peak_memory_bytes=max(self.peak_memory_bytes, later.peak_memory_bytes),
            peak_memory_of="step" if self.peak_memory_of == later.peak_memory_of == "step" else "process",
            memory_before_bytes=self.memory_before_bytes,
            gpu_memory_bytes=_greater(self.gpu_memory_bytes, later.gpu_memory_bytes),
            scratch_bytes=_greater(self.scratch_bytes, later.scratch_bytes),
        )


class Meter:
    """Measure the block that it is entered for, on `device` as torch names it."""

    def __init__(self, device: str = "cpu") -> None:
        self._energy, self._memory = EnergyMeter(device), PeakMemory(device)
        self._before: Cost | None = None
        self._scratch: int | None = None
        self._child: int | None = None
        self._start = self._seconds = 0.0
        self._ended = False

    def __enter__(self) -> Meter:
        self._memory.__enter__()
        self._energy.__enter__()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = time.perf_counter() - self._start
        self._energy.__exit__()
        self._memory.__exit__()
        self._ended = True

    def go_on_from(self, spent: Cost) -> None:
        """Add what the step had cost before it was interrupted."""
        self._before = spent

    def scratch(self, size: int) -> None:
        """Record how many bytes of disk the step needs only while it runs."""
        self._scratch = max(size, self._scratch or 0)

    def child(self, peak: int) -> None:
        """Record the peak memory of the child process that did the work, in place of this process's."""
        self._child = peak

    def cost(self) -> Cost:
        """Return the cost of the block so far, or of all of it once it has ended."""
        seconds = self._seconds if self._ended else time.perf_counter() - self._start
        if not self._ended:
            update_peaks()
        joules, by, absent = self._energy.energy()
        here = Cost(
            seconds=round(seconds, 3),
            joules=None if joules is None else round(joules, 3),
            joules_by=by,
            joules_absent=absent,
            peak_memory_bytes=self._memory.bytes if self._child is None else self._child,
            peak_memory_of=self._memory.of if self._child is None else "child",
            memory_before_bytes=self._memory.before,
            gpu_memory_bytes=self._memory.gpu_bytes,
            scratch_bytes=self._scratch,
        )
        return here if self._before is None else self._before.then(here)


class PeakMemory:
    """Find the peak memory of the block that it is entered for; blocks may be nested.

    Attributes
    ----------
    bytes, before : int, int or None
        Greatest resident memory while the block ran, and resident memory when it began.
    of : {"step", "process"}
        Whether `bytes` is the block's own, or only known since the process began.
    gpu_bytes : int or None
        Greatest memory that torch allocated on the GPU; None on the processor.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device if device.startswith("cuda") else None
        self.bytes = 0
        self.before: int | None = None
        self.of: PeakOf = "process"
        self.gpu_bytes: int | None = None if self._device is None else 0

    def __enter__(self) -> PeakMemory:
        with _lock:
            update_peaks()
            self.of = "step" if _reset() else "process"
            self.before = _resident("VmRSS")
            if self._device is not None:
                import torch

                torch.cuda.init()
                torch.cuda.reset_peak_memory_stats(self._device)
            _open.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        with _lock:
            update_peaks()
            _open.remove(self)

    def gpu_peak(self) -> int | None:
        """Return torch's peak on this block's GPU since its last reset, in bytes."""
        if self._device is None:
            return None
        import torch

        return int(torch.cuda.max_memory_allocated(self._device))


def update_peaks() -> None:
    """Update the peaks of all open blocks: needed before each reset, which forgets the peak for all of them."""
    with _lock:
        peak = _process_peak()
        for block in _open:
            block.bytes = max(block.bytes, peak)
            if (on_gpu := block.gpu_peak()) is not None:
                block.gpu_bytes = max(block.gpu_bytes or 0, on_gpu)


class ChildrenPeak:
    """Find in `bytes` the greatest memory that one child process held while the block ran, by looking often."""

    def __init__(self, seconds: float = 0.2) -> None:
        self.bytes = 0
        self._seconds, self._ended = seconds, threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory of children", daemon=True)

    def __enter__(self) -> ChildrenPeak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        own = psutil.Process()
        while not self._ended.wait(self._seconds):
            for child in own.children(recursive=True):
                try:
                    self.bytes = max(self.bytes, child.memory_info().rss)
                except psutil.Error:
                    continue  # it has ended since, or belongs to somebody else


def _greater(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return max(known) if known else None


def _process_peak() -> int:
    """Return the greatest resident memory of this process since it began or was reset, in bytes."""
    known = _resident("VmHWM")
    if known is not None:
        return known
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _resident(field: str) -> int | None:
    """Return a field of the process's status in bytes, None where there is none."""
    try:
        found = re.search(rf"^{field}:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024


def _reset() -> bool:
    """Set the process's peak to what it holds now; False where the system refuses."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True
