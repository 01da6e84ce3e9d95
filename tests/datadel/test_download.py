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

from datadel import cache, fetch, verify
from datadel.download import RetryPolicy
from datadel.manifest import Manifest
from meddel.errors import MedDELError

HASTY = RetryPolicy(connect=5, read=0.3, retries=2, backoff=0.001)
ONCE = RetryPolicy(connect=5, read=0.3, retries=0, backoff=0.001)


def zipped(seed: int = 0, size: int = 400_000) -> bytes:
    """A zip with one member that can't be compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("noise.bin", np.random.default_rng(seed).bytes(size))
    return stream.getvalue()


CONTENT = zipped()
VERSION = {"ETag": '"v1"'}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def manifest_of(data_root: Path, made_up_manifest: Callable[..., Manifest]) -> Callable[..., Manifest]:
    """A function that makes a manifest of one archive, ``a.zip``, from its URLs and other facts."""

    def make(*urls: str, **facts: Any) -> Manifest:
        return made_up_manifest("set", [{"name": "a.zip", "contentUrl": urls[0], "sameAs": list(urls[1:]), **facts}])

    return make


def get(manifest: Manifest, policy: RetryPolicy = HASTY) -> Path:
    return fetch.fetch([manifest], accept=True, policy=policy)[manifest.name][0]


def there() -> list[str]:
    """The files in the set's folder of archives."""
    folder = cache.archives("set")
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def refused(manifest: Manifest, *said: str, policy: RetryPolicy = HASTY) -> str:
    """Check that the archive doesn't come, that one line says all of `said`, and that its final name stays free."""
    with pytest.raises(MedDELError) as error:
        get(manifest, policy)
    assert "\n" not in str(error.value) and [text for text in said if text not in str(error.value)] == []
    assert there() in ([], ["a.zip.part", "a.zip.part.json"])
    return str(error.value)


def came(manifest: Manifest, content: bytes = CONTENT, policy: RetryPolicy = HASTY) -> None:
    """Check that the archive comes whole, and that nothing else is left."""
    assert get(manifest, policy).read_bytes() == content
    assert there() == ["a.zip"]


@pytest.fixture
def cut(server: Any, manifest_of: Callable) -> Manifest:
    """A set whose archive broke off at the first try; the server has it whole."""
    manifest = manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers=VERSION))
    refused(manifest, "a.zip: ", server.address, "broke off", "call again to go on", policy=ONCE)
    assert cache.cached(manifest)[0].status == "partial" and 0 < cache.cached(manifest)[0].size < len(CONTENT)
    return manifest


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_file_with_a_published_hash_comes_in_one_request(server: Any, manifest_of: Callable, kind: str) -> None:
    url = server.put("/a.zip", CONTENT)
    came(manifest_of(url, contentSize=f"{len(CONTENT)} B", **{kind: hashlib.new(kind, CONTENT).hexdigest()}))
    assert [asked.sent for asked in server.asked] == [len(CONTENT)]


@pytest.mark.parametrize("validator", [VERSION, {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}])
def test_a_broken_connection_goes_on_where_it_broke(
    server: Any, manifest_of: Callable, validator: dict[str, str]
) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers=validator)))
    first, second = server.asked
    start = int(second.headers["Range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= first.sent < len(CONTENT)
    assert second.sent == len(CONTENT) - start
    assert second.headers["If-Range"] in validator.values()


def test_a_second_call_goes_on_where_the_first_gave_up(server: Any, cut: Manifest) -> None:
    have = cache.cached(cut)[0].size
    came(cut)
    assert server.asked[1].sent == len(CONTENT) - have


def test_many_breaks_are_no_reason_to_give_up_while_bytes_come(server: Any, manifest_of: Callable) -> None:
    content = zipped(size=4_000_000)
    came(manifest_of(server.put("/a.zip", content, cuts=4, headers=VERSION)), content)
    assert len(server.asked) == 5


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"v1"'}])
def test_without_a_strong_version_or_hash_a_part_is_not_trusted(
    server: Any, manifest_of: Callable, headers: dict[str, str]
) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers=headers)))
    assert [asked.headers["Range"] for asked in server.asked] == [None, None]


def test_a_published_hash_lets_another_mirror_go_on(server: Any, manifest_of: Callable) -> None:
    first = server.put("/first/a.zip", CONTENT, cuts=1)
    came(manifest_of(first, server.put("/second/a.zip", CONTENT), sha256=sha256(CONTENT)), policy=ONCE)
    assert server.asked[1].path == "/second/a.zip" and server.asked[1].sent < len(CONTENT)


def test_a_file_that_changed_between_two_halves_comes_anew(server: Any, cut: Manifest) -> None:
    server.put("/a.zip", other := zipped(1, 300_000), headers={"ETag": '"v2"'})
    came(cut, other)
    assert server.asked[1].headers["If-Range"] == '"v1"' and server.asked[1].sent == len(other)


def test_a_server_without_ranges_begins_again(server: Any, manifest_of: Callable) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, cuts=1, ranges=False, headers=VERSION)))
    assert server.asked[1].headers["Range"] and server.asked[1].sent == len(CONTENT)


@pytest.mark.parametrize(
    "said",
    [
        {"Content-Range": "bytes 7-9/{total}"},
        {"Content-Range": "bytes {start}-9/123"},
        {"Content-Range": "nonsense"},
        {"Content-Range": ""},
        {"Last-Modified": "today", "ETag": ""},
    ],
)
def test_another_part_than_the_rest_is_not_taken(server: Any, cut: Manifest, said: dict[str, str]) -> None:
    start = cache.cached(cut)[0].size
    page = server.pages["/a.zip"]
    page.headers = VERSION | {name: text.format(start=start, total=len(CONTENT)) for name, text in said.items()}
    page.conditional = False
    refused(cut, "another part came than the rest (206", policy=ONCE)
    assert there() == []
    page.headers = VERSION
    came(cut, policy=ONCE)


def test_a_part_that_is_longer_than_the_file_is_dropped(server: Any, cut: Manifest) -> None:
    with cache.part_path("set", cut.archives[0]).open("ab") as stream:
        stream.write(bytes(len(CONTENT)))
    came(cut)
    assert server.asked[1].headers["Range"] is None


def test_an_interrupt_while_the_hash_is_checked_loses_nothing(
    server: Any, manifest_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    manifest = manifest_of(server.put("/a.zip", CONTENT), sha256=sha256(CONTENT))
    with monkeypatch.context() as patched:
        patched.setattr(verify, "_hash_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            get(manifest)
    assert there() == ["a.zip.part", "a.zip.part.json"]
    came(manifest)
    assert len(server.asked) == 1, "a whole part needs no request"


def test_a_resumed_file_is_hashed_whole_and_fetched_anew_if_it_is_wrong(server: Any, manifest_of: Callable) -> None:
    manifest = manifest_of(server.put("/a.zip", CONTENT, cuts=1, headers=VERSION), sha256=sha256(CONTENT))
    refused(manifest, "broke off", policy=ONCE)
    with cache.part_path("set", manifest.archives[0]).open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"damaged")
    came(manifest)
    assert [asked.headers["Range"] is None for asked in server.asked] == [True, False, True]


def test_a_wrong_hash_removes_the_file_and_asks_the_next_mirror(server: Any, manifest_of: Callable) -> None:
    wrong = server.put("/wrong/a.zip", other := zipped(1))
    manifest = manifest_of(wrong, sha256=sha256(CONTENT))
    refused(manifest, f"{wrong}: the hash is sha256:{sha256(other)} where sha256:{sha256(CONTENT)} is published")
    assert there() == []
    came(manifest_of(wrong, server.put("/a.zip", CONTENT), sha256=sha256(CONTENT)))


def test_the_size_that_the_manifest_states_is_asked_for_first(server: Any, manifest_of: Callable) -> None:
    url = server.put("/a.zip", CONTENT)
    refused(manifest_of(url, contentSize="12345 B"), f"{url}: {len(CONTENT)} bytes where 12345 are stated")
    came(manifest_of(url, contentSize="0.4 MB"))


def test_each_mirror_says_why_it_failed(server: Any, manifest_of: Callable) -> None:
    busy, gone = server.put("/busy", status=503), server.put("/gone", status=404)
    nobody = "http://127.0.0.1:1/a.zip"
    error = refused(
        manifest_of(busy, gone, nobody),
        *(f"{busy}: 503 Service Unavailable; ", f"{gone}: 404 Not Found; ", f"{nobody}: Connection refused"),
        *("https://example.org/set", str(cache.archives("set"))),
    )
    assert error.startswith("can't fetch a.zip: ")
    assert [asked.path for asked in server.asked] == [*["/busy"] * 3, "/gone"], "what is busy is asked again"
    came(manifest_of(busy, gone, nobody, server.put("/a.zip", CONTENT)))


def test_redirects_are_followed_when_going_on_too(server: Any, manifest_of: Callable) -> None:
    server.put("/a.zip", CONTENT, cuts=1, headers=VERSION)
    came(manifest_of(server.put("/here", status=302, headers={"Location": "/a.zip"})))
    assert [asked.path for asked in server.asked] == ["/here", "/a.zip"] * 2
    assert server.asked[3].sent < len(CONTENT)
    (cache.archives("set") / "a.zip").unlink()
    refused(manifest_of(server.put("/around", status=302, headers={"Location": "/around"})), "TooManyRedirects")


def test_a_server_that_falls_silent_is_left_for_the_mirror(server: Any, manifest_of: Callable) -> None:
    slow = server.put("/slow", CONTENT, gate=threading.Event(), headers=VERSION)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        never = f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip"
        refused(manifest_of(slow, never), f"{slow}: broke off, no bytes in time", f"{never}: no answer in time")
    came(manifest_of(slow, server.put("/a.zip", CONTENT)), policy=ONCE)


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("text/html; charset=utf-8", b"Please sign in", "a web page"),
        ("application/zip", b"\n<!DOCTYPE html><p>Please sign in", "a web page"),
        ("application/zip", CONTENT[:300_000], "is a zip that is cut off"),
        ("application/zip", b"", "is empty"),
    ],
)
def test_what_is_no_archive_is_told_without_a_hash(
    server: Any, manifest_of: Callable, kind: str, content: bytes, said: str
) -> None:
    manifest = manifest_of(server.put("/a.zip", content, headers={"Content-Type": kind}))
    refused(manifest, said, "in a browser from https://example.org/set", str(cache.archives("set")))
    assert there() == []
    server.put("/a.zip", CONTENT)
    came(manifest)


def test_a_file_of_unknown_length_comes(server: Any, manifest_of: Callable) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, headers={"Content-Length": ""})))


def test_a_compression_that_is_the_files_own_is_not_undone(server: Any, manifest_of: Callable) -> None:
    came(manifest_of(server.put("/a.zip", CONTENT, headers={"Content-Encoding": "gzip"}), sha256=sha256(CONTENT)))


def test_more_than_the_disk_holds_is_not_begun(server: Any, manifest_of: Callable) -> None:
    manifest = manifest_of(server.put("/a.zip", CONTENT, headers={"Content-Length": str(10**16)}))
    refused(manifest, "10000000.00 GB are needed", "free some space or set MEDDEL_DATA")
    assert there() == []
