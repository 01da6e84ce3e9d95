"""Downloads from a server that misbehaves: a whole file or a clear line, and nothing half-written in between."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datadel import cache
from datadel.fetching.download import download
from datadel.fetching.transfer import Patience
from datadel.manifest import Manifest
from meddel.errors import MedDELError

HASTY = Patience(connect=5, read=0.3, retries=2, backoff=0.001)
ONCE = Patience(connect=5, read=0.3, retries=0, backoff=0.001)


def zipped(seed: int = 0, size: int = 400_000) -> bytes:
    """A zip with one member that can't be compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("noise.bin", np.random.default_rng(seed).bytes(size))
    return stream.getvalue()


CONTENT = zipped()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def manifest_of(data_root: Path, made_up_manifest: Callable[..., Manifest]) -> Callable[..., Manifest]:
    """A function that makes a manifest of one archive, ``a.zip``, from its URL and other facts."""

    def make(*urls: str, **facts: Any) -> Manifest:
        return made_up_manifest("set", [{"name": "a.zip", "contentUrl": urls[0], "sameAs": list(urls[1:]), **facts}])

    return make


def get(manifest: Manifest, patience: Patience = HASTY) -> Path:
    return download(manifest, manifest.archives[0], patience)


def there(manifest: Manifest) -> list[str]:
    """The files in the set's folder of archives."""
    return sorted(path.name for path in cache.archives(manifest.name).iterdir())


def refused(manifest: Manifest, *said: str, patience: Patience = HASTY) -> str:
    """Check that the archive doesn't come, that one line says all of `said`, and that its final name stays free."""
    with pytest.raises(MedDELError) as error:
        get(manifest, patience)
    assert "\n" not in str(error.value) and [text for text in said if text not in str(error.value)] == []
    assert set(there(manifest)) <= {"a.zip.part", "a.zip.part.json"}
    return str(error.value)


def came(manifest: Manifest, content: bytes = CONTENT, patience: Patience = HASTY) -> None:
    """Check that the archive comes whole, and that nothing else is left."""
    assert get(manifest, patience).read_bytes() == content
    assert there(manifest) == ["a.zip"]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_file_with_a_published_hash_comes_in_one_request(server: Any, manifest_of: Callable, kind: str) -> None:
    url = server.put("/a.zip", CONTENT)
    came(manifest_of(url, contentSize=f"{len(CONTENT)} B", **{kind: hashlib.new(kind, CONTENT).hexdigest()}))
    assert [asked.sent for asked in server.asked] == [len(CONTENT)]


@pytest.mark.parametrize("validator", [{"ETag": '"v1"'}, {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}])
def test_a_broken_connection_goes_on_where_it_broke(
    server: Any, manifest_of: Callable, validator: dict[str, str]
) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers=validator)))
    first, second = server.asked
    start = int(second.headers["Range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= first.sent < len(CONTENT)
    assert second.sent == len(CONTENT) - start
    assert second.headers["If-Range"] in validator.values()


def test_a_second_call_goes_on_where_the_first_gave_up(server: Any, manifest_of: Callable) -> None:
    manifest = manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers={"ETag": '"v1"'}))
    refused(manifest, "a.zip: broke off", server.address, "call again to go on", patience=ONCE)
    assert there(manifest) == ["a.zip.part", "a.zip.part.json"]
    held = cache.state(manifest).archives[0]
    assert held.status == "partial" and 0 < held.size < len(CONTENT)
    came(manifest)
    assert server.asked[1].sent == len(CONTENT) - held.size


def test_many_breaks_are_no_reason_to_give_up_while_bytes_come(server: Any, manifest_of: Callable) -> None:
    content = zipped(size=4_000_000)
    came(manifest_of(server.put("/a.zip", content, cuts=4, headers={"ETag": '"v1"'})), content, HASTY)
    assert len(server.asked) == 5


def test_without_a_version_or_hash_a_part_is_not_trusted(server: Any, manifest_of: Callable) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, cuts=1)))
    assert [asked.headers["Range"] for asked in server.asked] == [None, None]


def test_a_published_hash_lets_another_mirror_go_on(server: Any, manifest_of: Callable) -> None:
    first = server.put("/first/a.zip", CONTENT, cuts=1)
    manifest = manifest_of(first, server.put("/second/a.zip", CONTENT), sha256=sha256(CONTENT))
    came(manifest, patience=ONCE)
    assert server.asked[1].path == "/second/a.zip" and server.asked[1].sent < len(CONTENT)


def test_a_file_that_changed_between_two_halves_comes_anew(server: Any, manifest_of: Callable) -> None:
    manifest = manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers={"ETag": '"v1"'}))
    refused(manifest, "broke off", patience=ONCE)
    server.put("/a.zip", other := zipped(1, 300_000), headers={"ETag": '"v2"'})
    came(manifest, other)
    assert server.asked[1].headers["If-Range"] == '"v1"' and server.asked[1].sent == len(other)


def test_a_weak_version_is_compared_by_us(server: Any, manifest_of: Callable) -> None:
    manifest = manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers={"ETag": 'W/"v1"'}))
    refused(manifest, "broke off", patience=ONCE)
    server.put("/a.zip", other := zipped(1), headers={"ETag": 'W/"v2"'})
    assert len(other) == len(CONTENT)
    came(manifest, other)
    assert [asked.headers["Range"] is None for asked in server.asked] == [True, False, True]


def test_a_server_without_ranges_begins_again(server: Any, manifest_of: Callable) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, cuts=1, ranges=False, headers={"ETag": '"v1"'})))
    assert server.asked[1].headers["Range"] and server.asked[1].sent == len(CONTENT)


@pytest.mark.parametrize("said", ["bytes 7-9/{total}", "bytes 0-9/{total}", "bytes {start}-9/123", "nonsense", ""])
def test_another_part_than_the_rest_is_not_taken(server: Any, manifest_of: Callable, said: str) -> None:
    manifest = manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers={"ETag": '"v1"'}))
    refused(manifest, "broke off", patience=ONCE)
    wrong = said.format(start=cache.state(manifest).archives[0].size, total=len(CONTENT))
    server.pages["/a.zip"].headers["Content-Range"] = wrong
    refused(manifest, f"another part came than the rest (206 {wrong})", patience=ONCE)
    assert there(manifest) == []
    came(manifest, patience=ONCE)


def test_a_part_that_is_longer_than_the_file_is_dropped(server: Any, manifest_of: Callable) -> None:
    manifest = manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers={"ETag": '"v1"'}))
    refused(manifest, "broke off", patience=ONCE)
    with cache.part_path("set", manifest.archives[0]).open("ab") as stream:
        stream.write(bytes(len(CONTENT)))
    came(manifest)
    assert server.asked[1].headers["Range"] is None


def test_a_whole_part_needs_no_request(server: Any, manifest_of: Callable) -> None:
    manifest = manifest_of(server.put("/a.zip", CONTENT, cuts=1), sha256=sha256(CONTENT))
    refused(manifest, "broke off", patience=ONCE)
    cache.part_path("set", manifest.archives[0]).write_bytes(CONTENT)
    came(manifest)
    assert len(server.asked) == 1


def test_a_resumed_file_is_hashed_whole_and_fetched_anew_if_it_is_wrong(server: Any, manifest_of: Callable) -> None:
    manifest = manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers={"ETag": '"v1"'}), sha256=sha256(CONTENT))
    refused(manifest, "broke off", patience=ONCE)
    with cache.part_path("set", manifest.archives[0]).open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"damaged")
    came(manifest)
    assert [asked.headers["Range"] is None for asked in server.asked] == [True, False, True]


def test_a_wrong_hash_removes_the_file_and_asks_the_next_mirror(server: Any, manifest_of: Callable) -> None:
    wrong = server.put("/wrong/a.zip", other := zipped(1))
    manifest = manifest_of(wrong, sha256=sha256(CONTENT))
    refused(manifest, f"{wrong}: sha256 is {sha256(other)} where {sha256(CONTENT)} is published")
    assert there(manifest) == []
    came(manifest_of(wrong, server.put("/a.zip", CONTENT), sha256=sha256(CONTENT)))


def test_the_size_that_the_manifest_states_is_asked_for_first(server: Any, manifest_of: Callable) -> None:
    url = server.put("/a.zip", CONTENT)
    refused(manifest_of(url, contentSize="12345 B"), f"{url}: {len(CONTENT)} bytes where 12345 are stated")
    came(manifest_of(url, contentSize="0.4 MB"))


def test_each_mirror_says_why_it_failed(server: Any, manifest_of: Callable) -> None:
    busy, gone, late = server.put("/busy", status=503), server.put("/gone", status=404), server.put("/late", status=500)
    nobody = "http://127.0.0.1:1/a.zip"
    error = refused(
        manifest_of(busy, gone, nobody, late),
        *(f"{busy}: 503 Service Unavailable; ", f"{gone}: 404 Not Found; ", f"{nobody}: Connection refused; "),
        *(f"{late}: 500 Internal Server Error; ", "https://example.org/set", str(cache.archives("set"))),
    )
    assert error.startswith("can't fetch a.zip: ")
    assert [asked.path for asked in server.asked] == ["/busy", "/gone", *["/late"] * 3], "the last is asked again"
    came(manifest_of(busy, gone, nobody, server.put("/a.zip", CONTENT)))


def test_redirects_are_followed_when_going_on_too(server: Any, manifest_of: Callable) -> None:
    server.put("/a.zip", CONTENT, cuts=1, headers={"ETag": '"v1"'})
    came(manifest_of(server.put("/here", status=302, headers={"Location": "/a.zip"})))
    assert [asked.path for asked in server.asked] == ["/here", "/a.zip"] * 2
    assert server.asked[3].sent < len(CONTENT)
    around = server.put("/around", status=302, headers={"Location": "/around"})
    (cache.archives("set") / "a.zip").unlink()
    refused(manifest_of(around), "TooManyRedirects")


def test_a_server_that_falls_silent_is_left_for_the_mirror(server: Any, manifest_of: Callable) -> None:
    slow = server.put("/slow", CONTENT, gate=threading.Event(), headers={"ETag": '"v1"'})
    refused(manifest_of(slow), f"{slow}: broke off, no bytes in time")
    came(manifest_of(slow, server.put("/a.zip", CONTENT)), patience=ONCE)


def test_a_server_that_never_answers_is_told(server: Any, manifest_of: Callable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip"
        refused(manifest_of(url), f"{url}: no answer in time")


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("text/html; charset=utf-8", b"Please sign in"),
        ("application/zip", b"\n<!DOCTYPE html><p>Please sign in"),
    ],
)
def test_a_web_page_is_no_archive(server: Any, manifest_of: Callable, kind: str, page: bytes) -> None:
    manifest = manifest_of(server.put("/a.zip", page, headers={"Content-Type": kind}))
    refused(manifest, "a web page", "in a browser from https://example.org/set", str(cache.archives("set")))
    assert there(manifest) == []
    server.put("/a.zip", CONTENT)
    came(manifest)


def test_a_zip_without_its_end_is_cut_off_even_if_the_server_says_it_is_whole(
    server: Any, manifest_of: Callable
) -> None:
    refused(manifest_of(server.put("/a.zip", CONTENT[:300_000])), "it is a zip that is cut off")


def test_a_file_of_unknown_length_comes(server: Any, manifest_of: Callable) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, headers={"Content-Length": ""})))


def test_a_compression_that_is_the_files_own_is_not_undone(server: Any, manifest_of: Callable) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, headers={"Content-Encoding": "gzip"}), sha256=sha256(CONTENT)))


def test_more_than_the_disk_holds_is_not_begun(server: Any, manifest_of: Callable) -> None:
    headers = {"Content-Length": str(10**16)}
    manifest = manifest_of(server.put("/a.zip", CONTENT, headers=headers))
    refused(manifest, "10000000.00 GB are needed", "free some space or set MEDDEL_DATA")
    assert there(manifest) == []


def test_an_interrupt_while_the_hash_is_checked_loses_nothing(
    server: Any, manifest_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    manifest = manifest_of(server.put("/a.zip", CONTENT), sha256=sha256(CONTENT))
    with monkeypatch.context() as patched:
        patched.setattr("pooch.core.hash_matches", interrupted)
        with pytest.raises(KeyboardInterrupt):
            get(manifest)
    assert there(manifest) == ["a.zip.part", "a.zip.part.json"]
    came(manifest)
    assert len(server.asked) == 1
