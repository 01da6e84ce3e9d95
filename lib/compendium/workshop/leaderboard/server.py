"""The leaderboard over HTTP, by the standard library alone.

``GET /`` ranks, ``GET /enter`` has the form, ``GET /scores.json`` has the numbers, ``POST /submit`` takes a list. Each
request has a thread of its own; the lists are scored one after the other by the worker.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

from compendium.workshop import pictures
from compendium.workshop.leaderboard import kept_list, page, upload
from compendium.workshop.leaderboard.board import Board
from compendium.workshop.leaderboard.scoring import Scorer, Surrogate
from compendium.workshop.leaderboard.standings import ALL, NONE, SCORES, standings
from compendium.workshop.leaderboard.worker import Worker
from meddel import select as selectors
from meddel.errors import MedDELError

PRICE, BASELINE_RATIO = 0.3, 0.1
_SECONDS = 30
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"


class Leaderboard(ThreadingHTTPServer):
    """The server with its board and its worker, which works while the server is open.

    Parameters
    ----------
    out : Path
        Folder of ``leaderboard.sqlite``.
    host, port : str, int
        Where it listens; port 0 takes a free one.
    price : float
        Of the net benefit.
    surrogate : Surrogate or None
        How lists are scored; None is the default.

    Raises
    ------
    MedDELError
        The folder can't be used, or nobody can listen there.
    """

    daemon_threads = True

    def __init__(
        self,
        out: Path,
        host: str = "127.0.0.1",
        port: int = 8000,
        price: float = PRICE,
        surrogate: Surrogate | None = None,
    ) -> None:
        self.price = price
        self.scorer = Scorer(surrogate)
        self.board = Board(out / "leaderboard.sqlite", self.scorer.key(None))
        self.worker = Worker(self.board, self.scorer)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            fix = "give another --host or --port"
            raise MedDELError(f"can't listen: {error}", f"{host}:{port}", fix) from error
        self._add_references()
        self.worker.start()

    def server_bind(self) -> None:
        """Bind without asking for the machine's full name, which takes long without a network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    @property
    def address(self) -> str:
        """Where it listens, as a browser takes it."""
        return f"http://{self.server_address[0]}:{self.server_address[1]}"

    def server_close(self) -> None:
        """Close the server and stop the worker; what waits stays in the queue."""
        super().server_close()
        self.worker.stop()

    def submit(self, name: str, content: bytes) -> str:
        """Take a list and return the answer; what is refused is noted before the error goes on.

        Raises
        ------
        MedDELError
            The list is refused.
        """
        try:
            ids = kept_list.read(content, self.scorer.pool.ids)
        except MedDELError as error:
            self.board.refuse(name, str(error))
            raise
        number = self.board.add(name, self.scorer.key(ids), ids)
        self.worker.call()
        return f"submission {number}: {len(ids)} images; see the leaderboard for its score"

    def _add_references(self) -> None:
        """Queue what everybody is compared with, once."""
        there = {entry.name for entry in self.board.entries() if entry.reference}
        pool = self.scorer.pool
        lists: dict[str, list[str] | None] = {NONE: None, ALL: pool.ids}
        budget = selectors.budget_for(BASELINE_RATIO, len(pool.ids))
        for name in ("random", "meddel"):
            rng = np.random.default_rng(0)
            table = selectors.get(name)(pictures.describe(pool.images), pool.index, budget, rng)
            kept = table.filter(table["kept"])["id"].to_pylist()
            lists[f"{name}, {BASELINE_RATIO:.0%}"] = sorted(kept)
        for name, ids in lists.items():
            if name not in there:
                self.board.add(name, self.scorer.key(ids), ids, reference=True)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Leaderboard
    timeout = _SECONDS
    server_version, sys_version = "meddel", ""

    def do_GET(self) -> None:
        """Answer with a page or the numbers."""
        asked = urlsplit(self.path)
        by = parse_qs(asked.query).get("by", [SCORES[0]])[0]
        by = by if by in SCORES else SCORES[0]
        pool, server = len(self.server.scorer.pool.ids), self.server
        if asked.path == "/":
            seeds = server.scorer.surrogate.seeds
            self._html(HTTPStatus.OK, page.board_page(server.board, pool, server.price, seeds, by))
        elif asked.path == "/enter":
            self._html(HTTPStatus.OK, page.enter_page())
        elif asked.path == "/scores.json":
            found = standings(server.board.entries(), pool, server.price, by)
            plain = [{key: None if _is_nan(value) else value for key, value in asdict(one).items()} for one in found]
            self._answer(HTTPStatus.OK, "application/json", json.dumps(plain))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", "there is no such page; see /")

    def do_POST(self) -> None:
        """Take a submission."""
        asked = urlsplit(self.path)
        kind = self.headers.get("Content-Type", "")
        from_form = kind.startswith("multipart/form-data")
        status, said = HTTPStatus.OK, ""
        try:
            if asked.path != "/submit":
                raise MedDELError("lists go to /submit", fix="see /enter")
            content = upload.body(self.rfile, self.headers.get("Content-Length"))
            name = "" if from_form else parse_qs(asked.query).get("name", [""])[0]
            taken = upload.form(content, kind) if from_form else upload.Upload(upload.checked_name(name), content)
            said = self.server.submit(*taken)
        except upload.TooLargeError as error:
            status, said = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error)
        except MedDELError as error:
            status, said = HTTPStatus.BAD_REQUEST, f"refused: {error}"
        self.close_connection = True
        if from_form:
            self._html(status, page.enter_page(said))
        else:
            self._answer(status, "text/plain; charset=utf-8", said)

    def log_message(self, *_: object) -> None:
        """Keep the terminal quiet: the page shows what goes on."""

    def _html(self, status: HTTPStatus, text: str) -> None:
        self._answer(status, "text/html; charset=utf-8", text)

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Content-Security-Policy", _POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
