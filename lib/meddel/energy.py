"""Joules of a step, read from the counters that the hardware keeps: RAPL for processor packages, NVML for GPUs.

They count all that runs on the device; memory modules, disks and the power supply are in none of them. Where a counter
is missing or unreadable the answer is None with the reason: nothing is estimated.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from meddel.errors import MedDELError

POWERCAP = Path("/sys/class/powercap")
POLL_SECONDS = 10.0  # a package's counter wraps after some minutes at the earliest
_PACKAGE = re.compile(r"intel-rapl:\d+")  # sub-domains hold part of a package's energy and would count twice


class Counter(NamedTuple):
    """A counter of energy: its name, how to read it, joules per count, and where it wraps (None: never)."""

    by: str
    read: Callable[[], int]
    unit: float
    wraps_at: int | None = None


class Energy(NamedTuple):
    """`joules` and what counted them; or None, None and the reason."""

    joules: float | None
    by: str | None
    absent: str | None


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

    def energy(self) -> Energy:
        """Return what was counted so far; after the block, what it cost."""
        if not self._ended.is_set():
            self._advance()
        if self._absent is not None:
            return Energy(None, None, self._absent)
        return Energy(self._joules, "+".join(dict.fromkeys(counter.by for counter in self._counters)), None)

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
    """Return the counters of all processor packages, in microjoules; refuse a machine without a readable one."""
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
