"""The room's leaderboard: ``python -m compendium.workshop.leaderboard --out board`` takes kept-lists and ranks them.

One thread scores the lists, equal ones once. Submissions are kept in a file: what waits is scored after the next start,
even if the process was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import requests
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from compendium.metrics import net_benefit
from compendium.workshop import pictures
from compendium.workshop.scoring import Scorer, Surrogate
from meddel import artefacts, evidence, select
from meddel.errors import MedDELError, exit_code
from meddel.normdel import normdel

SCORES = {"miou": "mIoU", "normdel": "NormDEL", "net_benefit": "net benefit"}
NONE, ALL = "no pre-training", "all images"
PRICE, BASELINE_RATIO, MAX_BYTES, MAX_NAME = 0.3, 0.1, 1_000_000, 40


def read_list(content: bytes, pool: Sequence[str]) -> list[str]:
    """Return the ids that a list keeps, sorted.

    `content` is CSV in UTF-8: the column ``id``, as ``meddel select`` writes it, or else one id a line. The list is
    refused if it is too large, no text, empty, or has an id that is unknown or repeated.
    """
    if len(content) > MAX_BYTES:
        raise MedDELError(f"the list has more than {MAX_BYTES:,} bytes", fix="upload ids only")
    try:
        rows = [row for row in csv.reader(content.decode("utf-8-sig").splitlines(), strict=True) if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MedDELError("the list is no CSV in UTF-8", fix="upload the file that meddel select writes") from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = header.index("id") if "id" in header else 0
    known, found = frozenset(pool), set()
    for row in rows["id" in header :]:
        name = row[column].strip() if column < len(row) else ""
        if name not in known:
            raise MedDELError(f"{name[:60]!r} is no image of the pool", fix="give the pool's ids, one a line")
        if name in found:
            raise MedDELError(f"{name!r} is kept twice", fix="give each image once")
        found.add(name)
    if not found:
        raise MedDELError("the list keeps no image", fix="give at least one id")
    return sorted(found)


def submit(server: str, name: str, path: Path) -> str:
    """Upload the CSV at `path` under `name` to the leaderboard at an address; return its answer, one line."""
    if not server.startswith(("http://", "https://")):
        raise MedDELError("no address of a leaderboard", repr(server), "give one such as http://192.168.0.7:8000")
    session = requests.Session()
    session.trust_env = False  # no proxy: the room's server is in the room
    try:
        files = {"list": Path(path).read_bytes()[: MAX_BYTES + 1]}
        answer = session.post(f"{server.rstrip('/')}/", data={"name": name}, files=files, timeout=30)
    except requests.RequestException as error:
        raise MedDELError("no leaderboard answers", server, "ask for its address") from error
    except OSError as error:
        raise MedDELError(f"can't read the list: {error.strerror}", path, "select first") from error
    if not answer.ok:
        raise MedDELError(answer.text, path, "mend the list and try again")
    return answer.text


class Leaderboard:
    """All submissions, in ``leaderboard.json`` below `out`, and the thread that scores their lists."""

    def __init__(self, out: Path, surrogate: Surrogate | None = None) -> None:
        self.path, self.scorer = out / "leaderboard.json", Scorer(surrogate)
        self._lock, self._wake = threading.Lock(), threading.Event()
        self.entries: list[dict[str, Any]] = json.loads(self.path.read_text()) if self.path.is_file() else []
        for one in self.entries:
            if one["key"] != self._key(one["ids"]):  # scored in another way
                one.update(key=self._key(one["ids"]), miou=None)
        there = {one["name"] for one in self.entries if one["reference"]}
        for name, ids in self._references().items():
            if name not in there:
                self.add(name, ids, reference=True)
        threading.Thread(target=self._score, name="scores", daemon=True).start()

    def _key(self, ids: list[str] | None) -> str:
        return artefacts.hash_of("leaderboard", self.scorer.surrogate, ids)

    def _references(self) -> dict[str, list[str] | None]:
        pool = self.scorer.pool
        lists: dict[str, list[str] | None] = {NONE: None, ALL: pool.ids}
        budget = select.budget_for(BASELINE_RATIO, len(pool.ids))
        for name in ("random", "meddel"):
            found = select.get(name)(pictures.describe(pool.images), pool.index, budget, np.random.default_rng(0))
            lists[f"{name}, {BASELINE_RATIO:.0%}"] = sorted(found.filter(found["kept"])["id"].to_pylist())
        return lists

    def add(self, name: str, ids: list[str] | None, *, reference: bool = False) -> int:
        """Add a submission, which then waits for its score, and return its number; None is no pre-training."""
        at = datetime.now().astimezone().strftime("%H:%M:%S")
        entry = {"name": name, "at": at, "reference": reference, "kept": len(ids or ()), "ids": ids}
        state = {"key": self._key(ids), "miou": None, "problem": None}
        with self._lock:
            number = len(self.entries) + 1
            self.entries.append({"number": number, **entry, **state})
            artefacts.write_json(self.path, self.entries)
        self._wake.set()
        return number

    def _score(self) -> None:
        """Score the list that has waited longest, again and again; one that can't be scored stops no other."""
        while True:
            self._wake.clear()
            waiting = [one for one in self.entries if not one["miou"] and not one["problem"]]
            if not waiting:
                self._wake.wait()
                continue
            found: dict[str, Any] = {}
            try:
                known = (one["miou"] for one in self.entries if one["miou"] and one["key"] == waiting[0]["key"])
                found["miou"] = next(known, None) or self.scorer.score(waiting[0]["ids"])
            except Exception as error:  # whatever it is, the next list is scored
                found["problem"] = f"{type(error).__name__}: {error}"
            with self._lock:
                waiting[0].update(found)
                artefacts.write_json(self.path, self.entries)

    def gain(self) -> tuple[float, float, float] | None:
        """Return all images minus no pre-training with its 95 % interval over the seeds, once both are scored."""
        known = {row["name"]: np.array(row["miou"]) for row in self.entries if row["miou"]}
        if NONE not in known or ALL not in known:
            return None
        difference = known[ALL] - known[NONE]
        return float(difference.mean()), *evidence.interval(difference)

    def standings(self, by: str = "miou") -> pd.DataFrame:
        """Return the scored submissions, best first by one of `SCORES`, with a place by each of them.

        The net benefit is defined only where all images clearly gain over no pre-training.
        """
        table = pd.DataFrame([row for row in self.entries if row["miou"]])
        if table.empty:
            return table
        values = np.array(table["miou"].to_list())
        table["ratio"] = table["kept"] / len(self.scorer.pool.ids)
        table["miou"], table["spread"] = values.mean(axis=1), values.std(axis=1, ddof=1)
        selected = table[table["kept"] > 0]
        table["normdel"] = pd.Series(normdel(selected["miou"], selected["ratio"]), selected.index)
        gain = self.gain()
        none, everything = (table.loc[table["name"] == name, "miou"].min() for name in (NONE, ALL))
        clear = gain is not None and gain[1] > 0
        table["net_benefit"] = net_benefit(table["miou"], table["ratio"], none, everything, PRICE) if clear else np.nan
        for score in SCORES:
            table[f"{score}_place"] = table[score].rank(ascending=False, method="min")
        return table.sort_values([f"{by}_place", "number"], na_position="last")


class _Page(RequestHandler):
    """Shows the leaderboard and takes lists."""

    def initialize(self, board: Leaderboard) -> None:
        self.board = board

    def set_default_headers(self) -> None:
        policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
        self.set_header("Content-Security-Policy", policy)
        self.set_header("X-Content-Type-Options", "nosniff")

    def get(self) -> None:
        asked, board = self.get_query_argument("by", ""), self.board
        by = asked if asked in SCORES else "miou"
        waiting = [one for one in board.entries if not one["miou"]]
        found = {"board": board, "ranked": board.standings(by).to_dict("records"), "waiting": waiting}
        self.render("leaderboard.html", live=bool(asked), by=by, names=SCORES, price=PRICE, **found)

    def post(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        try:
            name, files = self.get_body_argument("name", ""), self.request.files.get("list", [])
            if not name or len(name) > MAX_NAME or not name.isprintable() or not files:
                raise MedDELError(f"give a list, and a name of 1 to {MAX_NAME} printable characters")
            ids = read_list(files[0].body, self.board.scorer.pool.ids)
            number = self.board.add(name, ids)
            self.finish(f"submission {number}: {len(ids)} images; see the leaderboard for its score")
        except MedDELError as error:
            self.set_status(400)
            self.finish(f"refused: {error}")


async def serve(board: Leaderboard, host: str, port: int, started: Any = print) -> None:
    """Answer requests until cancelled, and call `started` with the address; port 0 takes a free one."""
    try:
        sockets = bind_sockets(port, host)
    except (OSError, OverflowError) as error:
        raise MedDELError(f"can't listen: {error}", f"{host}:{port}", "give another --host or --port") from error
    application = Application([("/", _Page, {"board": board})], template_path=str(Path(__file__).parent))
    server = HTTPServer(application, max_body_size=2 * MAX_BYTES)
    server.add_sockets(sockets)
    started(f"leaderboard: http://{host}:{sockets[0].getsockname()[1]} (Ctrl-C ends it; call it again to go on)")
    await asyncio.Event().wait()


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 1 a problem, 130 interrupted."""
    parser = argparse.ArgumentParser("python -m compendium.workshop.leaderboard")
    parser.add_argument("--out", type=Path, required=True, help="folder of the leaderboard; give it again to go on")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for the room (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args(arguments)

    def run() -> None:
        asyncio.run(serve(Leaderboard(given.out), given.host, given.port))

    return exit_code("compendium.workshop.leaderboard", run)


if __name__ == "__main__":
    sys.exit(main())
