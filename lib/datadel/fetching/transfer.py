"""Bring the file at one URL onto the disk, over as many connections as it takes.

What has come stands in a part file, and beside it in ``<part>.json`` which file of the server it belongs to. The next
connection asks for the rest only (``Range``), and only if the server's file is the same still (``If-Range``).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import requests
from pydantic import BaseModel, ValidationError

from datadel import cache
from datadel.fetching import content
from meddel import __version__, artefacts
from meddel.progress import progress

_CHUNK = 1 << 16  # what a broken connection loses at most
_LONGEST_WAIT = 60.0
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_ASK = {"User-Agent": f"meddel/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Attributes
    ----------
    connect, read : float
        Seconds until a connection stands, and until the next bytes come.
    retries : int
        How often to connect again in a row without getting any further; 0: never connect again.
    backoff : float
        Seconds before the first of these; each waits twice as long as the one before.
    """

    connect: float = 15.0
    read: float = 60.0
    retries: int = 4
    backoff: float = 1.0


USUAL = Patience()


class Failed(Exception):
    """A URL that did not give the file.

    Parameters
    ----------
    why : str
        The reason, as a clause.
    kind : str
        ``cut``: it began to come, so go on; ``busy``: it may come later; ``refused``: it won't come.
    """

    def __init__(self, why: str, kind: Literal["cut", "busy", "refused"]) -> None:
        super().__init__(why)
        self.kind = kind


class Wanted(NamedTuple):
    """What to bring.

    Attributes
    ----------
    name : str
        Its name for the progress bar.
    url : str
        Where it lies.
    size : int or None
        Bytes that it must have.
    vouched : bool
        Its hash is known: a part may go on from another mirror, or from a server that can't name its file's version.
    """

    name: str
    url: str
    size: int | None
    vouched: bool


class _Version(BaseModel):
    """Which file of which server a part belongs to."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What ``If-Range`` may hold: no weak ETag."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


def bring(wanted: Wanted, part: Path, patience: Patience, *, stubborn: bool) -> None:
    """Write the whole file to `part`, going on from what stands there if it is of the same file.

    Parameters
    ----------
    wanted : Wanted
        The file.
    part : Path
        Where to write. It stays if this fails or is interrupted, for the next call to go on.
    patience : Patience
        How long to wait, and how often.
    stubborn : bool
        Try a busy server or a dead line again; else only what broke off.

    Raises
    ------
    Failed
        The file did not come.
    MedDELError
        It can't be written, or would not fit on the disk.
    """
    furthest, idle = _size(part), 0
    while True:
        try:
            return _connect(wanted, part, patience)
        except Failed as failed:
            idle = 0 if _size(part) > furthest else idle + 1
            furthest = max(furthest, _size(part))
            again = failed.kind == "cut" or (failed.kind == "busy" and stubborn)
            if not again or not patience.retries or idle > patience.retries:
                raise
        time.sleep(min(patience.backoff * 2**idle, _LONGEST_WAIT))


def discard(part: Path) -> None:
    """Remove a part file and what is known of it."""
    # In this order: bytes must never stand beside what is known of another file.
    with cache.writing(part):
        part.unlink(missing_ok=True)
        _beside(part).unlink(missing_ok=True)


def _connect(wanted: Wanted, part: Path, patience: Patience) -> None:
    """Bring what one connection gives."""
    version = _resumable(wanted, part)
    if version is not None and version.total == _size(part):
        return
    headers = dict(_ASK)
    if version is not None:
        headers["Range"] = f"bytes={_size(part)}-"
        if version.url == wanted.url and version.validator:
            headers["If-Range"] = version.validator
    timeout = (patience.connect, patience.read)
    try:
        with requests.get(wanted.url, headers=headers, stream=True, timeout=timeout) as answer:
            if version is None or answer.status_code not in (206, 416):
                version = _start(answer, wanted, part)
            else:
                _check_rest(answer, version, wanted, part)
            _write(answer, wanted, part, version.total)
    except requests.Timeout:
        raise Failed("no answer in time", "busy") from None
    except requests.ConnectionError as error:
        raise Failed(_reason(error), "busy") from None
    except requests.RequestException as error:
        raise Failed(_reason(error), "refused") from None


def _resumable(wanted: Wanted, part: Path) -> _Version | None:
    """Return which file the part belongs to if it can go on from `wanted.url`; else there is no part afterwards."""
    try:
        version = _Version.model_validate_json(_beside(part).read_bytes())
    except (OSError, ValidationError):
        version = None
    if version is not None and 0 < _size(part) <= (version.total or _size(part)):
        same_file = version.url == wanted.url and bool(version.etag or version.last_modified)
        if wanted.vouched or same_file:
            return version
    discard(part)
    return None


def _start(answer: requests.Response, wanted: Wanted, part: Path) -> _Version:
    """Begin the part of a whole file that comes now, or refuse what is none."""
    if answer.status_code != 200:
        kind = "busy" if answer.status_code in _BUSY else "refused"
        raise Failed(f"{answer.status_code} {answer.reason}".strip(), kind)
    if content.is_page(answer.headers.get("Content-Type", "")):
        raise Failed("a web page instead of the file", "refused")
    version = _version_of(answer, wanted.url)
    if None not in (wanted.size, version.total) and wanted.size != version.total:
        raise Failed(f"{version.total} bytes where {wanted.size} are stated", "refused")
    cache.need(version.total or 0, part.parent)
    discard(part)
    with cache.writing(part):
        artefacts.write_text(_beside(part), version.model_dump_json())
    return version


def _check_rest(answer: requests.Response, version: _Version, wanted: Wanted, part: Path) -> None:
    """Refuse anything but the rest of the part; the next connection then asks for the whole file."""
    stated = answer.headers.get("Content-Range", "")
    matched = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", stated)
    right = answer.status_code == 206 and matched is not None and int(matched[1]) == _size(part)
    right = right and (version.total is None or matched[2] in ("*", str(version.total)))
    if version.url == wanted.url:
        now = _version_of(answer, wanted.url)
        pairs = ((version.etag, now.etag), (version.last_modified, now.last_modified))
        right = right and all(old == new for old, new in pairs if old and new)
    if not right:
        discard(part)
        raise Failed(f"another part came than the rest ({answer.status_code} {stated})", "cut")
    cache.need((version.total or 0) - _size(part), part.parent)


def _write(answer: requests.Response, wanted: Wanted, part: Path, total: int | None) -> None:
    """Append the bytes that come to the part, and check that they are all there."""
    with (
        cache.writing(part),
        part.open("ab") as stream,
        progress(what=wanted.name, total=total, unit="B", done=_size(part)) as bar,
    ):
        for chunk in _chunks(answer):
            stream.write(chunk)
            bar.update(len(chunk))
        stream.flush()
        os.fsync(stream.fileno())
    if total is not None and _size(part) != total:
        raise Failed(f"broke off, {_size(part)} bytes of {total} came", "cut")


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    """Give the bytes as they are stored."""
    # Some servers name the compression of a .tar.gz as one of the transfer: requests would undo it.
    answer.raw.headers.pop("Content-Encoding", None)
    try:
        yield from answer.iter_content(_CHUNK)
    except requests.RequestException as error:
        raise Failed(f"broke off, {_reason(error)}", "cut") from None


def _version_of(answer: requests.Response, url: str) -> _Version:
    length = answer.headers.get("Content-Length", "")
    return _Version(
        url=url,
        etag=answer.headers.get("ETag"),
        last_modified=answer.headers.get("Last-Modified"),
        total=int(length) if length.isdecimal() else None,
    )


def _reason(error: BaseException) -> str:
    """Return the word of the system below the layers of an error, or what the error is called."""
    lost = isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)
    found, inner = "connection lost" if lost else type(error).__name__, error
    while inner is not None:
        if isinstance(inner, OSError):
            found = inner.strerror or ("no bytes in time" if isinstance(inner, TimeoutError) else found)
        inner = inner.__cause__ or inner.__context__
    return found


def _beside(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
