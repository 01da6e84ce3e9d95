"""Where the files of a set come from when it is prepared: its fetched archives, or a folder that a person has."""

from __future__ import annotations

import os
from pathlib import Path

from datadel import cache
from datadel.manifest import Manifest
from datadel.unpacking.kinds import archive_kind
from datadel.unpacking.unpack import unpack
from meddel import artefacts
from meddel.errors import MedDELError


def unpacked(manifest: Manifest, source: Path | None = None) -> dict[str | None, Path]:
    """Unpack a set's archives and return their folders by the archives' names.

    Parameters
    ----------
    manifest : Manifest
    source : Path or None
        A folder that holds the archives, or what was in them; that is returned under None. None: the cache.

    Raises
    ------
    MedDELError
        Nothing has been fetched, there is no such folder, or an archive is damaged.
    """
    if source is not None and not source.is_dir():
        raise MedDELError("no such folder", source, "give the folder that holds the set's files")
    place = source or cache.archives(manifest.name)
    there = [archive for archive in manifest.archives if (place / archive.name).is_file()]
    if source is not None and not there:
        return {None: source.resolve()}
    if not there:
        raise MedDELError(
            f"nothing of {manifest.name} has been fetched", place,
            f"meddel fetch {manifest.name}, or give --source a folder that holds its files",
        )  # fmt: skip
    cache.claim()
    folders: dict[str | None, Path] = {}
    with cache.lock(manifest.name):
        for archive in there:
            folder = cache.extracted(manifest.name) / Path(archive.name).stem
            if archive.name.endswith(".7z"):
                fix = "unpack it with 7-Zip and give --source the folder"
                raise MedDELError("7z archives are not opened here", place / archive.name, fix)
            if archive_kind(place / archive.name) is None or archive.name.endswith(".npz"):
                _alone(place / archive.name, folder)
            else:
                unpack(place / archive.name, folder, sha256=archive.sha256)
            folders[archive.name] = folder
    return folders


def _alone(path: Path, folder: Path) -> None:
    """Make a folder for a file that is no archive, such as an ``.npz``."""
    target = folder / path.name
    if target.is_file() and os.path.samefile(target, path):
        return
    artefacts.link_or_copy(path, target)
