"""Tell a web page or a cut-off file from the archive that it should be, before its hash is asked."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path

from datadel.manifest import Archive

_PAGE = (b"<!doctype", b"<html")
_LOG = logging.getLogger("meddel")


def is_page(content_type: str) -> bool:
    """Tell whether a ``Content-Type`` is that of a web page."""
    return content_type.split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")


def problem(path: Path, archive: Archive) -> str | None:
    """Return what is wrong with a file that should be `archive`, as a clause, or None.

    Notes
    -----
    A zip keeps its contents at its end, so that a cut is seen at once; a tar or RAR shows one only when it is unpacked.
    A rounded size that is missed by more than a quarter gives a warning only: pages are inexact.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:16].lower().startswith(_PAGE):
        return "is a web page and no archive"
    if archive.size is not None and not archive.approximate and size != archive.size:
        return f"has {size} bytes where {archive.size} are stated"
    if size == 0:
        return "is empty"
    if head.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path):
        return "is a zip that is cut off"
    if archive.size is not None and archive.approximate and abs(size - archive.size) > archive.size / 4:
        _LOG.warning("%s has %.2f GB; about %.2f GB are stated", archive.name, size / 1e9, archive.size / 1e9)
    return None
