"""How much an archive may unpack to: counted from what it declares, and held against the free disk."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from meddel.errors import MedDELError


class Limits(BaseModel):
    """What an archive may unpack to, everything inside inner archives included.

    Attributes
    ----------
    unpacked : int
        Bytes in all.
    members : int
        Files, folders and whatever else is listed.
    ratio, ratio_from : float, int
        Unpacked bytes for each byte of the archive, looked at from `ratio_from` unpacked bytes on: masks that are not
        compressed shrink 1000 times and are no bomb.
    depth : int
        Archives inside archives: 1 admits a zip in a zip.
    """

    model_config = ConfigDict(frozen=True)

    unpacked: int = 10**12
    members: int = 2_000_000
    ratio: float = 100
    ratio_from: int = 4 << 30
    depth: int = 3


class Meter:
    """Counts what archives declare against the limits and the free disk, and moves the bar by the bytes read.

    Parameters
    ----------
    limits : Limits
    archive : Path
        The outermost archive.
    folder : Path
        On the disk that is written to.
    bar : tqdm
        Its total grows with each inner archive.
    """

    def __init__(self, limits: Limits, archive: Path, folder: Path, bar: tqdm) -> None:
        self.limits, self.stop = limits, threading.Event()
        self._archive, self._folder, self._bar, self._lock = archive, folder, bar, threading.Lock()
        self._packed = archive.stat().st_size
        self._unpacked = self._members = 0

    def declare(self, where: str, *, unpacked: int = 0, members: int = 0) -> None:
        """Add declared bytes and members.

        Raises
        ------
        MedDELError
            They are more than the limits admit.
        """
        self._unpacked += unpacked
        self._members += members
        allowed = min(self.limits.unpacked, max(self.limits.ratio_from, int(self.limits.ratio * self._packed)))
        fix = "fetch it again; if it is no bomb, widen the Limits of unpack"
        if self._members > self.limits.members:
            raise MedDELError(f"the archive has more than {self.limits.members:,} members", where, fix)
        if self._unpacked > allowed:
            said = f"the archive of {self._packed:,} bytes unpacks to {self._unpacked:,}, more than {allowed:,}"
            raise MedDELError(said, where, fix)

    def need(self, size: int) -> None:
        """Check that `size` bytes are free on the disk.

        Raises
        ------
        MedDELError
            They are not.
        """
        free = shutil.disk_usage(self._folder).free
        if size > free:
            said = f"unpacking needs {size:,} bytes, the disk has {free:,}"
            raise MedDELError(said, self._folder, "free some space or give another folder")

    def advance(self, size: int) -> None:
        """Move the bar by `size` bytes of an archive, but not beyond its end: tables of contents are read twice."""
        with self._lock:
            self._bar.update(min(size, self._bar.total - self._bar.n))

    def expect(self, size: int) -> None:
        """Lengthen the bar by the `size` bytes of an inner archive."""
        with self._lock:
            self._bar.total += size

    def opened(self, path: Path) -> io.FileIO:
        """Return an archive, opened without a buffer, whose reading moves the bar."""
        return _Counted(path, self.advance)


class _Counted(io.FileIO):
    """A file that reports each number of bytes read."""

    def __init__(self, path: Path, report: Callable[[int], None]) -> None:
        super().__init__(path)
        self._report = report

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(-1 if size is None else size)
        self._report(len(content))
        return content

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(buffer)
        self._report(size)
        return size
