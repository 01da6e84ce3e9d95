"""Joules that a step costs, read off counters that the hardware keeps: RAPL for processors, NVML for GPUs.

A counter counts all that runs on its device, other programs included. RAPL's package domains hold the processor with
its caches; memory modules, disks and the power supply are in none of them, and NVML's number is the GPU's board.
Where a counter is missing or can't be read, the answer is None with the reason: nothing is estimated.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from meddel.errors import MedDELError

POWERCAP = Path("/sys/class/powercap")
POLL_SECONDS = 10.0
"""How often wrapping counters are read: a package's counter wraps after some minutes at the earliest."""

_PACKAGE = re.compile(r"intel-rapl:\d+")


class Energy(NamedTuple):
    """`joules`, and what counted them (``"rapl"``, ``"nvml"``, ``"nvml+rapl"``); or None, None, and why not."""

    joules: float | None
    by: str | None
    absent: str | None


@dataclass(frozen=True)
class Counter:
    """A counter of energy: how to read it, joules per count, and the count at which it begins anew (None: never)."""

    by: str
    read: Callable[[], int]
    unit: float
    wraps_at: int | None = None


def advance(before: int, after: int, wraps_at: int | None) -> int:
    """Return how far a counter has come from `before` to `after`, if it has wrapped at most once.

    Raises
    ------
    MedDELError
        It went back although it does not wrap: it was reset.
    """
    if after >= before:
        return after - before
    if wraps_at is None:
        raise MedDELError(f"an energy counter went back from {before} to {after}", fix="measure again")
    return after - before + wraps_at


def rapl(powercap: Path = POWERCAP) -> list[Counter]:
    """Return the counters of all processor packages, in microjoules.

    Sub-domains (cores, graphics, memory) and the platform's domain are left out: they hold part of a package's energy
    or all of it, so that adding them would count it twice. So is what ``intel-rapl-mmio`` shows of a package again.

    Raises
    ------
    MedDELError
        This machine has no such counter, or this user may not read one of them.
    """
    try:
        folders = sorted(path for path in powercap.iterdir() if _PACKAGE.fullmatch(path.name))
        packages = [path for path in folders if (path / "name").read_text().startswith("package")]
        if not packages:
            raise MedDELError("no RAPL: no processor package", powercap)
        counters = []
        for path in packages:
            read, wraps_at = _reader(path / "energy_uj"), int((path / "max_energy_range_uj").read_text())
            read()
            counters.append(Counter("rapl", read, 1e-6, wraps_at))
        return counters
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise MedDELError(f"no RAPL: {reason}", getattr(error, "filename", None) or powercap) from error


def nvml(device: str) -> Counter:
    """Return the counter of the GPU that torch calls `device`, in millijoules.

    Raises
    ------
    MedDELError
        No NVML here, or this GPU (or part of a GPU) has no counter.
    """
    import pynvml  # here, because a run without a GPU does not need it

    try:
        pynvml.nvmlInit()  # counted by the library and undone when the process ends
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


class EnergyMeter:
    """Counts the joules of the block that it is entered for.

    Parameters
    ----------
    device : str
        Where the block computes. ``"cpu"`` is counted by RAPL. ``"cuda"`` is counted by NVML, with the processor's part
        where RAPL can be read; without NVML it is not counted, as the processor's part alone would mislead.
    powercap : Path
        Folder of the system's power domains.
    poll_seconds : float
        How often a thread reads counters that wrap.

    Notes
    -----
    `energy` may be called inside the block, for what was spent so far, and after it.
    """

    def __init__(self, device: str = "cpu", *, powercap: Path = POWERCAP, poll_seconds: float = POLL_SECONDS) -> None:
        self._device, self._powercap, self._poll_seconds = device, powercap, poll_seconds
        self._counters: list[Counter] = []
        self._last: list[int] = []
        self._joules = 0.0
        self._absent: str | None = None
        self._ended, self._lock, self._stack = threading.Event(), threading.Lock(), ExitStack()

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
            thread = threading.Thread(target=self._poll, name="energy", daemon=True)
            thread.start()
            self._stack.callback(thread.join)
            self._stack.callback(self._ended.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._advance()
        self._ended.set()

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
            if self._absent is not None:
                return
            try:
                now = [counter.read() for counter in self._counters]
                for counter, before, after in zip(self._counters, self._last, now, strict=True):
                    self._joules += counter.unit * advance(before, after, counter.wraps_at)
                self._last = now
            except (MedDELError, OSError, ValueError) as error:
                self._absent = str(error)


def _reader(path: Path) -> Callable[[], int]:
    return lambda: int(path.read_text())
