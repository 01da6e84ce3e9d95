"""Take archives that a person got by hand: from the cache's folder, or from where the browser put them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from datadel import cache
from datadel.fetching import content, transfer, trust
from datadel.manifest import Archive
from meddel.errors import MedDELError
from meddel.progress import progress

_CHUNK = 1 << 20


def in_place(name: str, archive: Archive) -> bool:
    """Tell whether an archive lies whole in the cache; one that lies there unknown is held to its hash first.

    The caller holds `cache.lock` of the set.

    Raises
    ------
    MedDELError
        It is a web page, is cut off, or has another hash.
    """
    path = cache.archive_path(name, archive)
    if not path.is_file():
        return False
    if not trust.is_held(name, archive):
        hold(name, archive, path, path)
    transfer.discard(cache.part_path(name, archive))
    return True


def from_source(name: str, archive: Archive, source: Path, *, alone: bool) -> bool:
    """Take an archive from `source` into the cache as a hard link, or as a copy where the disk is another one.

    The caller holds `cache.lock` of the set.

    Parameters
    ----------
    name : str
        The set.
    archive : Archive
        What to take.
    source : Path
        A folder that holds the archive or a folder of the set's name with it; or a file.
    alone : bool
        Only this archive is wanted: a file is taken whatever its name.

    Returns
    -------
    bool
        False if it isn't there.

    Raises
    ------
    MedDELError
        No such source, it is no whole archive or has another hash, or the cache can't be written.
    """
    source = source.expanduser()
    if not source.exists():
        raise MedDELError("no such file or folder", source, "give the folder that holds the archives")
    given = _found(source, name, archive, alone)
    if given is None:
        return False
    path = cache.archive_path(name, archive)
    waiting = path.with_name(f".{path.name}.taken")
    try:
        with cache.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            waiting.unlink(missing_ok=True)
            _link_or_copy(given, waiting)
            hold(name, archive, waiting, given)
            os.replace(waiting, path)
    finally:
        waiting.unlink(missing_ok=True)
    transfer.discard(cache.part_path(name, archive))
    return True


def hold(name: str, archive: Archive, path: Path, shown: Path) -> None:
    """Check that a file is the archive that it should be, and remember its hash if none is known.

    Parameters
    ----------
    name : str
        The set.
    archive : Archive
        What the file should be.
    path, shown : Path
        The file, and the path to name in an error.

    Raises
    ------
    MedDELError
        It is a web page, is cut off, or has another hash.
    """
    problem = content.problem(path, archive)
    if problem is not None:
        raise MedDELError(f"{archive.name} {problem}", shown, "replace it by the whole archive")
    found = trust.check(name, archive, path, shown)
    trust.record(name, archive, found, path.stat().st_size, None)


def _found(source: Path, name: str, archive: Archive, alone: bool) -> Path | None:
    if source.is_file():
        return source.resolve() if alone or source.name == archive.name else None
    places = (source / archive.name, source / name / archive.name)
    return next((place.resolve() for place in places if place.is_file()), None)


def _link_or_copy(given: Path, path: Path) -> None:
    try:
        os.link(given, path)
        return
    except OSError:
        size = given.stat().st_size
    cache.need(size, path.parent)
    with given.open("rb") as stream, path.open("wb") as copy, progress(what=path.name, total=size, unit="B") as bar:
        while chunk := stream.read(_CHUNK):
            copy.write(chunk)
            bar.update(len(chunk))
    shutil.copystat(given, path)
