"""Find data sets on the disk: what exists of each, the lock that keeps two processes apart, and what may be deleted.

Below the root each set has a folder with ``archives`` and ``extracted``; ``prepared`` has a folder for each prepared
set, so that all can be run on together. Nothing is deleted in a root without the marker file.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from datadel.manifest import Archive, Manifest
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.store import locked

VARIABLE = "MEDDEL_DATA"
_MARKER = ".meddel-data"
_FIX = f"free some space or set {VARIABLE} to another folder"


class CachedFile(NamedTuple):
    """An archive, how much of it is in the cache, and its bytes there; what is partial can be resumed."""

    archive: Archive
    status: Literal["missing", "partial", "fetched"]
    size: int


def root() -> Path:
    """Return the folder of all data sets: ``MEDDEL_DATA``, or else ``meddel`` in the system's cache folder."""
    system = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get(VARIABLE) or system / "meddel").expanduser().absolute()


def archives(name: str) -> Path:
    """Return the folder of a set's archives."""
    return root() / name / "archives"


def extracted(name: str) -> Path:
    """Return the folder of a set's unpacked archives."""
    return root() / name / "extracted"


def prepared(name: str) -> Path:
    """Return the folder of a set as the library reads it."""
    return root() / "prepared" / name


def archive_path(name: str, archive: Archive) -> Path:
    """Return the path of a whole archive of the set `name`."""
    return archives(name) / archive.name


def part_path(name: str, archive: Archive) -> Path:
    """Return the path of an archive that has not been fetched to its end."""
    return archives(name) / f"{archive.name}.part"


def cached(manifest: Manifest) -> list[CachedFile]:
    """Return what is in the cache of each archive of a set. No file is read."""
    found = []
    for archive in manifest.archives:
        whole, part = archive_path(manifest.name, archive), part_path(manifest.name, archive)
        if whole.is_file():
            found.append(CachedFile(archive, "fetched", whole.stat().st_size))
        elif part.is_file():
            found.append(CachedFile(archive, "partial", part.stat().st_size))
        else:
            found.append(CachedFile(archive, "missing", 0))
    return found


def claim() -> Path:
    """Make the root and mark it as one; refuse a folder that holds other things."""
    folder = root()
    if (folder / _MARKER).is_file():
        return folder
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        strangers = [path for path in folder.iterdir() if path.name[0] != "." and path.name != "lost+found"]
        if strangers:
            raise MedDELError(
                "this folder holds other things", strangers[0], f"set {VARIABLE} to a new or empty folder"
            )
        artefacts.write_text(folder / _MARKER, "meddel keeps data sets here\n")
    return folder


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Let one process at a time work on a data set, or on the record `name` at the root."""
    path = root() / ".locks" / name
    with ExitStack() as stack:
        with writing(path):
            stack.enter_context(locked(path))
        yield


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a refusal of the system to write at `path` into an error that names the cache's variable."""
    try:
        yield
    except OSError as error:
        problem = artefacts.unwritable(path, error)
        raise MedDELError(problem.what, path, _FIX) from error
    except MedDELError as error:
        if isinstance(error.__cause__, OSError):
            raise MedDELError(error.what, path, _FIX) from error.__cause__
        raise


def need(size: int, folder: Path) -> None:
    """Check that `size` bytes are free on the disk of `folder`, which may not exist yet."""
    place = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if size > free:
        raise MedDELError(f"{size / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB are free", folder, _FIX)


def records(file: str) -> dict[str, Any]:
    """Return the content of a JSON file at the root, empty if there is none."""
    path = root() / file
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise MedDELError("this file holds no records", path, "mend it, or delete it to forget what it says")
    return found


def record(file: str, key: str, value: dict[str, Any]) -> None:
    """Set one entry of a JSON file at the root, whatever other processes write to it meanwhile."""
    with lock(file), writing(root() / file):
        artefacts.write_json(root() / file, records(file) | {key: value})


def remove(name: str) -> int:
    """Delete archives, unpacked and prepared files of a set, and return the bytes that this frees.

    The records of its hashes and its licence are kept. A file that has another name elsewhere (a hard link) frees
    nothing. What is a link to another place is refused.
    """
    folder = root() / name
    if not (root() / _MARKER).is_file():
        raise MedDELError("meddel keeps no data sets here", root(), f"set {VARIABLE} to the folder of the sets")
    parts = [archives(name), extracted(name), prepared(name)]
    with lock(name), writing(folder):
        for path in (folder, prepared(name).parent, *parts):
            if path.is_symlink():
                raise MedDELError(f"this is a link to {path.readlink()}", path, "delete by hand what it leads to")
        for part in parts:
            # Renamed first: a set that is half deleted must not look whole.
            if part.is_dir():
                folder.mkdir(exist_ok=True)
                part.rename(Path(tempfile.mkdtemp(prefix=".removed-", dir=folder)) / part.name)
        files = [path for path in folder.glob(".removed-*/**/*") if path.is_symlink() or path.is_file()]
        freed = sum(path.lstat().st_size for path in files if path.lstat().st_nlink == 1)
        for rest in folder.glob(".removed-*"):
            shutil.rmtree(rest)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return freed
