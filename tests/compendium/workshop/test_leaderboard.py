"""The leaderboard over real HTTP on the loopback interface, with a very short scoring."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import html
import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests

from compendium.workshop import leaderboard, pictures
from compendium.workshop.leaderboard import ALL, NONE, SCORES, Leaderboard, read_list, submit
from compendium.workshop.scoring import Scorer, Surrogate
from meddel import evidence, select
from meddel.errors import MedDELError

TINY = Surrogate(frames=8, labelled=16, window=3, words=4, patches=100, iterations=2, seeds=2)
IDS = ["north/v0000_f0000", "north/v0000_f0001", "south/v0000_f0000"]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    return Leaderboard(tmp_path_factory.mktemp("board"), TINY)


@pytest.fixture(scope="module")
def address(board: Leaderboard) -> Iterator[str]:
    """The address of a server of that board."""
    said: list[str] = []
    loop = asyncio.new_event_loop()
    task = loop.create_task(leaderboard.serve(board, "127.0.0.1", 0, said.append))

    def run() -> None:
        asyncio.set_event_loop(loop)
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not said:
        time.sleep(0.01)
    yield said[0].split()[1]
    loop.call_soon_threadsafe(task.cancel)
    thread.join()


def scored(board: Leaderboard) -> dict[str, dict]:
    """What is on the board by name, once nothing waits any more."""
    for _ in range(1200):
        if all(one["miou"] or one["problem"] for one in board.entries):
            return {one["name"]: one for one in board.standings().to_dict("records")}
        time.sleep(0.05)
    raise AssertionError("the queue does not end")


def csv_of(folder: Path, ids: list[str], name: str = "kept.csv") -> Path:
    path = folder / name
    path.write_text("id\n" + "\n".join(ids) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [
    "rank,id,path\n0,south/v0000_f0000,/x.jpg\n1,north/v0000_f0001,/y.jpg\n",
    "south/v0000_f0000\nnorth/v0000_f0001",
    "\ufeffID\r\n\"south/v0000_f0000\"\r\n\r\n north/v0000_f0001 \r\n",
], ids=["meddel select", "ids", "another system's"])  # fmt: skip
def test_ids_are_taken(text: str) -> None:
    assert read_list(text.encode(), IDS) == ["north/v0000_f0001", "south/v0000_f0000"]


@pytest.mark.parametrize(("content", "told"), [
    (b"", "the list keeps no image"),
    (b"id\n", "the list keeps no image"),
    (b"\xff\xfe\x00", "no CSV in UTF-8"),
    (b"name,age\na,1\n", "'name' is no image of the pool"),
    (b"id\nnorth/v0000_f0000\n<img src=x>\n", "'<img src=x>' is no image of the pool"),
    (b"id\nnorth/v0000_f0000\nnorth/v0000_f0000\n", "is kept twice"),
    (b"rank,id\n0,north/v0000_f0000\n1\n", "'' is no image"),
    (b"id\n" + b"x" * 500, "'x{60}' is no image"),
    (b"x" * (leaderboard.MAX_BYTES + 1), "more than 1,000,000 bytes"),
])  # fmt: skip
def test_a_wrong_list_is_refused_in_one_line(content: bytes, told: str) -> None:
    with pytest.raises(MedDELError, match=told) as error:
        read_list(content, IDS)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_what_meddel_select_writes_is_taken(tmp_path: Path) -> None:
    pool = pictures.pool(4)
    table = select.get("meddel")(pictures.describe(pool.images), pool.index, 5, np.random.default_rng(0))
    select.write_kept_csv(table, pool.index, tmp_path / "kept.csv", tmp_path / "reasons.csv")
    written = (tmp_path / "kept.csv").read_bytes()
    assert read_list(written, pool.ids) == sorted(table.filter(table["kept"])["id"].to_pylist())
    assert {"id", "path"} <= next(csv.DictReader(io.StringIO(written.decode()))).keys()


def test_the_pool_is_the_same_whenever_it_is_drawn_and_shorter_ones_are_part_of_it() -> None:
    one, more = pictures.pool(3), pictures.pool(5)
    pictures._drawn.cache_clear()
    other = pictures.pool(3)
    assert one is not other and one.index.equals(other.index)
    np.testing.assert_array_equal(one.images, other.images)
    assert set(one.ids) <= set(more.ids)
    assert pictures.labelled(pictures.TESTED[0]).masks.any()


def test_lists_are_ranked_beside_the_references(board: Leaderboard, address: str, tmp_path: Path) -> None:
    ids = board.scorer.pool.ids
    assert "submission" in submit(address, "half", csv_of(tmp_path, ids[::2]))
    assert "submission" in submit(address, "one", csv_of(tmp_path, ids[:1]))
    found = scored(board)
    assert {NONE, ALL, "random, 10%", "meddel, 10%", "half", "one"} <= found.keys()
    assert found["half"]["ratio"] == 0.5 and found["one"]["kept"] == 1
    assert np.isnan(found[NONE]["normdel"]) and np.isnan(found[NONE]["normdel_place"])
    for by in SCORES:
        assert board.standings(by)[by].dropna().is_monotonic_decreasing
        page = requests.get(address, params={"by": by}, timeout=60).text
        assert "<h1>Leaderboard</h1>" in page and "half" in page and "surrogate" in page


def test_an_equal_list_is_scored_once(board: Leaderboard, address: str, tmp_path: Path) -> None:
    ids = board.scorer.pool.ids[3:9]
    submit(address, "first", csv_of(tmp_path, ids))
    scored(board)
    asked: list[object] = []
    score, board.scorer.score = board.scorer.score, asked.append  # type: ignore[method-assign]
    submit(address, "second", csv_of(tmp_path, ids[::-1]))
    found = scored(board)
    board.scorer.score = score  # type: ignore[method-assign]
    assert asked == [] and found["first"]["miou"] == found["second"]["miou"]


def test_submissions_at_once_are_all_taken(board: Leaderboard, address: str, tmp_path: Path) -> None:
    ids = board.scorer.pool.ids
    paths = [csv_of(tmp_path, ids[place : place + 2], f"{place}.csv") for place in range(8)]
    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(lambda pair: submit(address, f"person {pair[0]}", pair[1]), enumerate(paths)))
    assert len({answer.split(":")[0] for answer in answers}) == len(paths)
    assert {f"person {number}" for number in range(8)} <= scored(board).keys()


def test_html_in_a_name_is_shown_as_text_and_the_page_runs_no_script(
    board: Leaderboard, address: str, tmp_path: Path
) -> None:
    evil = "<script>alert(1)</script>"
    submit(address, evil, csv_of(tmp_path, board.scorer.pool.ids[:3]))
    scored(board)
    answer = requests.get(address, timeout=60)
    assert "<script" not in answer.text and html.escape(evil) in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_wrong_requests_are_refused_and_change_nothing(board: Leaderboard, address: str, tmp_path: Path) -> None:
    before, good = len(board.entries), csv_of(tmp_path, board.scorer.pool.ids[:2])
    for name in ("", "x" * 41, "a\nb"):
        with pytest.raises(MedDELError, match="refused: give a list, and a name of 1 to 40 printable characters"):
            submit(address, name, good)
    with pytest.raises(MedDELError, match="refused: 'nowhere' is no image"):
        submit(address, "me", csv_of(tmp_path, ["nowhere"]))
    (tmp_path / "large.csv").write_bytes(b"x" * (leaderboard.MAX_BYTES + 20))
    with pytest.raises(MedDELError, match="more than 1,000,000 bytes"):
        submit(address, "me", tmp_path / "large.csv")
    assert requests.post(address, data={"name": "me"}, timeout=60).status_code == 400
    assert requests.get(f"{address}/../secret", timeout=60).status_code == 404
    assert requests.put(address, timeout=60).status_code == 405
    for server, told in (("http://127.0.0.1:9", "no leaderboard answers"), ("file:///etc", "no address")):
        with pytest.raises(MedDELError, match=told):
            submit(server, "me", good)
    assert len(board.entries) == before


def test_a_list_that_can_not_be_scored_does_not_stop_the_others(
    board: Leaderboard, address: str, tmp_path: Path
) -> None:
    board.add("broken", ["no/image"])
    submit(address, "whole", csv_of(tmp_path, board.scorer.pool.ids[:6]))
    found = scored(board)
    assert "whole" in found and "broken" not in found
    assert "failed: KeyError" in requests.get(address, timeout=60).text


def test_a_killed_server_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "compendium.workshop.leaderboard", "--out", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split()[1]
        answer = submit(address, "late", csv_of(tmp_path, pictures.pool().ids[:4]))
        assert answer.startswith("submission 5: 4 images")
        process.send_signal(signal.SIGKILL)
        process.wait()
        again = Leaderboard(tmp_path, TINY)
        names = [one["name"] for one in again.entries]
        assert names.count("late") == 1 and names.count(ALL) == 1
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "late" in requests.get(process.stdout.readline().split()[1], timeout=60).text
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        assert process.returncode == 130
    finally:
        process.kill()


def test_a_taken_port_and_a_folder_that_is_a_file_are_said(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaderboard, "Leaderboard", lambda out: Leaderboard(out, TINY))
    assert leaderboard.main(["--out", str(tmp_path / "other"), "--port", address.rpartition(":")[2]]) == 1
    assert "can't listen" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert leaderboard.main(["--out", str(tmp_path / "file")]) == 1
    assert "can't write" in capsys.readouterr().err


def test_learning_from_all_images_clearly_beats_none_at_the_settings_of_the_room() -> None:
    scorer = Scorer()
    everything, nothing = (np.array(scorer.score(ids)) for ids in (scorer.pool.ids, None))
    low, _ = evidence.interval(everything - nothing)
    assert low > 0, "net benefit would not be defined, and no list could be told from another"
