"""What one step of the pipeline costs: seconds, joules, memory and room on the disk, measured while it runs."""

from __future__ import annotations

import time

from pydantic import BaseModel, ConfigDict

from meddel.energy import EnergyMeter
from meddel.memory import PeakMemory, PeakOf, update


class Cost(BaseModel):
    """The cost of a step. What was not measured is None; records that are older than a field lack it.

    Attributes
    ----------
    seconds : float
        Wall-clock time.
    joules : float or None
        Of all that ran on the counted devices in that time.
    joules_by, joules_absent : str or None
        What counted the joules (``"rapl"``, ``"nvml"``, ``"nvml+rapl"``), or why nothing did.
    peak_memory_bytes : int
        Greatest resident memory of the process.
    peak_memory_of : {"step", "process", "child"}
        Whether that is the peak while the step ran, or since the process began, or that of the child that did the work.
    memory_before_bytes : int or None
        Resident memory when the step began.
    gpu_memory_bytes : int or None
        Greatest memory that torch had allocated on the GPU; None on the processor.
    scratch_bytes : int or None
        What the step needs on the disk while it runs and leaves nothing of, such as a checkpoint.
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
        """Return the cost of a step that was cut off after `self` and gone on with at the cost of `later`."""
        joules, by = None, None
        absent = self.joules_absent or later.joules_absent
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
    """Measures the block that it is entered for.

    Parameters
    ----------
    device : str
        Where the block computes, as torch names it.
    """

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
        """Count what the step had cost before it was cut off."""
        self._before = spent

    def scratch(self, size: int) -> None:
        """Say how many bytes the step needs on the disk while it runs and leaves nothing of."""
        self._scratch = max(size, self._scratch or 0)

    def child(self, peak: int) -> None:
        """Say how many bytes the child held that did the work: its peak counts, and not this process's."""
        self._child = peak

    def cost(self) -> Cost:
        """Return what the block has cost so far; after it, what it cost."""
        seconds = self._seconds if self._ended else time.perf_counter() - self._start
        if not self._ended:
            update()
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


def _greater(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return max(known) if known else None
