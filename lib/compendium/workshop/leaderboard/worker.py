"""The one worker: takes the list that has waited longest, scores it, and goes on to the next."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from compendium.workshop.leaderboard.board import Board

_SECONDS = 0.5
_STEP = 0.01


class Scores(Protocol):
    """What the worker needs of `compendium.workshop.leaderboard.scoring.Scorer`."""

    def score(self, ids: Sequence[str] | None, report: Callable[[float], None]) -> list[float]:
        """Return a fraction for each seed and tell the share that is done."""
        ...


class _StoppedError(Exception):
    """The server ends; what is being scored goes back into the queue."""


class Worker(threading.Thread):
    """Scores what waits on the board until it is stopped.

    Parameters
    ----------
    board : Board
    scorer : Scorer
    """

    def __init__(self, board: Board, scorer: Scores) -> None:
        super().__init__(name="scores", daemon=True)
        self.board, self.scorer = board, scorer
        self._stopped, self._called = threading.Event(), threading.Event()
        self._told = 0.0

    def call(self) -> None:
        """Say that something waits, so that it begins at once."""
        self._called.set()

    def stop(self, seconds: float = 30.0) -> None:
        """End soon, when the worker next says how far it is, and wait for that."""
        self._stopped.set()
        self._called.set()
        if self.is_alive():
            self.join(seconds)

    def run(self) -> None:
        """Score until stopped; a list that can't be scored does not end the worker."""
        while not self._stopped.is_set():
            job = self.board.take()
            if job is None:
                self._called.wait(_SECONDS)
                self._called.clear()
                continue
            self._told = 0.0
            try:
                values = self.scorer.score(job.ids, functools.partial(self._report, job.key))
                self.board.finish(job.key, values)
            except _StoppedError:
                self.board.put_back(job.key)
            except Exception as error:  # whatever it is, the next list is scored
                self.board.fail(job.key, f"{type(error).__name__}: {error}")

    def _report(self, key: str, share: float) -> None:
        if self._stopped.is_set():
            raise _StoppedError
        if share >= self._told + _STEP:  # each is a write to the disk
            self.board.advance(key, share)
            self._told = share
