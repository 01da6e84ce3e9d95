"""What a machine could do at best: bytes that its disk reads and writes, and rows that the kernels do from memory."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import meddel_kernels as kernels
from meddel.artefacts import unwritable
from meddel.scale.kmeans import assign_shard
from meddel_kernels import fixed_point

_CHUNK = 16 << 20


class DiskRates(NamedTuple):
    """Bytes a second that a file takes and gives, written through to the disk and read past the system's cache."""

    write: float
    read: float


def disk_rates(folder: Path, size: int = 256 << 20) -> DiskRates:
    """Measure a file of `size` bytes in `folder`; it is removed.

    Raises
    ------
    MedDELError
        The folder can't be written.
    """
    content = np.random.default_rng(0).bytes(_CHUNK)
    count = max(1, size // _CHUNK)
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            writing = _seconds(lambda: _fill(file, content, count))
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            room = bytearray(_CHUNK)
            reading = _seconds(lambda: [file.readinto(room) for _ in range(count)])
    except OSError as error:
        raise unwritable(folder, error) from error
    return DiskRates(count * _CHUNK / writing, count * _CHUNK / reading)


def assign_seconds(unit: np.ndarray, centroids: np.ndarray, threads: int | None) -> float:
    """Return how long the kernels take to assign unit rows (float64 [m, d]) in memory and to sum them, per row."""
    p = fixed_point.power(len(unit), 1.0)
    guess = assign_shard(unit, centroids, p, unit=True, threads=threads).labels
    return _seconds(lambda: assign_shard(unit, centroids, p, guess, unit=True, threads=threads)) / len(unit)


def cosine_seconds(unit: np.ndarray, order: np.ndarray, offsets: np.ndarray, threads: int | None) -> float:
    """Return how long the kernels take for the greatest cosines of whole clusters in memory, per row."""
    kernels.row_max_cosine(unit, order, offsets, threads=threads)
    return _seconds(lambda: kernels.row_max_cosine(unit, order, offsets, threads=threads)) / len(unit)


def _fill(file: Any, content: bytes, count: int) -> None:
    for _ in range(count):
        file.write(content)
    os.fsync(file.fileno())


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
