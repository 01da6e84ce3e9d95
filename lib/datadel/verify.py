"""Hold each archive to its hash: the published one, or where nobody publishes one, that of the first fetch.

``trusted.json`` at the cache's root has for each archive the hash that it was held to, its size, its URL (null: a
person put it there) and the date. An archive in this record is not read again until somebody asks to verify it.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from datadel import cache
from datadel.manifest import Archive
from meddel.errors import MedDELError
from meddel.progress import progress

FILE = "trusted.json"
_CHUNK = 1 << 20
_LOG = logging.getLogger("meddel")


class WrongFile(MedDELError):
    """A file that is another than the archive that it should be."""


def known_hash(name: str, archive: Archive) -> str | None:
    """Return the hash of an archive of the set `name` as ``sha256:<digits>`` or ``md5:<digits>``, or None."""
    if archive.sha256 is not None:
        return f"sha256:{archive.sha256.lower()}"
    if archive.md5 is not None:
        return f"md5:{archive.md5.lower()}"
    return cache.records(FILE).get(f"{name}/{archive.name}", {}).get("hash")


def verified(name: str, archive: Archive) -> bool:
    """Check by record and size that the archive in the cache was held to its hash before."""
    path, entry = cache.archive_path(name, archive), cache.records(FILE).get(f"{name}/{archive.name}")
    if entry is None or not path.is_file():
        return False
    return entry["hash"] == known_hash(name, archive) and entry["size"] == path.stat().st_size


def verify(name: str, archive: Archive, path: Path, url: str | None = None) -> None:
    """Hold a file to the hash of an archive and remember that; refuse a web page, a cut and another hash.

    An archive that is remembered already keeps its date and URL.
    """
    known = known_hash(name, archive)
    try:
        problem, size = _defect(path, archive), path.stat().st_size
        if problem is not None:
            raise WrongFile(f"this {problem}", path, "replace it by the whole archive")
        found = _hash_of(path, (known or "sha256:").partition(":")[0])
    except OSError as error:
        raise MedDELError(f"can't be read: {error.strerror}", path, "check its rights and the disk") from error
    key = f"{name}/{archive.name}"
    entry = cache.records(FILE).get(key, {})
    if known not in (None, found):
        expected = f"{known} is published"
        if not (archive.sha256 or archive.md5):
            expected = (
                f"{known} was fetched on {entry['date']}; to accept it, delete {key!r} from {cache.root() / FILE}"
            )
        raise WrongFile(f"the hash is {found} where {expected}", path, "delete the file and fetch it again")
    if (entry.get("hash"), entry.get("size")) != (found, size):
        date = datetime.now(UTC).date().isoformat()
        cache.record(FILE, key, {"hash": found, "size": size, "url": url, "date": date})


def _defect(path: Path, archive: Archive) -> str | None:
    """Return what shows without a hash that a file is not the whole archive, as a clause, or None.

    A zip has its table of contents at its end, so a cut shows at once; a tar or RAR shows it when it is unpacked. A
    rounded size that is missed by more than a quarter is a warning only, since pages are inexact.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:16].lower().startswith((b"<!doctype", b"<html")):
        return "is a web page and no archive"
    if archive.size is not None and not archive.approximate and size != archive.size:
        return f"has {size} bytes where {archive.size} are stated"
    if size == 0:
        return "is empty"
    if head.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path):
        return "is a zip that is cut off"
    if archive.size is not None and abs(size - archive.size) > archive.size / 4:
        _LOG.warning("%s has %.2f GB; about %.2f GB are stated", archive.name, size / 1e9, archive.size / 1e9)
    return None


def _hash_of(path: Path, algorithm: str) -> str:
    state = hashlib.new(algorithm)
    with path.open("rb") as stream, progress(what=f"check {path.name}", total=path.stat().st_size, unit="B") as bar:
        while chunk := stream.read(_CHUNK):
            state.update(chunk)
            bar.update(len(chunk))
    return f"{algorithm}:{state.hexdigest()}"
