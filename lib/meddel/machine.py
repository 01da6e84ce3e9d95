"""Check whether this machine is ready for a run: ``meddel check``."""

from __future__ import annotations

import platform
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

import meddel_kernels as kernels
from meddel.errors import MedDELError
from meddel_kernels.cpu.threads import thread_count

MEMORY_NEEDED = 3 << 30  # bytes: a run and one notebook's kernel hold about 1.2 GiB each
DISK_NEEDED = 2 << 30  # bytes: a run with profile smoke leaves less than 1 GiB

_GIB = 2**30


class Machine(NamedTuple):
    """The resources of this machine: memory and disk in bytes; `gpu` is the card's name or None."""

    python: str
    cores: int
    memory: int
    memory_free: int
    disk_free: int
    gpu: str | None


def look(out: Path) -> Machine:
    """Return the resources of this machine, with the disk that `out` would be on."""
    import torch  # here, because it takes seconds

    memory = psutil.virtual_memory()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return Machine(
        platform.python_version(),
        thread_count(None),
        memory.total,
        memory.available,
        shutil.disk_usage(_folder(out)).free,
        gpu,
    )


def check(out: Path, found: Machine | None = None) -> str:
    """Check memory, disk and kernels, and return one line that begins with "ready".

    A `MedDELError` names what is missing: memory, disk space, the right to write to `out`, or kernels that agree with
    their reference. `found` None measures this machine.
    """
    found = look(out) if found is None else found
    if found.memory_free < MEMORY_NEEDED:
        raise MedDELError(
            f"{found.memory_free / _GIB:.1f} of {found.memory / _GIB:.1f} GiB of memory are free and a run needs "
            f"{MEMORY_NEEDED / _GIB:.0f}",
            fix="close other programs",
        )
    place = _folder(out)
    if found.disk_free < DISK_NEEDED:
        raise MedDELError(
            f"{found.disk_free / _GIB:.1f} GiB are free on the disk and a run needs {DISK_NEEDED / _GIB:.0f}",
            place,
            "free some or give another --out",
        )
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise MedDELError(f"can't write there: {error.strerror}", place, "give another --out") from error
    _try_kernels(found.cores)
    gpu = "no GPU, and none is needed" if found.gpu is None else found.gpu
    return (
        f"ready: Python {found.python}, {found.cores} cores, {found.memory_free / _GIB:.1f} of "
        f"{found.memory / _GIB:.1f} GiB of memory free, {found.disk_free / _GIB:.0f} GiB of disk, {gpu}; "
        "the kernels agree with their reference"
    )


def _folder(out: Path) -> Path:
    """Return `out`, or the nearest folder above it that exists."""
    return next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.is_dir())


def _try_kernels(threads: int) -> None:
    rows = np.random.default_rng(0).normal(size=(600, 24)).astype(np.float32)
    defined, ours = (kernels.kmeans(rows, 7, backend=name, threads=threads) for name in ("reference", "cpu"))
    if not np.array_equal(defined.labels, ours.labels) or not np.array_equal(defined.centroids, ours.centroids):
        raise MedDELError("the kernels give other clusters than their reference here", fix="report this machine")
