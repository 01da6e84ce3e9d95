"""What a step costs, measured while it runs and never estimated: seconds, joules, peak memory, scratch space.

Joules are read from the counters that the hardware keeps: RAPL for processor packages, NVML for GPUs. They count all
that runs on the device; memory modules, disks and the power supply are in none of them. Where a counter is missing or
unreadable the answer is None with the reason.

The system keeps one peak of memory per process. Linux lets a process reset it, so that a step has its own; where that
is refused, the peak since the process began is reported, and `Cost.peak_memory_of` says so.
"""

from __future__ import annotations

import re
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import psutil
from pydantic import BaseModel, ConfigDict

from meddel.errors import MedDELError

POWERCAP = Path("/sys/class/powercap")
POLL_SECONDS = 10.0  # a package's counter wraps after some minutes at the earliest
PeakOf = Literal["step", "process", "child"]
_PACKAGE = re.compile(r"intel-rapl:\d+")  # sub-domains hold part of a package's energy and would count twice
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


class Counter(NamedTuple):
    """A counter of energy: its name, how to read it, joules per count, and where it wraps (None: never)."""

    by: str
    read: Callable[[], int]
    unit: float
    wraps_at: int | None = None


class EnergyMeter:
    """Count the joules of the block that it is entered for.

    On ``"cpu"`` RAPL counts; on ``"cuda"`` NVML, with the processor's part where RAPL is readable. Without NVML a GPU's
    step is not counted, as the processor's part alone would mislead. A thread reads counters that wrap.
    """

    def __init__(self, device: str = "cpu", *, powercap: Path = POWERCAP, poll_seconds: float = POLL_SECONDS) -> None:
        self._device, self._powercap, self._poll_seconds = device, powercap, poll_seconds
        self._counters: list[Counter] = []
        self._last: list[int] = []
        self._joules = 0.0
        self._absent: str | None = None
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> EnergyMeter:
        on_gpu = self._device.startswith("cuda")
        try:
            if on_gpu:
                self._counters.append(nvml(self._device))
            try:
                self._counters += rapl(self._powercap)
            except MedDELError:
                if not on_gpu:
                    raise
            self._last = [counter.read() for counter in self._counters]
        except MedDELError as error:
            self._counters, self._absent = [], str(error)
        if any(counter.wraps_at for counter in self._counters):
            self._thread = threading.Thread(target=self._poll, name="energy", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._advance()
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def energy(self) -> tuple[float | None, str | None, str | None]:
        """Return joules so far and what counted them, or two times None and the reason."""
        if not self._ended.is_set():
            self._advance()
        if self._absent is not None:
            return None, None, self._absent
        return self._joules, "+".join(dict.fromkeys(counter.by for counter in self._counters)), None

    def _poll(self) -> None:
        while not self._ended.wait(self._poll_seconds):
            self._advance()

    def _advance(self) -> None:
        with self._lock:
            if self._absent is not None or self._ended.is_set():
                return
            try:
                now = [counter.read() for counter in self._counters]
                for counter, before, after in zip(self._counters, self._last, now, strict=True):
                    self._joules += counter.unit * advance(before, after, counter.wraps_at)
                self._last = now
            except (MedDELError, OSError, ValueError) as error:
                self._absent = str(error)


def advance(before: int, after: int, wraps_at: int | None) -> int:
    """Return how far a counter has come, if it has wrapped at most once; refuse one that was reset."""
    if after < before and wraps_at is None:
        raise MedDELError(f"an energy counter went back from {before} to {after}", fix="measure again")
    return after - before + (wraps_at or 0 if after < before else 0)


def rapl(powercap: Path = POWERCAP) -> list[Counter]:
    """Return the counters of all processor packages, in microjoules; an error where there is none or it is unreadable."""
    try:
        folders = sorted(path for path in powercap.iterdir() if _PACKAGE.fullmatch(path.name))
        packages = [path for path in folders if (path / "name").read_text().startswith("package")]
        if not packages:
            raise MedDELError("no RAPL: no processor package", powercap)
        counters = []
        for path in packages:
            wraps_at = int((path / "max_energy_range_uj").read_text())
            counters.append(Counter("rapl", lambda file=path / "energy_uj": int(file.read_text()), 1e-6, wraps_at))
            counters[-1].read()
        return counters
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise MedDELError(f"no RAPL: {reason}", getattr(error, "filename", None) or powercap) from error


def nvml(device: str) -> Counter:
    """Return the counter of the GPU that torch calls `device`, in millijoules; an error where it has none."""
    import pynvml  # here, because a run without a GPU does not need it

    try:
        pynvml.nvmlInit()
        import torch

        uuid = torch.cuda.get_device_properties(device).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except (pynvml.NVMLError, RuntimeError, AssertionError) as error:
        raise MedDELError(f"no NVML: {error}", device) from error

    def read() -> int:
        try:
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        except pynvml.NVMLError as error:
            raise MedDELError(f"NVML counts no energy: {error}", device) from error

    read()
    return Counter("nvml", read, 1e-3)


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
