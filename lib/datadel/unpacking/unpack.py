"""Unpack archives that strangers made: whole or not at all, never outside the folder, archives in archives included.

A finished folder holds a stamp, ``.unpacked.json``: which archive it came from, which files, what was left out.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from datadel.unpacking.kinds import archive_kind
from datadel.unpacking.limits import Limits, Meter
from datadel.unpacking.rars import unpack_rar
from datadel.unpacking.sink import STAMP, Sink, Source
from datadel.unpacking.tars import unpack_tar
from datadel.unpacking.zips import unpack_zip
from meddel import artefacts
from meddel.artefacts import unwritable
from meddel.errors import MedDELError
from meddel.progress import progress

_DEFAULT_LIMITS = Limits()
_EDGE_BYTES = 1 << 16


class _Stamp(BaseModel):
    """What the stamp holds: the archive, the sizes of the files that were written, the names that weren't wanted."""

    archive: str
    size: int
    edges: str
    sha256: str | None
    files: dict[str, int]
    left_out: list[str]


def unpack(
    archive: Path,
    folder: Path,
    *,
    limits: Limits = _DEFAULT_LIMITS,
    wanted: Callable[[str], bool] | None = None,
    sha256: str | None = None,
) -> list[Path]:
    """Unpack a zip, tar (plain, gz, bz2, xz) or RAR archive, and the archives inside it, into a folder.

    An inner ``a/b.tar.gz`` becomes the folder ``a/b``. Files that systems leave behind (``__MACOSX``, ``.DS_Store``,
    ``._*``, ``Thumbs.db``) are passed over, and so are empty folders. Files get ordinary rights and the present time.

    Parameters
    ----------
    archive : Path
        Its kind is told by its content.
    folder : Path
        New, empty, or unpacked earlier. Work goes on in a hidden folder beside it that takes its name at the end.
    limits : Limits
        Against bombs; the defaults admit sets of hundreds of gigabytes.
    wanted : callable or None
        Tells of a file's path below `folder`, with forward slashes, whether to write it. It isn't asked of inner
        archives, which are always opened.
    sha256 : str or None
        Of the archive, if it is known; it goes into the stamp.

    Returns
    -------
    list of Path
        The files that were written, sorted by name. If `folder` holds just them already, nothing is done.

    Raises
    ------
    MedDELError
        The archive is missing, of another kind, cut off, damaged, encrypted, hostile or a bomb, the disk is full, or
        `folder` holds something else. Nothing is left of what was begun.
    """
    archive, folder = Path(archive).expanduser(), Path(folder).expanduser().resolve()
    try:
        size, edges = archive.stat().st_size, _hash_of_edges(archive)
        kind = archive_kind(archive)
    except OSError as error:
        raise MedDELError(f"can't read the archive: {error.strerror}", archive, "fetch it") from error
    if kind is None:
        raise MedDELError("no zip, tar or RAR archive", archive, "fetch it again; the source may have sent a web page")
    stamp = _Stamp(archive=archive.name, size=size, edges=edges, sha256=sha256, files={}, left_out=[])
    found = _finished(folder, stamp, wanted)
    if found is None:
        with _workplace(folder) as place:
            stamp = _unpack_into(place, archive, stamp, limits, wanted)
            _put_in_place(place / "tree", folder)
        found = stamp
    return [folder / name for name in sorted(found.files)]


def _unpack_into(
    place: Path, archive: Path, stamp: _Stamp, limits: Limits, wanted: Callable[[str], bool] | None
) -> _Stamp:
    tree, inner = place / "tree", place / "inner"
    tree.mkdir()
    inner.mkdir()
    with progress(what=f"unpack {archive.name}", total=stamp.size, unit="B") as bar:
        sink = Sink(tree, inner, Meter(limits, archive, place, bar), wanted)
        waiting = [Source(archive, str(archive), "", 0)]
        while waiting:
            source = waiting.pop()
            _unpack_one(source, sink)
            if source.depth:
                source.path.unlink()
            waiting += sink.found
            sink.found.clear()
    stamp = stamp.model_copy(update={"files": sink.files, "left_out": sink.left_out})
    artefacts.write_text(tree / STAMP, stamp.model_dump_json() + "\n")
    return stamp


def _unpack_one(source: Source, sink: Sink) -> None:
    kind = archive_kind(source.path)
    if kind == "zip":
        unpack_zip(source, sink)
    elif kind == "rar":
        unpack_rar(source, sink)
    else:
        unpack_tar(source, sink, None if kind == "tar" else kind)


def _hash_of_edges(path: Path) -> str:
    """The SHA-256 of a file's first and last bytes, where archives keep their tables of contents and check sums."""
    with path.open("rb") as stream:
        first = stream.read(_EDGE_BYTES)
        stream.seek(max(0, path.stat().st_size - _EDGE_BYTES))
        return hashlib.sha256(first + stream.read()).hexdigest()


def _finished(folder: Path, stamp: _Stamp, wanted: Callable[[str], bool] | None) -> _Stamp | None:
    """The stamp in `folder` if it tells of the same archive and wishes, and all its files are there."""
    try:
        found = _Stamp.model_validate_json((folder / STAMP).read_bytes())
        if (found.archive, found.size, found.edges) != (stamp.archive, stamp.size, stamp.edges):
            return None
        if stamp.sha256 and found.sha256 and stamp.sha256 != found.sha256:
            return None
        if any(os.stat(folder / name).st_size != size for name, size in found.files.items()):
            return None
    except (OSError, ValueError):
        return None
    if wanted is None:
        return found if not found.left_out else None
    return found if all(map(wanted, found.files)) and not any(map(wanted, found.left_out)) else None


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """Make a hidden folder beside `folder`, on the same disk, that is this process's alone and goes at the end."""
    if folder.exists() and not (folder / STAMP).exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise MedDELError("the folder holds something else", folder, "move it away or give another folder")
    place = folder.with_name(f".{folder.name}.part")
    try:
        place.mkdir(parents=True, exist_ok=True)
        handle = os.open(place, os.O_RDONLY)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MedDELError("another process is unpacking here", folder, "wait until it ends") from error
        try:
            _empty(place)
            yield place
        except OSError as error:
            raise unwritable(folder, error) from error
        finally:
            shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(handle)


def _empty(folder: Path) -> None:
    """Remove what a process left that was killed."""
    for path in folder.iterdir():
        shutil.rmtree(path)


def _put_in_place(tree: Path, folder: Path) -> None:
    """Give `tree` the name `folder`; what was unpacked there earlier goes with the workplace."""
    if folder.exists():
        os.replace(folder, tree.with_name("old"))
    os.replace(tree, folder)
