"""The one error that a user sees: what is wrong, where, and what to do, in one line."""

from __future__ import annotations

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
