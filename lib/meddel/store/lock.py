"""One process at a time writes to a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from meddel.artefacts import unwritable

_LOG = logging.getLogger("meddel")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time write to `folder`, which is made; another waits, and says so in one line.

    The lock is the operating system's: it goes with the process that held it, however that ended. It must not be
    nested. What killed processes left half-written (``.*.part``) is removed.

    Raises
    ------
    MedDELError
        The folder can't be written.
    """
    guard = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            guard.acquire(timeout=0)
        except Timeout:
            _LOG.warning("another process is at work in %s; waiting until it is done", folder)
            guard.acquire(poll_interval=0.1)
        for half in folder.glob(".*.part"):
            half.unlink(missing_ok=True)
    except OSError as error:
        guard.release()
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held: who waits for this file sees that it is gone and opens a new one
            Path(guard.lock_file).unlink(missing_ok=True)
        guard.release()
