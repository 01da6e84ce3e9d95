"""Fetching sets as a whole: plans, licences, failures, what a person got, several processes, interrupts, full disks."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datadel import cache, fetch
from datadel.manifest import Manifest
from meddel.errors import MedDELError
from tests.full_disk import files_up_to

IN_ANOTHER_PROCESS = """
import json, sys
from datadel import fetch
from datadel.manifest import of_jsonld

fetch.fetch([of_jsonld(json.loads(sys.argv[1]))], accept=True)
"""


def begun(manifest: Manifest) -> subprocess.Popen[str]:
    """Another process that fetches the set, once the first bytes have come."""
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, json.dumps(manifest.jsonld)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    part = cache.part_path(manifest.name, manifest.archives[0])
    while not (part.exists() and part.stat().st_size) and process.poll() is None:
        time.sleep(0.002)
    return process


def test_a_fetched_set_is_not_fetched_again(server: Any, manifest: Manifest, take: Callable) -> None:
    paths = [cache.archives("set") / "a.rar", cache.archives("set") / "b.rar"]
    assert take(manifest) == take(manifest) == {"set": paths}
    assert len(server.asked) == 2
    assert {file.status for file in cache.cached(manifest)} == {"fetched"}


def test_only_the_archives_that_a_pattern_names_are_fetched(
    manifest: Manifest, take: Callable, there: Callable
) -> None:
    assert take(manifest, only="b.*") == {"set": [cache.archives("set") / "b.rar"]}
    assert there("set") == ["b.rar"]
    with pytest.raises(MedDELError, match=r"no archive is called 'c\*'; there are a.rar, b.rar"):
        take(manifest, only="c*")


def test_a_plan_counts_what_is_left(data_root: Path, made_up_manifest: Callable, content: bytes) -> None:
    sizes = {"a.rar": "3000000 B", "b.rar": "1.5 GB", "c.rar": None, "d.rar": "400000 B", "e.rar": "2000000 B"}
    archives = [
        {"name": name, "contentUrl": "http://127.0.0.1:1/", **({"contentSize": size} if size else {})}
        for name, size in sizes.items()
    ]
    manifest = made_up_manifest("set", archives)
    cache.archives("set").mkdir(parents=True)
    (cache.archives("set") / "d.rar").write_bytes(content)
    (cache.archives("set") / "e.rar.part").write_bytes(content)
    left = {planned.archive.name: planned.left for planned in fetch.plan([manifest])}
    assert left == {"a.rar": 3_000_000, "b.rar": 1_500_000_000, "c.rar": None, "d.rar": 0, "e.rar": 1_600_000}
    *lines, total = fetch.dry_run([manifest]).splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == ["3.0 MB", "~1.5 GB", "unknown size", "there", "1.6 MB"]
    assert total == "to fetch: 4 archives, ~1.5 GB and 1 of unknown size"
    assert fetch.dry_run([manifest], "a.*").splitlines()[-1] == "to fetch: 1 archives, 3.0 MB"


def test_what_fails_does_not_keep_the_next_from_coming(
    server: Any, manifest: Manifest, made_up_manifest: Callable, take: Callable, there: Callable
) -> None:
    gone = made_up_manifest("gone", [{"name": "x.rar", "contentUrl": server.address + "/nowhere"}])
    nothing = made_up_manifest("nothing", [], "none")
    server.pages["/a.rar"].status = 404
    with pytest.raises(MedDELError) as error:
        take(nothing, gone, manifest)
    assert str(error.value).startswith("3 of 3 sets were not fetched: nothing: nothing has nothing to fetch")
    assert "gone: can't fetch x.rar" in str(error.value) and "set: can't fetch a.rar" in str(error.value)
    assert "\n" not in str(error.value) and there("set") == ["b.rar"]


def test_a_part_that_is_left_beside_the_whole_file_goes(manifest: Manifest, take: Callable, content: bytes) -> None:
    whole = take(manifest)["set"][0]
    part = cache.part_path("set", manifest.archives[0])
    part.hardlink_to(whole)
    take(manifest)
    assert not part.exists() and whole.read_bytes() == content


def test_a_rounded_size_that_is_far_off_is_a_warning(
    server: Any, made_up_manifest: Callable, caplog: pytest.LogCaptureFixture, take: Callable, content: bytes
) -> None:
    url = server.put("/a.rar", content)
    for name, size in (("near", "0.5 MB"), ("far", "4 MB")):
        with caplog.at_level(logging.WARNING, "meddel"):
            take(made_up_manifest(name, [{"name": f"{name}.rar", "contentUrl": url, "contentSize": size}]))
    assert [record.getMessage().split()[0] for record in caplog.records] == ["far.rar"]


def test_a_licence_is_shown_once_and_again_when_it_changes(
    server: Any, manifest: Manifest, data_root: Path, made_up_manifest: Callable
) -> None:
    shown: list[str] = []

    def ask(text: str) -> bool:
        shown.append(text)
        return len(shown) > 1

    with pytest.raises(MedDELError, match=r"not accepted yet: https://creativecommons.* pass --accept"):
        fetch.fetch([manifest])
    with pytest.raises(MedDELError, match="was not accepted; nothing was fetched"):
        fetch.fetch([manifest], ask=ask)
    assert server.asked == [] and not fetch.is_accepted(manifest)
    for _ in range(2):
        assert fetch.fetch([manifest], ask=ask)["set"]
    assert len(shown) == 2 and manifest.licence in shown[0] and manifest.landing in shown[0]
    assert json.loads((data_root / "accepted.json").read_text())["set"]["licence"] == manifest.licence
    fetch.require_licence(made_up_manifest("set", license="For research only"), ask, accept=False)
    assert len(shown) == 3 and "For research only" in shown[2]


@pytest.fixture
def behind_a_form(data_root: Path, made_up_manifest: Callable) -> Manifest:
    """A set of two archives that only a person can get."""
    landing = "https://example.org/kept"
    archives = [{"name": name, "contentUrl": landing, "contentSize": "400000 B"} for name in ("a.rar", "b.rar")]
    return made_up_manifest("kept", archives, "form")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another disk than the cache's."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk: /dev/shm is missing, or holds the temporary files")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_what_only_a_person_can_get_says_what_to_do(
    server: Any, behind_a_form: Manifest, take: Callable, content: bytes
) -> None:
    with pytest.raises(MedDELError) as error:
        take(behind_a_form)
    folder = cache.archives("kept")
    for text in (behind_a_form.how.rstrip("."), behind_a_form.landing, f"put a.rar, b.rar into {folder}"):
        assert text in str(error.value)
    assert behind_a_form.how in fetch.dry_run([behind_a_form])
    (folder / "a.rar").write_bytes(content)
    with pytest.raises(MedDELError, match=f"put b.rar into {folder}"):
        take(behind_a_form)
    (folder / "b.rar").write_bytes(content[:-1])
    with pytest.raises(MedDELError, match=r"has 399999 bytes where 400000 are stated .*b\.rar.*; replace it"):
        take(behind_a_form)
    (folder / "b.rar").write_bytes(content)
    assert take(behind_a_form) == {"kept": [folder / "a.rar", folder / "b.rar"]}
    assert server.asked == []


@pytest.mark.parametrize("linked", [True, False], ids=["beside the cache", "on another disk"])
def test_archives_are_imported_from_where_the_browser_put_them(
    behind_a_form: Manifest,
    tmp_path: Path,
    other_disk: Path,
    linked: bool,
    take: Callable,
    there: Callable,
    content: bytes,
) -> None:
    downloads = (tmp_path if linked else other_disk) / "Downloads"
    (downloads / "kept").mkdir(parents=True)
    (downloads / "a.rar").write_bytes(content)
    (downloads / "kept" / "b.rar").write_bytes(content)
    for path in take(behind_a_form, source=downloads)["kept"]:
        assert path.read_bytes() == content and path.stat().st_nlink == 1 + linked
    assert there("kept") == ["a.rar", "b.rar"]


def test_one_archive_may_have_any_name_where_it_comes_from(
    behind_a_form: Manifest, tmp_path: Path, take: Callable, there: Callable, content: bytes
) -> None:
    given = tmp_path / "a (1).rar"
    given.write_bytes(b"<html>Sorry</html>")
    with pytest.raises(MedDELError, match=r"one file can't be all .*name one by --only, of a.rar, b.rar"):
        take(behind_a_form, source=given)
    with pytest.raises(MedDELError, match=r"is a web page and no archive .*a \(1\)"):
        take(behind_a_form, source=given, only="a.rar")
    assert there("kept") == []
    given.write_bytes(content)
    assert take(behind_a_form, source=given, only="a.rar")["kept"][0].read_bytes() == content
    with pytest.raises(MedDELError, match="no such file or folder"):
        take(behind_a_form, source=tmp_path / "none")


def test_a_source_spares_the_server(
    server: Any, manifest: Manifest, tmp_path: Path, take: Callable, content: bytes
) -> None:
    (tmp_path / "b.rar").write_bytes(content)
    take(manifest, source=tmp_path)
    assert [asked.path for asked in server.asked] == ["/a.rar"]


def test_a_second_process_waits_and_fetches_nothing_twice(
    server: Any, manifest: Manifest, caplog: pytest.LogCaptureFixture, take: Callable, there: Callable
) -> None:
    server.pages["/a.rar"].gate = gate = threading.Event()
    process = begun(manifest)

    def open_when_told() -> None:
        while not caplog.records:
            time.sleep(0.002)
        gate.set()

    threading.Thread(target=open_when_told).start()
    with caplog.at_level(logging.WARNING, "meddel"):
        take(manifest)
    assert "another process is at work" in caplog.records[0].getMessage()
    process.communicate()
    assert process.returncode == 0
    assert sorted(asked.path for asked in server.asked) == ["/a.rar", "/b.rar"]
    assert there("set") == ["a.rar", "b.rar"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_fetch_goes_on(
    server: Any, manifest: Manifest, how: signal.Signals, take: Callable, there: Callable, content: bytes
) -> None:
    server.pages["/a.rar"].gate = gate = threading.Event()
    process = begun(manifest)
    process.send_signal(how)
    process.communicate()
    assert process.returncode != 0
    assert there("set") == ["a.rar.part", "a.rar.part.json"] or how == signal.SIGKILL
    assert not {"a.rar", "b.rar"} & set(there("set"))
    gate.set()
    assert [path.read_bytes() for path in take(manifest)["set"]] == [content, content]
    assert server.asked[1].headers["Range"] and server.asked[1].sent < len(content)
    assert there("set") == ["a.rar", "b.rar"]


def test_a_full_disk_is_one_line_and_the_rest_comes_later(
    server: Any, manifest: Manifest, take: Callable, there: Callable, content: bytes
) -> None:
    with files_up_to(150_000), pytest.raises(MedDELError, match="free some space or set MEDDEL_DATA") as error:
        take(manifest, only="a.rar")
    part = cache.part_path("set", manifest.archives[0])
    assert str(error.value).startswith(f"can't write: File too large ({part}); ") and "\n" not in str(error.value)
    assert there("set") == ["a.rar.part", "a.rar.part.json"]
    assert take(manifest, only="a.rar")["set"][0].read_bytes() == content
    assert server.asked[1].sent == len(content) - 150_000


def test_a_set_larger_than_the_disk_is_not_begun(
    server: Any, data_root: Path, made_up_manifest: Callable, take: Callable, content: bytes
) -> None:
    archives = [{"name": "a.rar", "contentUrl": server.put("/a.rar", content), "contentSize": "9000 TB"}]
    with pytest.raises(MedDELError, match=r"9000000\.00 GB are needed"):
        take(made_up_manifest("set", archives))
    assert server.asked == []
