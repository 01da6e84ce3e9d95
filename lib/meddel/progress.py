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
    """Return a plain tqdm over `items` with rate and time left.

    Parameters
    ----------
    items : iterable or None
        What is iterated; None for a bar that is advanced with ``.update(n)``.
    what : str
        What is being done, shown before the bar.
    total : int or None
        Number of `unit` in all, where ``len(items)`` does not tell.
    unit : str
        What is counted, such as ``"image"``; ``"B"`` is shown in kB, MB and so on.
    done : int
        How many were done before; they don't count for the rate.

    Notes
    -----
    On a stream that is no terminal the bar is refreshed every 10 s, so that a log stays short.
    ``MEDDEL_PROGRESS=0`` turns all bars off; any other value is the file or terminal that they are written to, which
    is how the bars of a notebook's kernel reach the person who started it.
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
