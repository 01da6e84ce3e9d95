"""Take the members of an archive from a stranger: safe names only, no links, and no more bytes than are allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from datadel import cache
from meddel.errors import MedDELError

MAX_BYTES, MAX_MEMBERS = 10**12, 2_000_000  # of an archive and those inside it
MAX_RATIO, RATIO_FROM = 100, 4 << 30  # unpacked bytes for each packed one: masks shrink 1000 times and are no bomb
_MAX_PART_BYTES, _MAX_NAME_BYTES = 255, 1000
_RUBBISH = {"__MACOSX", ".DS_Store", "Thumbs.db"}
_DONT = "don't use this archive; ask its source for another"


class Member(NamedTuple):
    """A member as an archive declares it; `size` is its unpacked bytes."""

    name: str
    size: int
    kind: Literal["file", "folder", "other"]
    encrypted: bool = False


def damaged(where: str) -> MedDELError:
    """Return the error to raise where an archive ends too early or its check sums don't hold."""
    return MedDELError("the archive is cut off or damaged", where, "fetch it again")


def encrypted(where: str) -> MedDELError:
    """Return the error to raise where a password is needed."""
    return MedDELError("the archive is encrypted", where, "ask its source for the password and unpack it by hand")


def safe_name(name: str, where: str) -> str | None:
    """Return a member's name as a relative path with forward slashes, or None if it is what a system left behind.

    A backslash separates folders as a slash does, since some programs for Windows write it.
    """
    name = name.encode("utf-8", "xmlcharrefreplace").decode()
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    too_long = len(name.encode()) > _MAX_NAME_BYTES or any(len(part.encode()) > _MAX_PART_BYTES for part in parts)
    if too_long or "\0" in name or ".." in parts or re.match(r"[/\\]|[A-Za-z]:", name):
        raise MedDELError("the name of a member leads out of the folder or is no file name", where, _DONT)
    if not parts or _RUBBISH.intersection(parts) or parts[-1].startswith("._"):
        return None
    return "/".join(parts)


class Destination:
    """A folder that takes members, and counts what they declare; `packed` is the size of the outermost archive."""

    def __init__(self, folder: Path, packed: int) -> None:
        self.folder = folder
        self.inside = ""  # prefix of the members of the archive that is read now, such as "a/b/"
        self.files: set[str] = set()
        self.taken: list[tuple[str, str]] = []  # the files of this archive, and how messages call them
        self._folders: set[str] = set()
        self._packed, self._unpacked, self._members = packed, 0, 0

    def admit(self, size: int, members: int, label: str) -> None:
        """Check that so many more bytes and members are within the limits, and that the disk has room."""
        allowed, total = min(MAX_BYTES, max(RATIO_FROM, MAX_RATIO * self._packed)), self._unpacked + size
        if self._members + members > MAX_MEMBERS:
            raise MedDELError(f"the archive has more than {MAX_MEMBERS:,} members", label, _DONT)
        if total > allowed:
            what = f"the archive of {self._packed:,} bytes unpacks to {total:,}, more than {allowed:,}"
            raise MedDELError(what, label, "don't use this archive; it may be a bomb")
        cache.need(size, self.folder)

    @contextmanager
    def receive(self, member: Member, label: str) -> Iterator[Callable[[Any], None] | None]:
        """Open the file of a member and yield what takes its bytes; None if it is a folder or rubbish."""
        where = f"{label}: {member.name!r}"
        size = member.size if member.kind == "file" else 0
        self.admit(size, 1, label)
        self._unpacked += size
        self._members += 1
        name = safe_name(member.name, where)
        if member.kind == "other":
            raise MedDELError("a member is a link, a device or a pipe", where, _DONT)
        if name is None or member.kind == "folder":
            yield None
            return
        if member.encrypted:
            raise encrypted(where)
        path, count = self._claim(f"{self.inside}{name}", where), 0

        def put(chunk: Any) -> None:
            nonlocal count
            count += len(chunk)
            if count > size:
                raise MedDELError(f"a member holds more than the {size:,} bytes that it declares", where, _DONT)
            file.write(chunk)

        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            yield put
        if count != size:
            raise damaged(where)

    def _claim(self, name: str, where: str) -> Path:
        """Note a file's name, which no other file and no folder may have."""
        parts = name.split("/")
        above = {"/".join(parts[:end]) for end in range(1, len(parts))}
        if name in self.files or name in self._folders or above & self.files:
            raise MedDELError("two members have the same name", where, "ask the archive's source for another")
        self._folders |= above
        self.files.add(name)
        self.taken.append((name, where))
        return self.folder / name
