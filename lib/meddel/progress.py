"""Progress that works in a terminal, under papermill and in a log file alike.

tqdm's notebook widgets stay empty under papermill, so every long loop of the library uses plain tqdm
through this one function.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T] | None = None, *, what: str, total: int | None = None, unit: str = "it") -> tqdm:
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
        What is counted, such as ``"image"``.

    Notes
    -----
    On a stream that is no terminal the bar is refreshed every 10 s, so that a log stays short.
    ``MEDDEL_PROGRESS=0`` turns all bars off.
    """
    interactive = sys.stderr.isatty()
    return tqdm(
        items,
        desc=what,
        total=total,
        unit=unit,
        mininterval=0.2 if interactive else 10.0,
        disable=os.environ.get("MEDDEL_PROGRESS") == "0",
        leave=interactive,
        dynamic_ncols=interactive,
    )
