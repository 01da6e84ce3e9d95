"""Where the members of archives go, of whatever kind the archive is, and their bytes on the way to the disk."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from datadel.unpacking import names
from datadel.unpacking.kinds import archive_kind
from datadel.unpacking.limits import Meter
from meddel.artefacts import unwritable
from meddel.errors import MedDELError

CHUNK = 1 << 20
STAMP = ".unpacked.json"


class Source(NamedTuple):
    """An archive that is read: its file, its name for messages, the folder (or "") of its members, its depth."""

    path: Path
    label: str
    folder: str
    depth: int


class Member(NamedTuple):
    """What an archive declares of a member, its name as it stands there; `size` in bytes, unpacked."""

    name: str
    size: int
    kind: Literal["file", "folder", "other"]
    encrypted: bool = False


class Place(NamedTuple):
    """Where a member goes: the file that is written, its name below the folder, the folder if it is an archive."""

    path: Path
    name: str
    size: int
    where: str
    inner: str | None


class Stopped(Exception):
    """Another thread failed, or a person interrupted."""


def kind_of_mode(mode: int, folder: bool) -> Literal["file", "folder", "other"]:
    """Return the kind of a member from its Unix file type, 0 where the archive was made elsewhere."""
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "other"
    return "folder" if folder or stat.S_ISDIR(mode) else "file"


def damaged(where: str) -> MedDELError:
    """Return the error to raise where an archive ends too early or its check sums don't hold."""
    return MedDELError("the archive is cut off or damaged", where, "fetch it again")


def encrypted(where: str) -> MedDELError:
    """Return the error to raise where a password is wanted."""
    return MedDELError("the archive is encrypted", where, "ask its source for the password and unpack it by hand")


@contextmanager
def reading(source: Source, broken: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn the errors `broken`, and those of the disk that `source` lies on, into one line.

    Raises
    ------
    MedDELError
        The archive is damaged or can't be read.
    """
    try:
        yield
    except broken as error:
        raise damaged(source.label) from error
    except OSError as error:
        if error.errno is None:
            raise damaged(source.label) from error
        raise MedDELError(
            f"can't read: {error.strerror}", source.label, "check the disk and the file's rights"
        ) from error


def in_threads(work: Callable[[], None], threads: int, stop: threading.Event) -> None:
    """Run `work` in several threads at once and raise the first error; `stop` is set then, and at an interruption.

    No thread is at work any more when this returns or raises. A pool can't promise that: an interruption while it
    starts a thread makes it forget the thread.
    """
    state = threading.Condition()
    errors: list[BaseException] = []
    running = ended = 0

    def guarded() -> None:
        nonlocal running, ended
        with state:
            running += 1
            stopped = stop.is_set()
        try:
            if not stopped:
                work()
        except BaseException as error:
            errors.append(error)
            stop.set()
        finally:
            with state:
                running, ended = running - 1, ended + 1
                state.notify_all()

    try:
        for _ in range(threads):
            threading.Thread(target=guarded, daemon=True).start()
        with state:
            state.wait_for(lambda: ended == threads)
    except BaseException:
        stop.set()
        with state:
            state.wait_for(lambda: running == 0)
        raise
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error


class Sink:
    """Decides for each member where it goes, and remembers what was written, left out and found to be an archive.

    Parameters
    ----------
    tree : Path
        The folder that is filled.
    inner : Path
        A folder for archives inside archives until they are unpacked too.
    meter : Meter
        Counts against the limits.
    wanted : callable or None
        Tells of a file's name below the folder, with forward slashes, whether it is wanted; None wants all.
    """

    def __init__(self, tree: Path, inner: Path, meter: Meter, wanted: Callable[[str], bool] | None) -> None:
        self.meter, self.wants_all = meter, wanted is None
        self.files: dict[str, int] = {}
        self.left_out: list[str] = []
        self.found: list[Source] = []
        self._tree, self._inner, self._wanted, self._count = tree, inner, wanted, 0
        self._folders: set[str] = set()

    def place(self, source: Source, member: Member) -> Place | None:
        """Return where a member goes, or None if it is a folder, rubbish or not wanted.

        Raises
        ------
        MedDELError
            The member is hostile or encrypted, its name is taken, or archives are nested too deep.
        """
        where = f"{source.label}: {member.name!r}"
        name = names.clean(member.name, where)
        if name is None:
            return None
        if member.kind == "other":
            said = "a member is a link, a device or a pipe"
            raise MedDELError(said, where, "don't use this archive; ask its source for another")
        name = f"{source.folder}/{name}" if source.folder else name
        if member.kind == "folder" or name.split("/")[0] == STAMP:
            return None
        inner = names.folder_of_inner(name)
        if inner is None and not self._wants(name):
            return None
        if member.encrypted:
            raise encrypted(where)
        if inner is None:
            return Place(self._claim(name, member.size, where), name, member.size, where, None)
        if source.depth >= self.meter.limits.depth:
            said = f"archives inside archives, more than {self.meter.limits.depth} deep"
            raise MedDELError(said, where, "fetch it again; if it is no bomb, widen the Limits of unpack")
        self._count += 1
        return Place(self._inner / str(self._count), name, member.size, where, inner)

    def finish(self, source: Source, place: Place) -> None:
        """Note a member that was written: an archive is unpacked later, what only bears the name of one is a file.

        Raises
        ------
        MedDELError
            Its name is taken.
        """
        if place.inner is None:
            return
        if archive_kind(place.path) is not None:
            self.found.append(Source(place.path, place.where, place.inner, source.depth + 1))
            self.meter.expect(place.size)
        elif self._wants(place.name):
            target = self._claim(place.name, place.size, place.where)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(place.path, target)
        else:
            place.path.unlink()

    def receiver(self, place: Place) -> Receiver:
        """Return the new file that takes a member's bytes."""
        return Receiver(place, self.meter.stop)

    def _wants(self, name: str) -> bool:
        wanted = self._wanted is None or self._wanted(name)
        if not wanted:
            self.left_out.append(name)
        return wanted

    def _claim(self, name: str, size: int, where: str) -> Path:
        """Note a file's name, which no other file and no folder may have."""
        parts = name.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        if name in self.files or name in self._folders or any(folder in self.files for folder in above):
            raise MedDELError("two members have the same name", where, "ask the archive's source for another")
        self._folders.update(above)
        self.files[name] = size
        return self._tree / name


class Receiver:
    """A new file that takes a member's bytes, no more and no fewer than were declared; use it in a ``with``."""

    def __init__(self, place: Place, stop: threading.Event) -> None:
        self._place, self._stop, self._taken = place, stop, 0

    def __enter__(self) -> Callable[[Any], None]:
        try:
            self._place.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._place.path.open("xb", buffering=0)
        except OSError as error:
            raise unwritable(self._place.path, error) from error
        return self._put

    def _put(self, chunk: Any) -> None:
        if self._stop.is_set():
            raise Stopped
        rest = memoryview(chunk)
        self._taken += len(rest)
        if self._taken > self._place.size:
            said = f"a member holds more than the {self._place.size:,} bytes that it declares"
            raise MedDELError(said, self._place.where, "don't use this archive; ask its source for another")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise unwritable(self._place.path, error) from error

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self._file.close()
        if kind is None and self._taken != self._place.size:
            raise damaged(self._place.where)
