"""Fixtures of the tests on data sets: a server on the loopback interface with faults, a cache, made-up manifests."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datadel import cache, fetch
from datadel.download import RetryPolicy
from datadel.manifest import Manifest, of_jsonld


@dataclass
class Page:
    """What the server has at a path, and how it misbehaves there.

    Attributes
    ----------
    content : bytes
        What the path has.
    headers : dict
        Sent with it; they may replace what the server would say. An empty text leaves the header out.
    status : int
        Anything but 200 is sent without the content.
    ranges, conditional : bool
        Whether a part can be asked for, and whether the server heeds a condition on that.
    cuts : int
        How many times the connection breaks at 60 % of what was asked for.
    gate : threading.Event or None
        After 60 % the server waits for it.
    """

    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    ranges: bool = True
    conditional: bool = True
    cuts: int = 0
    gate: threading.Event | None = None


@dataclass
class Asked:
    """A request that came, and how many bytes of content were sent in return."""

    path: str
    headers: Message
    sent: int = 0


@dataclass
class Server:
    """The server: its address, its pages by path, and the requests that came."""

    address: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def put(self, path: str, content: bytes = b"", **faults: Any) -> str:
        """Put a page at `path`, such as ``"/a.zip"``, and return its URL."""
        self.pages[path] = Page(content, **faults)
        return self.address + path


class _Handler(BaseHTTPRequestHandler):
    """Answers GET as `Page` says."""

    def __init__(self, server: Server, *arguments: Any) -> None:
        self.site = server
        super().__init__(*arguments)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send a page or the part of it that was asked for."""
        asked = Asked(self.path, self.headers)
        self.site.asked.append(asked)
        page = self.site.pages.get(self.path, Page(status=404))
        if page.status != 200:
            self.send_response(page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            self.end_headers()
            return
        start = self._start(page)
        rest = page.content[start:]
        self._send_head(page, start)
        if page.cuts or page.gate is not None:
            first = rest[: len(rest) * 6 // 10]
            self._send(asked, first)
            if page.cuts:
                page.cuts -= 1
                return
            page.gate.wait(60)
            rest = rest[len(first) :]
        self._send(asked, rest)

    def _start(self, page: Page) -> int:
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        unchanged = (
            condition is None
            or not page.conditional
            or condition in (page.headers.get("ETag"), page.headers.get("Last-Modified"))
        )
        return int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and page.ranges and unchanged else 0

    def _send_head(self, page: Page, start: int) -> None:
        self.send_response(206 if start else 200)
        total = len(page.content)
        said = {"Content-Type": "application/octet-stream", "Content-Length": str(total - start)}
        if start:
            said["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        for name, value in {**said, **page.headers}.items():
            if value and (start or name != "Content-Range"):
                self.send_header(name, value)
        self.end_headers()

    def _send(self, asked: Asked, content: bytes) -> None:
        try:
            self.wfile.write(content)
            self.wfile.flush()
        except ConnectionError:
            return
        asked.sent += len(content)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on the loopback interface without pages."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    site = Server("")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, site)) as http:
        http.daemon_threads = True
        http.block_on_close = False
        site.address = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        for page in site.pages.values():
            if page.gate is not None:
                page.gate.set()
        http.shutdown()
        thread.join()


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of data sets, which this process and those that it starts use, without progress bars."""
    root = tmp_path / "data"
    monkeypatch.setenv("MEDDEL_DATA", str(root))
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")
    return root


@pytest.fixture
def made_up_manifest() -> Callable[..., Manifest]:
    """A function that makes the manifest of a set that doesn't exist.

    It takes a name, archives as Croissant file objects without ``@type`` (``name`` and ``contentUrl`` at least),
    how to get it (``open``, ``form``, ...), and further fields of the JSON-LD, which replace what it makes up.
    """

    def make(name: str, archives: list[dict[str, Any]] | None = None, access: str = "open", **extra: Any) -> Manifest:
        files = [{"@type": "cr:FileObject", "@id": entry["name"], **entry} for entry in archives or []]
        jsonld = {
            "@type": "sc:Dataset",
            "name": name,
            "alternateName": f"The made-up set {name}",
            "description": "No such set exists.",
            "citeAs": f"@misc{{{name}}}",
            "license": "https://creativecommons.org/licenses/by/4.0/",
            "url": f"https://example.org/{name}",
            "conditionsOfAccess": "Nothing is asked." if access == "open" else "Fill in the form on its page.",
            "del:division": "beyond",
            "del:modality": "endoscopy",
            "del:access": access,
            "del:uses": {"research": "yes", "commercial": "yes", "redistribution": "yes"},
            "distribution": files,
        }
        return of_jsonld(jsonld | extra)

    return make


@pytest.fixture(scope="session")
def content() -> bytes:
    """The 400,000 bytes of an archive of no kind that is known by its start."""
    return np.random.default_rng(0).bytes(400_000)


@pytest.fixture
def manifest(server: Server, content: bytes, data_root: Path, made_up_manifest: Callable[..., Manifest]) -> Manifest:
    """An open set called ``set`` of two archives of unknown size and hash, which the server has."""
    urls = {name: server.put(f"/{name}", content, headers={"ETag": '"v1"'}) for name in ("a.rar", "b.rar")}
    return made_up_manifest("set", [{"name": name, "contentUrl": url} for name, url in urls.items()])


@pytest.fixture
def take(data_root: Path) -> Callable[..., dict[str, list[Path]]]:
    """A function that fetches sets with their licences accepted, and gives up at the first failure of a server."""

    def call(*manifests: Manifest, **settings: Any) -> dict[str, list[Path]]:
        return fetch.fetch(manifests, accept=True, policy=RetryPolicy(connect=5, read=30, retries=0), **settings)

    return call


@pytest.fixture
def there(data_root: Path) -> Callable[[str], list[str]]:
    """A function that lists the files in a set's folder of archives."""

    def names(name: str) -> list[str]:
        folder = cache.archives(name)
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    return names
