"""Hold each archive to its hash: the published one, or, where nobody publishes one, that of the first fetch.

``trusted.json`` at the cache's root says for each archive which hash it was held to, its size, where it came from
(null: a person put it there) and when. An archive that it knows isn't read again until somebody asks to verify it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from datadel import cache
from datadel.manifest import Archive
from meddel.errors import MedDELError
from meddel.progress import progress

FILE = "trusted.json"
_CHUNK = 1 << 20


def known_hash(name: str, archive: Archive) -> str | None:
    """Return the hash that an archive of the set `name` is held to, as ``sha256:<digits>`` or ``md5:<digits>``.

    A published hash counts before that of the first fetch; None if there is neither.

    Raises
    ------
    MedDELError
        The record of first fetches is damaged.
    """
    if archive.sha256 is not None:
        return f"sha256:{archive.sha256.lower()}"
    if archive.md5 is not None:
        return f"md5:{archive.md5.lower()}"
    return cache.records(FILE).get(_key(name, archive), {}).get("hash")


def is_held(name: str, archive: Archive) -> bool:
    """Tell whether the archive is there and was held to its hash when it came, by its record and its size."""
    path = cache.archive_path(name, archive)
    entry = cache.records(FILE).get(_key(name, archive))
    if entry is None or not path.is_file():
        return False
    return entry["hash"] == known_hash(name, archive) and entry["size"] == path.stat().st_size


def check(name: str, archive: Archive, path: Path, shown: Path | None = None) -> str:
    """Read a file to its end and return its hash, in the form of `known_hash`.

    Parameters
    ----------
    name : str
        The set.
    archive : Archive
        What the file should be.
    path : Path
        The file.
    shown : Path or None
        The path to name in an error, where it isn't `path`.

    Raises
    ------
    MedDELError
        The hash is another than the known one, or the file can't be read.
    """
    known = known_hash(name, archive)
    algorithm = "sha256" if known is None else known.partition(":")[0]
    try:
        found = f"{algorithm}:{_digest(path, algorithm)}"
    except OSError as error:
        raise MedDELError(f"can't be read: {error.strerror}", shown or path, "check its rights and the disk") from error
    if known not in (None, found):
        way = way_to_accept(name, archive)
        fix = "delete the file and fetch it again" + ("" if way is None else f", or, {way}")
        raise MedDELError(f"{archive.name}: {mismatch(name, archive, found)}", shown or path, fix)
    return found


def record(name: str, archive: Archive, found: str, size: int, url: str | None) -> None:
    """Remember the hash of an archive that came; one that is remembered already keeps its date and its place.

    Parameters
    ----------
    name : str
        The set.
    archive : Archive
        The archive.
    found : str
        Its hash, in the form of `known_hash`.
    size : int
        Bytes.
    url : str or None
        Where it came from; None if a person put it there.
    """
    entry = cache.records(FILE).get(_key(name, archive))
    if entry is None or (entry["hash"], entry["size"]) != (found, size):
        date = datetime.now(UTC).date().isoformat()
        cache.record(FILE, _key(name, archive), {"hash": found, "size": size, "url": url, "date": date})


def mismatch(name: str, archive: Archive, found: str) -> str:
    """Return the clause that names the hash that was found (``algorithm:digits``) and the one that was expected."""
    known = (known_hash(name, archive) or "").partition(":")[2]
    algorithm, _, digits = found.partition(":")
    if archive.sha256 or archive.md5:
        return f"{algorithm} is {digits} where {known} is published"
    date = cache.records(FILE)[_key(name, archive)]["date"]
    return f"{algorithm} is {digits} where that of the first fetch on {date} was {known}"


def way_to_accept(name: str, archive: Archive) -> str | None:
    """Return how to accept another file than that of the first fetch; None where the hash is published."""
    if archive.sha256 or archive.md5:
        return None
    return f"to accept the new file, delete {_key(name, archive)!r} from {cache.root() / FILE} and fetch again"


def _key(name: str, archive: Archive) -> str:
    return f"{name}/{archive.name}"


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with (
        path.open("rb") as stream,
        progress(what=f"check {path.name}", total=path.stat().st_size, unit="B") as bar,
    ):
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()
