"""Download the file at one URL over as many connections as it takes.

``<name>.part`` has the bytes so far, and ``<name>.part.json`` says to which file of which server they belong. The next
connection asks for the rest only (``Range``), and only if the server's file is still the same (``If-Range``).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
from pydantic import BaseModel, ValidationError

from datadel import cache
from meddel import __version__, artefacts
from meddel.progress import progress

_CHUNK = 1 << 16  # what a broken connection loses at most
_LONGEST_WAIT = 60.0
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_HEADERS = {"User-Agent": f"meddel/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server, in seconds, and how often to connect again without getting any further."""

    connect: float = 15.0
    read: float = 60.0
    retries: int = 4
    backoff: float = 1.0  # before the first; each waits twice as long as the one before


class DownloadError(Exception):
    """Report why a URL did not give the file, and whether it may do so later."""

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


class _Version(BaseModel):
    """Which file of which server a part belongs to; a validator is a strong ETag or a time of change."""

    url: str
    validator: str | None
    total: int | None


def download(url: str, part: Path, policy: RetryPolicy, *, size: int | None = None, verified: bool = False) -> None:
    """Write the whole file, of `size` bytes, to `part`, going on from what is there if it is of the same file.

    If this fails (`DownloadError`) or is interrupted, the part is kept for the next call. If the caller can verify the
    file by its hash, a part may go on from another mirror, or without a validator.
    """
    furthest, idle = _size(part), 0
    while True:
        try:
            version = _resumable(url, part, verified)
            if version is None or version.total != _size(part):
                _connect(url, part, policy, size, version)
            return
        except DownloadError as error:
            idle = 0 if _size(part) > furthest else idle + 1
            furthest = max(furthest, _size(part))
            if not error.again or idle > policy.retries or not policy.retries:
                raise
        time.sleep(min(policy.backoff * 2**idle, _LONGEST_WAIT))


def discard(part: Path) -> None:
    """Delete a part and what is known of it, in this order: bytes must never be beside facts on another file."""
    with cache.writing(part):
        part.unlink(missing_ok=True)
        _facts(part).unlink(missing_ok=True)


def _resumable(url: str, part: Path, verified: bool) -> _Version | None:
    """Return the file that the part belongs to if `url` can go on from there; else discard the part."""
    try:
        version = _Version.model_validate_json(_facts(part).read_bytes())
    except (OSError, ValidationError):
        version = None
    have = _size(part)
    fits = version is not None and 0 < have <= (version.total or have)
    if fits and (verified or (version.url == url and version.validator)):
        return version
    discard(part)
    return None


def _connect(url: str, part: Path, policy: RetryPolicy, size: int | None, version: _Version | None) -> None:
    """Write what one connection gives: the rest of `version`, or the whole file."""
    headers = dict(_HEADERS)
    if version is not None:
        headers["Range"] = f"bytes={_size(part)}-"
        if version.url == url and version.validator:
            headers["If-Range"] = version.validator
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(policy.connect, policy.read)) as answer:
            if version is not None and answer.status_code in (206, 416):
                _check_rest(answer, url, part, version)
            else:
                version = _begin(answer, url, part, size)
            _write(answer, part, version.total)
    except requests.Timeout:
        raise DownloadError("no answer in time", again=True) from None
    except requests.ConnectionError as error:
        raise DownloadError(_reason(error), again=True) from None
    except requests.RequestException as error:
        raise DownloadError(_reason(error)) from None


def _begin(answer: requests.Response, url: str, part: Path, size: int | None) -> _Version:
    """Begin the part of a whole file, or refuse an answer that is none."""
    if answer.status_code != 200:
        raise DownloadError(f"{answer.status_code} {answer.reason}".strip(), again=answer.status_code in _BUSY)
    if re.match(r"\s*(text/html|application/xhtml)", answer.headers.get("Content-Type", ""), re.IGNORECASE):
        raise DownloadError("a web page instead of the file")
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    if None not in (size, total) and size != total:
        raise DownloadError(f"{total} bytes where {size} are stated")
    cache.need(total or 0, part.parent)
    discard(part)
    version = _Version(url=url, validator=_validator(answer), total=total)
    with cache.writing(part):
        artefacts.write_text(_facts(part), version.model_dump_json())
    return version


def _check_rest(answer: requests.Response, url: str, part: Path, version: _Version) -> None:
    """Refuse anything but the rest of the part; the next connection then asks for the whole file."""
    stated, have = answer.headers.get("Content-Range", ""), _size(part)
    matched = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", stated)
    right = answer.status_code == 206 and matched is not None and int(matched[1]) == have
    right = right and (version.total is None or matched[2] in ("*", str(version.total)))
    if version.url == url and _validator(answer) is not None:
        right = right and _validator(answer) == version.validator
    if not right:
        discard(part)
        raise DownloadError(f"another part came than the rest ({answer.status_code} {stated})", again=True)
    cache.need((version.total or have) - have, part.parent)


def _write(answer: requests.Response, part: Path, total: int | None) -> None:
    """Append the bytes that come to the part, and check that they are all there."""
    with (
        cache.writing(part),
        part.open("ab") as stream,
        progress(what=part.stem, total=total, unit="B", done=_size(part)) as bar,
    ):
        for chunk in _chunks(answer):
            stream.write(chunk)
            bar.update(len(chunk))
        stream.flush()
        os.fsync(stream.fileno())
    if total is not None and _size(part) != total:
        raise DownloadError(f"broke off, {_size(part)} bytes of {total} came", again=True)


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    """Yield the bytes as the server stores them."""
    # Some servers name the compression of a .tar.gz as one of the transfer: requests would undo it.
    answer.raw.headers.pop("Content-Encoding", None)
    try:
        yield from answer.iter_content(_CHUNK)
    except requests.RequestException as error:
        raise DownloadError(f"broke off, {_reason(error)}", again=True) from None


def _validator(answer: requests.Response) -> str | None:
    etag = answer.headers.get("ETag", "W/")
    return answer.headers.get("Last-Modified") if etag.startswith("W/") else etag


def _reason(error: BaseException) -> str:
    """Return the word of the system below the layers of an error, or what the error is called."""
    lost = isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)
    found, inner = "connection lost" if lost else type(error).__name__, error
    while inner is not None:
        if isinstance(inner, OSError):
            found = inner.strerror or ("no bytes in time" if isinstance(inner, TimeoutError) else found)
        inner = inner.__cause__ or inner.__context__
    return found


def _facts(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
