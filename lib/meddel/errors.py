"""The one error that a user sees: what is wrong, where, and what to do, in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path


class MedDELError(Exception):
    """A problem that the person at the keyboard can solve.

    `what` is wrong, a clause without a full stop; `where` is the file, row or parameter; `fix` is what to do about it,
    in the imperative.
    """

    def __init__(self, what: str, where: str | Path | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        place = "" if self.where is None else f" ({self.where})"
        advice = "" if fix is None else f"; {fix}"
        super().__init__(f"{what}{place}{advice}".replace("\n", " "))


def exit_code(program: str, work: Callable[[], int | None]) -> int:
    """Run a command and return its exit code: 0, 1 for a `MedDELError`, 130 for Ctrl-C, each reported in one line."""
    try:
        return work() or 0
    except MedDELError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: interrupted; run the same again to go on", file=sys.stderr)
        return 130
