"""The one error that a user sees: what is wrong, where, and what to do, in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path


class MedDELError(Exception):
    """A problem that the person at the keyboard can solve.

    Parameters
    ----------
    what : str
        What is wrong, as a clause without a full stop.
    where : str or Path or None
        The file, row or parameter that it concerns.
    fix : str or None
        What to do about it, in the imperative.
    """

    def __init__(self, what: str, where: str | Path | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        place = "" if self.where is None else f" ({self.where})"
        advice = "" if fix is None else f"; {fix}"
        super().__init__(f"{what}{place}{advice}".replace("\n", " "))


def exit_code(program: str, work: Callable[[], int | None]) -> int:
    """Do what a command does; a problem, or that the user interrupted, is said in one line.

    Parameters
    ----------
    program : str
        What the line begins with.
    work : callable
        Returns an exit code, or None for 0.

    Returns
    -------
    int
        What `work` returns, 1 for a `MedDELError`, 130 for an interruption.
    """
    try:
        return work() or 0
    except MedDELError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: interrupted; run the same again to go on", file=sys.stderr)
        return 130
