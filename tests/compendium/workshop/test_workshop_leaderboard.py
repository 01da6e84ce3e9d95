"""The leaderboard over real HTTP on the loopback interface, with a very short scoring."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compendium.workshop.leaderboard import __main__ as command
from compendium.workshop.leaderboard.kept_list import MAX_BYTES
from compendium.workshop.leaderboard.scoring import Surrogate
from compendium.workshop.leaderboard.server import Leaderboard
from compendium.workshop.leaderboard.standings import ALL, NONE
from compendium.workshop.submitting import submit
from meddel.errors import MedDELError

TINY = Surrogate(frames=8, labelled=16, window=3, words=4, patches=100, iterations=2, seeds=2)


def opened(out: Path, surrogate: Surrogate = TINY) -> Leaderboard:
    """A leaderboard on a free port that answers."""
    server = Leaderboard(out, port=0, surrogate=surrogate)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def closed(server: Leaderboard) -> None:
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leaderboard]:
    server = opened(tmp_path_factory.mktemp("board"))
    yield server
    closed(server)


def get(server: Leaderboard, path: str = "/") -> str:
    with urllib.request.urlopen(server.address + path, timeout=60) as answer:
        return answer.read().decode()


def scores(server: Leaderboard, by: str = "miou") -> list[dict]:
    """What is ranked, once nothing waits any more."""
    for _ in range(1200):
        if all(entry.state in ("done", "failed") for entry in server.board.entries()):
            return json.loads(get(server, f"/scores.json?by={by}"))
        time.sleep(0.05)
    raise AssertionError("the queue does not end")


def csv_of(folder: Path, ids: list[str], name: str = "kept.csv") -> Path:
    path = folder / name
    path.write_text("id\n" + "\n".join(ids) + "\n", encoding="utf-8")
    return path


def test_lists_are_ranked_beside_the_references(board: Leaderboard, tmp_path: Path) -> None:
    ids = board.scorer.pool.ids
    assert "submission" in submit(board.address, "half", csv_of(tmp_path, ids[::2]))
    assert "submission" in submit(board.address, "one", csv_of(tmp_path, ids[:1]))
    found = {one["entry"]["name"]: one for one in scores(board)}
    assert {NONE, ALL, "random, 10%", "meddel, 10%", "half", "one"} <= found.keys()
    assert found["half"]["ratio"] == 0.5 and found["one"]["entry"]["kept"] == 1
    assert all(len(one["entry"]["miou"]) == TINY.seeds for one in found.values())
    assert found[NONE]["normdel"] is None and found[NONE]["places"]["normdel"] is None
    for by in ("miou", "normdel", "net_benefit"):
        order = [one[by] for one in scores(board, by) if one[by] is not None]
        assert order == sorted(order, reverse=True)
        assert "<h1>Leaderboard</h1>" in get(board, f"/?by={by}")
    page = get(board)
    assert page.index("half") and "surrogate" in page


def test_an_equal_list_is_scored_once_and_shared(board: Leaderboard, tmp_path: Path) -> None:
    ids = board.scorer.pool.ids[3:9]
    submit(board.address, "first", csv_of(tmp_path, ids))
    submit(board.address, "second", csv_of(tmp_path, ids[::-1]))
    found = {one["entry"]["name"]: one["entry"]["miou"] for one in scores(board)}
    assert found["first"] == found["second"]
    assert board.board.take() is None


def test_two_submissions_at_once_are_both_taken(board: Leaderboard, tmp_path: Path) -> None:
    ids = board.scorer.pool.ids
    paths = [csv_of(tmp_path, ids[place : place + 2], f"{place}.csv") for place in range(8)]
    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(lambda pair: submit(board.address, f"person {pair[0]}", pair[1]), enumerate(paths)))
    assert len({answer.split(":")[0] for answer in answers}) == len(paths)
    assert {f"person {number}" for number in range(8)} <= {one["entry"]["name"] for one in scores(board)}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("name,age\na,1\n", "no column id or path"),
        ("id\nnowhere/v1\n", "'nowhere/v1' is no image of the pool (line 2)"),
        ("id\n{0}\n{0}\n", "is kept twice (lines 2 and 3)"),
        ("", "the list is empty"),
        ("x" * (MAX_BYTES + 20_000), "more than 1,000,000 bytes"),
    ],
    ids=["broken", "unknown", "repeated", "empty", "too large"],
)
def test_a_wrong_list_is_refused_in_one_line(board: Leaderboard, tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "kept.csv"
    path.write_text(content.format(board.scorer.pool.ids[0]), encoding="utf-8")
    before = len(board.board.entries())
    with pytest.raises(MedDELError) as error:
        submit(board.address, "careless", path)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert len(board.board.entries()) == before


def test_html_in_a_name_and_in_a_list_is_shown_as_text(board: Leaderboard, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    submit(board.address, evil, csv_of(tmp_path, board.scorer.pool.ids[:3]))
    with pytest.raises(MedDELError, match="no image of the pool"):
        submit(board.address, "b<b>b", csv_of(tmp_path, ["<img src=x>/y"]))
    scores(board)
    page = get(board)
    assert "<script" not in page and "<img" not in page and "<b>" not in page
    assert "&lt;script&gt;" in page and "&lt;img src=x&gt;" in page and "b&lt;b&gt;b" in page


def test_the_form_takes_a_file(board: Leaderboard) -> None:
    assert 'enctype="multipart/form-data"' in get(board, "/enter")
    listed = "id\r\n" + "\r\n".join(board.scorer.pool.ids[5:7])
    field = "--x\r\nContent-Disposition: form-data; name="
    name = f'{field}"name"\r\n\r\nZoë <i>\r\n'
    file = f'{field}"list"; filename="k.csv"\r\nContent-Type: text/csv\r\n\r\n{listed}\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(board.address + "/submit", f"{name}{file}--x--\r\n".encode(), kind)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert "2 images" in answer.read().decode()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "Zoë <i>" in [entry.name for entry in board.board.entries()]
    request = urllib.request.Request(board.address + "/submit", b"--x--\r\n", kind)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=60)
    assert error.value.code == 400 and "the form lacks a name or a list" in error.value.read().decode()


def test_other_requests_are_turned_away(board: Leaderboard) -> None:
    host, port = board.server_address[:2]
    connection = http.client.HTTPConnection(host, port, timeout=60)
    for method, path, status in (("GET", "/../secret", 404), ("POST", "/elsewhere", 400), ("PUT", "/", 501)):
        connection.request(method, path, headers={"Content-Length": "0"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
        connection.close()


def test_what_waits_is_scored_after_the_next_start(tmp_path: Path) -> None:
    slow = TINY.model_copy(update={"seeds": 4000})
    server = opened(tmp_path / "out", slow)
    submit(server.address, "late", csv_of(tmp_path, server.scorer.pool.ids[:4]))
    closed(server)
    assert "queued" in {entry.state for entry in server.board.entries()}
    with pytest.raises(MedDELError, match="scores here are of another surrogate"):
        Leaderboard(tmp_path / "out", port=0, surrogate=TINY)
    again = opened(tmp_path / "out", slow)
    names = [entry.name for entry in again.board.entries()]
    closed(again)
    assert names.count("late") == 1 and names.count(ALL) == 1


def test_a_killed_server_goes_on(tmp_path: Path) -> None:
    server = opened(tmp_path / "out")
    scores(server)
    server.board.add("killed", server.scorer.key(server.scorer.pool.ids[:5]), server.scorer.pool.ids[:5])
    closed(server)
    server.board.take()  # as if a server had died while it scored
    again = opened(tmp_path / "out")
    assert "killed" in {one["entry"]["name"] for one in scores(again)}
    closed(again)


def test_a_list_that_can_not_be_scored_does_not_stop_the_others(tmp_path: Path) -> None:
    server = opened(tmp_path / "out")
    server.board.add("broken", "a key", ["no/image"])
    submit(server.address, "whole", csv_of(tmp_path, server.scorer.pool.ids[:6]))
    assert "whole" in {one["entry"]["name"] for one in scores(server)}
    assert "failed: " in get(server)
    closed(server)


def test_the_command_opens_and_closes(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "compendium.workshop.leaderboard", "--out", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        address = process.stdout.readline().split()[1]
        assert "Leaderboard" in urllib.request.urlopen(address, timeout=60).read().decode()
        assert command.main(["--out", str(tmp_path), "--port", "0"]) == 1
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0
    assert err.strip() == "closed; the same command goes on"


def test_a_taken_port_and_a_folder_that_is_a_file_are_said(
    board: Leaderboard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = board.server_address[1]
    assert command.main(["--out", str(tmp_path / "other"), "--port", str(port)]) == 1
    assert "can't listen" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert command.main(["--out", str(tmp_path / "file")]) == 1
    assert "can't write" in capsys.readouterr().err
    with pytest.raises(MedDELError, match="no leaderboard answers"):
        submit("http://127.0.0.1:9", "me", csv_of(tmp_path, ["a"]))
    with pytest.raises(MedDELError, match="no address of a leaderboard"):
        submit("file:///etc/passwd", "me", csv_of(tmp_path, ["a"]))
