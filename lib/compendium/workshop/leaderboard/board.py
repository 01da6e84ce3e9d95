"""What the leaderboard knows, in one SQLite file: submissions, the lists that they hold, and what was refused.

A list is scored once however many people hand it in. Whatever is in the queue stays there if the server is killed; what
was being scored is queued again at the next start.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from meddel import artefacts
from meddel.errors import MedDELError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (surrogate TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lists (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, ids TEXT NOT NULL, kept INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', share REAL NOT NULL DEFAULT 0, miou TEXT, problem TEXT);
CREATE TABLE IF NOT EXISTS submissions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, at TEXT NOT NULL, key TEXT NOT NULL,
    reference INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS refused (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, at TEXT NOT NULL, line TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Entry:
    """One submission and the state of its list: queued, running, done or failed.

    `kept` counts images (0: no pre-training), `share` is how much of the scoring is done, `miou` has a fraction for
    each seed once it is done, `problem` says why it failed.
    """

    number: int
    name: str
    at: str
    reference: bool
    kept: int
    state: str
    share: float
    miou: tuple[float, ...]
    problem: str | None


@dataclass(frozen=True)
class Job:
    """A list to score; `ids` None is no pre-training."""

    key: str
    ids: list[str] | None


class Board:
    """The leaderboard's memory. Every method may be called from any thread.

    Parameters
    ----------
    path : Path
        The file; made if need be.
    surrogate : str
        What the scores depend on beside the lists, as text.

    Raises
    ------
    MedDELError
        The file can't be made or read, or its scores are of another surrogate.
    """

    def __init__(self, path: Path, surrogate: str) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as database:
                database.executescript(_SCHEMA)
                held = database.execute("SELECT surrogate FROM meta").fetchone()
                if held is None:
                    database.execute("INSERT INTO meta VALUES (?)", [surrogate])
                database.execute("UPDATE lists SET state = 'queued', share = 0 WHERE state = 'running'")
        except OSError as error:
            raise artefacts.unwritable(path, error) from error
        except sqlite3.Error as error:
            raise MedDELError(f"no readable leaderboard: {error}", path, "give another --out folder") from error
        if held is not None and held[0] != surrogate:
            raise MedDELError("the scores here are of another surrogate", path, "give another --out folder")

    def add(self, name: str, key: str, ids: Sequence[str] | None, *, reference: bool = False) -> int:
        """Take a submission and return its number; its list is queued unless it has a score or waits for one."""
        with self._open() as database:
            kept, listed = (0, "null") if ids is None else (len(ids), json.dumps(list(ids)))
            database.execute("INSERT OR IGNORE INTO lists (key, ids, kept) VALUES (?, ?, ?)", [key, listed, kept])
            database.execute("UPDATE lists SET state = 'queued' WHERE key = ? AND state = 'failed'", [key])
            values = [name, _now(), key, int(reference)]
            added = database.execute("INSERT INTO submissions (name, at, key, reference) VALUES (?, ?, ?, ?)", values)
            return int(added.lastrowid or 0)

    def refuse(self, name: str, line: str) -> None:
        """Note a submission that was refused, and why."""
        with self._open() as database:
            database.execute("INSERT INTO refused (name, at, line) VALUES (?, ?, ?)", [name, _now(), line])

    def take(self) -> Job | None:
        """Return the list that has waited longest, now running; None if nothing waits."""
        with self._open() as database:
            query = "UPDATE lists SET state = 'running' WHERE number = "
            query += "(SELECT min(number) FROM lists WHERE state = 'queued') RETURNING key, ids"
            row = database.execute(query).fetchone()
        return None if row is None else Job(row[0], json.loads(row[1]))

    def advance(self, key: str, share: float) -> None:
        """Note how much of a list's scoring is done."""
        with self._open() as database:
            database.execute("UPDATE lists SET share = ? WHERE key = ?", [share, key])

    def put_back(self, key: str) -> None:
        """Queue a running list again."""
        with self._open() as database:
            database.execute("UPDATE lists SET state = 'queued', share = 0 WHERE key = ?", [key])

    def finish(self, key: str, miou: Sequence[float]) -> None:
        """Note a list's score, a fraction for each seed."""
        values = [json.dumps(list(miou)), key]
        with self._open() as database:
            database.execute("UPDATE lists SET state = 'done', share = 1, miou = ? WHERE key = ?", values)

    def fail(self, key: str, problem: str) -> None:
        """Note that a list can't be scored, and why."""
        with self._open() as database:
            database.execute("UPDATE lists SET state = 'failed', problem = ? WHERE key = ?", [problem, key])

    def entries(self) -> list[Entry]:
        """Return all submissions in the order in which they came."""
        query = """SELECT s.number, s.name, s.at, s.reference, l.kept, l.state, l.share, l.miou, l.problem
                   FROM submissions s JOIN lists l ON s.key = l.key ORDER BY s.number"""
        with self._open() as database:
            rows = database.execute(query).fetchall()
        return [
            Entry(number, name, at, bool(reference), kept, state, share, tuple(json.loads(miou or "[]")), problem)
            for number, name, at, reference, kept, state, share, miou, problem in rows
        ]

    def refusals(self, most: int = 10) -> list[tuple[str, str, str]]:
        """Return name, time and line of the last refused submissions, the newest first."""
        query = "SELECT name, at, line FROM refused ORDER BY number DESC LIMIT ?"
        with self._open() as database:
            return database.execute(query, [most]).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction, which waits for others and is written at the end of the block."""
        with closing(sqlite3.connect(self.path, timeout=30)) as database, database:
            database.execute("BEGIN IMMEDIATE")
            yield database


def _now() -> str:
    return datetime.now(UTC).astimezone().strftime("%H:%M:%S")
