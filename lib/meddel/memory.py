"""Peak memory of one step of a process that does several, on the processor and on the GPU, and that of children.

The system keeps one peak per process. Linux lets a process reset it, and so does torch for the GPU. Where that is
refused, what is known is the peak since the process began, and `PeakMemory.of` says so.
"""

from __future__ import annotations

import re
import resource
import sys
import threading
from pathlib import Path
from typing import Literal

import psutil

PeakOf = Literal["step", "process", "child"]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_open: list[PeakMemory] = []
_lock = threading.RLock()


class PeakMemory:
    """Finds the peak of the block that it is entered for; blocks may be nested.

    Parameters
    ----------
    device : str
        ``"cpu"``, or a GPU as torch names it.

    Attributes
    ----------
    bytes : int
        Greatest resident memory of the process while the block ran, whatever it held before included.
    before : int or None
        Resident memory when the block began; None where the system does not tell.
    of : {"step", "process"}
        Whether `bytes` is the block's own, or only known since the process began.
    gpu_bytes : int or None
        Greatest memory that torch had allocated on the GPU; None on the processor.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device if device.startswith("cuda") else None
        self.bytes = 0
        self.before: int | None = None
        self.of: PeakOf = "process"
        self.gpu_bytes: int | None = None if self._device is None else 0

    def __enter__(self) -> PeakMemory:
        with _lock:
            update()
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
            update()
            _open.remove(self)

    def gpu_peak(self) -> int | None:
        """Return torch's peak on this block's GPU since it was last reset, in bytes."""
        if self._device is None:
            return None
        import torch

        return int(torch.cuda.max_memory_allocated(self._device))


class ChildrenPeak:
    """Finds the greatest memory that one child of this process held while the block ran, by looking often.

    Parameters
    ----------
    seconds : float
        Between two looks. What a child held for less may be missed.

    Attributes
    ----------
    bytes : int
        Resident memory of the largest child, children's children included; 0 if there was none.
    """

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


def update() -> None:
    """Bring the peaks of all open blocks up to date; needed before each reset, as a reset forgets for all of them."""
    with _lock:
        peak = process_peak()
        for block in _open:
            block.bytes = max(block.bytes, peak)
            if (on_gpu := block.gpu_peak()) is not None:
                block.gpu_bytes = max(block.gpu_bytes or 0, on_gpu)


def process_peak() -> int:
    """Return the greatest resident memory of this process since it began or its peak was reset, in bytes."""
    known = _resident("VmHWM")
    if known is not None:
        return known
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _resident(field: str) -> int | None:
    """A field of the process's status in bytes, None where there is none."""
    try:
        found = re.search(rf"^{field}:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024


def _reset() -> bool:
    """Set the process's peak to what it holds now; False where the system has no such thing or refuses."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True
