"""Progress that works in a terminal, under papermill and in a log file alike.

tqdm's notebook widgets stay empty under papermill, so every long loop of the library uses plain tqdm
through this one function.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")

if not hasattr(tqdm, "_lock"):
    # tqdm's own lock spans processes, and a worker that is ended leaves its part behind with a warning.
    tqdm.set_lock(threading.RLock())


def progress(
    items: Iterable[T] | None = None, *, what: str, total: int | None = None, unit: str = "it", done: int = 0
) -> tqdm:
    """Return a plain tqdm over `items` (None: a bar advanced with ``.update(n)``) with rate and time left.

    `what` is shown before the bar, `unit` is what is counted (``"B"`` is shown in kB, MB), `total` the number of units
    where ``len(items)`` is unknown, `done` how many were finished before. On a stream which is no terminal the bar is
    refreshed every 10 s. ``MEDDEL_PROGRESS=0`` turns all bars off; another value is the file or terminal that they are
    written to, which is how the bars of a notebook's kernel reach the person who started it.
    """
    wanted = os.environ.get("MEDDEL_PROGRESS", "")
    stream = _opened(wanted) if wanted not in ("", "0") else sys.stderr
    interactive = stream.isatty()
    return tqdm(
        items,
        file=stream,
        desc=what,
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        initial=done,
        mininterval=0.2 if interactive else 10.0,
        disable=wanted == "0",
        leave=interactive,
        dynamic_ncols=interactive,
    )


@functools.cache
def _opened(path: str) -> TextIO:
    return Path(path).open("a", encoding="utf-8")
