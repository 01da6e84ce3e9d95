"""Where fetched data sets lie, what is there of each, and the lock that keeps two processes apart.

Below the root each set has a folder with ``archives`` (as fetched, and ``<archive>.part`` of what is under way) and
``extracted``. ``prepared`` holds a folder for each prepared set, so that it can be run on as a whole. ``trusted.json``
and ``accepted.json`` lie beside the sets, and so does the marker file by which a root is known as one: nothing is ever
deleted in a folder that isn't.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pooch
from filelock import FileLock, Timeout

from datadel.manifest import Archive, Manifest
from meddel import artefacts
from meddel.errors import MedDELError

VARIABLE = "MEDDEL_DATA"
FOLDERS = ("archives", "extracted")
_PREPARED = "prepared"
_MARKER = ".meddel-data"
_RECORDS = ("trusted.json", "accepted.json")
_FIX = f"free some space or set {VARIABLE} to another folder"
_LOG = logging.getLogger("meddel")


@dataclass(frozen=True)
class Held:
    """What is there of an archive.

    Attributes
    ----------
    archive : Archive
        The archive.
    status : str
        ``fetched`` stands under its final name; ``partial`` can be resumed.
    size : int
        Bytes that are there.
    """

    archive: Archive
    status: Literal["missing", "partial", "fetched"]
    size: int


@dataclass(frozen=True)
class State:
    """What is there of a data set: its archives in the manifest's order, and whether later steps are done."""

    archives: tuple[Held, ...]
    extracted: bool
    prepared: bool


def root() -> Path:
    """Return the folder of all data sets: ``MEDDEL_DATA``, or else the system's cache folder for meddel."""
    return Path(os.environ.get(VARIABLE) or pooch.os_cache("meddel")).expanduser().absolute()


def archives(name: str) -> Path:
    """Return the folder of a set's archives."""
    return _folder(name) / "archives"


def extracted(name: str) -> Path:
    """Return the folder of a set's unpacked archives."""
    return _folder(name) / "extracted"


def prepared(name: str) -> Path:
    """Return the folder of a set as the library reads it."""
    return root() / _PREPARED / _plain(name)


def archive_path(name: str, archive: Archive) -> Path:
    """Return the path under which an archive of the set `name` lies when it is whole.

    Raises
    ------
    MedDELError
        The archive's name is no plain file name.
    """
    return archives(name) / _plain(archive.name)


def part_path(name: str, archive: Archive) -> Path:
    """Return the path of what is there of an archive that is still under way."""
    path = archive_path(name, archive)
    return path.with_name(f"{path.name}.part")


def state(manifest: Manifest) -> State:
    """Return what is there of a data set. No file is read."""
    return State(
        tuple(_held(manifest.name, archive) for archive in manifest.archives),
        extracted(manifest.name).is_dir(),
        prepared(manifest.name).is_dir(),
    )


def _held(name: str, archive: Archive) -> Held:
    whole, part = archive_path(name, archive), part_path(name, archive)
    if whole.is_file():
        return Held(archive, "fetched", whole.stat().st_size)
    if part.is_file():
        return Held(archive, "partial", part.stat().st_size)
    return Held(archive, "missing", 0)


def _folder(name: str) -> Path:
    return root() / _plain(name)


def _plain(name: str) -> str:
    """Return `name` if it can't lead out of the folder that it is joined to."""
    if not re.fullmatch(r"\w[^/\\:\0]*", name):
        raise MedDELError(f"{name!r} is no plain file name", fix="mend the manifest")
    return name


def claim() -> Path:
    """Make the root if need be, mark it as one, and return it.

    Raises
    ------
    MedDELError
        It holds other things than data sets, or can't be written.
    """
    folder = root()
    if not (folder / _MARKER).is_file():
        stranger = _stranger(folder)
        if stranger is not None:
            raise MedDELError("this folder holds other things", stranger, f"set {VARIABLE} to a new or empty folder")
        with writing(folder / _MARKER):
            artefacts.write_text(folder / _MARKER, "meddel keeps data sets here\n")
    return folder


def _stranger(folder: Path) -> Path | None:
    """Return something in `folder` that meddel doesn't make, if there is such a thing."""
    if not folder.is_dir():
        return None
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in (*_RECORDS, _PREPARED, "lost+found"):
            continue
        inside = {path.name for path in entry.iterdir()} if entry.is_dir() else {entry.name}
        if not {name for name in inside if not name.startswith(".")} <= set(FOLDERS):
            return entry
    return None


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Let one process at a time into the block; another waits, and says so in one line. It must not be nested.

    The lock is the operating system's: it goes with the process that held it, however that ended.

    Parameters
    ----------
    name : str
        A data set, or the file at the root that the block changes.

    Raises
    ------
    MedDELError
        The root can't be written.
    """
    path = root() / ".locks" / f"{_plain(name)}.lock"
    guard = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            guard.acquire(timeout=0)
        except Timeout:
            _LOG.warning("another process is at work on %s; waiting until it is done", name)
            guard.acquire(poll_interval=0.1)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield
    finally:
        guard.release()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a refusal of the system to write at `path` into an error that speaks of the root."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error
    except MedDELError as error:
        if isinstance(error.__cause__, OSError):
            raise unwritable(path, error.__cause__) from error
        raise


def unwritable(path: Path, error: OSError) -> MedDELError:
    """Return the error to raise where the system refused to write at `path` below the root."""
    problem = artefacts.unwritable(path, error)
    return MedDELError(problem.what, problem.where, _FIX)


def need(size: int, folder: Path) -> None:
    """Check that `size` bytes fit on the disk of `folder`, which may not exist yet.

    Raises
    ------
    MedDELError
        There is less space.
    """
    place = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if size > free:
        raise MedDELError(f"{size / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB are free", folder, _FIX)


def records(file: str) -> dict[str, Any]:
    """Return the content of a JSON file at the root, empty if there is none.

    Raises
    ------
    MedDELError
        It is damaged.
    """
    path = root() / file
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise MedDELError("this file can't be read", path, "mend it, or delete it to forget what it says") from error
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise MedDELError("this file holds no records", path, "mend it, or delete it to forget what it says")
    return found


def record(file: str, key: str, value: dict[str, Any]) -> None:
    """Set one entry of a JSON file at the root, whatever other processes write to it meanwhile."""
    with lock(file), writing(root() / file):
        artefacts.write_json(root() / file, records(file) | {key: value})


def remove(name: str) -> int:
    """Delete archives, unpacked and prepared files of a set, and return the bytes that this frees.

    What `trusted.json` and `accepted.json` say of the set stays. Files that have another name elsewhere (hard links)
    free nothing.

    Raises
    ------
    MedDELError
        The root isn't meddel's, or the set's folder leads out of it.
    """
    folder = _folder(name)
    if not (root() / _MARKER).is_file():
        raise MedDELError("meddel keeps no data sets here", root(), f"set {VARIABLE} to the folder of the sets")
    parts = [*(folder / part for part in FOLDERS), prepared(name)]
    with lock(name), writing(folder):
        link = next((path for path in (folder, prepared(name).parent, *parts) if path.is_symlink()), None)
        if link is not None:
            raise MedDELError(f"this is a link to {link.readlink()}", link, "delete by hand what it leads to")
        for part in parts:
            # Out of sight first: a set that is half deleted must not look whole.
            if part.is_dir():
                folder.mkdir(exist_ok=True)
                part.rename(Path(tempfile.mkdtemp(prefix=".removed-", dir=folder)) / part.name)
        freed = 0
        for rest in folder.glob(".removed-*"):
            states = [path.lstat() for path in rest.rglob("*") if path.is_symlink() or path.is_file()]
            freed += sum(found.st_size for found in states if found.st_nlink == 1)
            shutil.rmtree(rest)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return freed
