"""Unpack archives from strangers: whole or not at all, never outside the folder, archives in archives included."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from datadel import archives, cache
from datadel.archives import archive_kind
from datadel.destination import Destination
from datadel.manifest import Manifest
from meddel import artefacts
from meddel.errors import MedDELError

MAX_DEPTH = 3  # of archives inside archives
STAMP = ".unpacked.json"
_INNER = re.compile(r"(.*[^/.][^/]*)\.(?:tar\.gz|tar\.bz2|tar\.xz|tgz|tar|zip|rar)", re.IGNORECASE | re.DOTALL)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip, tar (plain, gz, bz2, xz) or RAR archive, and the archives inside it, into a folder.

    An inner ``a/b.tar.gz`` becomes the folder ``a/b``. Files that systems leave behind (``__MACOSX``, ``.DS_Store``,
    ``._*``, ``Thumbs.db``) and empty folders are passed over. Files get ordinary rights and the present time.

    The folder appears when all is unpacked; if it was from the same archive before, nothing is done. An archive that
    is cut off, damaged, encrypted, hostile or a bomb is refused, and nothing is left of what was begun. One process at
    a time may unpack into a folder.
    """
    try:
        kind, facts = archive_kind(archive), archive.stat()
    except OSError as error:
        raise MedDELError(f"can't read the archive: {error.strerror}", archive, "fetch it") from error
    if kind is None:
        raise MedDELError("no zip, tar or RAR archive", archive, "fetch it again; the source may have sent a web page")
    stamp = folder / STAMP
    made_of = json.dumps({"archive": archive.name, "size": facts.st_size, "changed": facts.st_mtime_ns})
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == made_of:
        return
    if folder.exists() and not stamp.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise MedDELError("the folder holds something else", folder, "move it away or give another folder")
    half = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    try:
        with cache.writing(folder):
            half.mkdir(parents=True)
        _unpack_all(archive, Destination(half, facts.st_size))
        with cache.writing(folder):
            artefacts.write_text(half / STAMP, made_of)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(half, folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _unpack_all(archive: Path, destination: Destination) -> None:
    """Unpack an archive, then those inside it."""
    cache.need(archive.stat().st_size, destination.folder)
    waiting = [(archive, str(archive), "", 0)]
    while waiting:
        path, label, destination.inside, depth = waiting.pop()
        archives.read(path, label, destination)
        if depth:
            path.unlink()
        for name, where in destination.taken:
            named, inner = _INNER.fullmatch(name), destination.folder / name
            if named is not None and archive_kind(inner) is not None:
                if depth >= MAX_DEPTH:
                    what = f"archives inside archives, more than {MAX_DEPTH} deep"
                    raise MedDELError(what, where, "don't use this archive; it may be a bomb")
                destination.files.remove(name)
                waiting.append((inner, where, f"{named[1]}/", depth + 1))


def unpack_set(manifest: Manifest, source: Path | None = None) -> dict[str | None, Path]:
    """Unpack a set's archives into the cache and return their folders by the archives' names.

    `source` is a folder that holds the archives, or their files; the latter is returned under None. Without it the
    archives of the cache are unpacked.
    """
    if source is not None and not source.is_dir():
        raise MedDELError("no such folder", source, "give the folder that holds the set's files")
    place = source or cache.archives(manifest.name)
    there = [place / archive.name for archive in manifest.archives if (place / archive.name).is_file()]
    if source is not None and not there:
        return {None: source.resolve()}
    if not there:
        fix = f"meddel fetch {manifest.name}, or give --source a folder that holds its files"
        raise MedDELError(f"nothing of {manifest.name} has been fetched", place, fix)
    cache.claim()
    folders: dict[str | None, Path] = {}
    with cache.lock(manifest.name):
        for path in there:
            folder = folders[path.name] = cache.extracted(manifest.name) / path.stem
            if path.suffix == ".7z":
                raise MedDELError("7z is not opened here", path, "unpack it with 7-Zip and give --source the folder")
            if path.suffix == ".npz" or archive_kind(path) is None:
                if not ((folder / path.name).is_file() and os.path.samefile(folder / path.name, path)):
                    artefacts.link_or_copy(path, folder / path.name)
            else:
                unpack(path, folder)
    return folders
