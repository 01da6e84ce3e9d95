"""What kind of archive a file is, told by its first bytes."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Literal

Kind = Literal["zip", "rar", "gz", "bz2", "xz", "tar"]

_BEGINNINGS: dict[bytes, Kind] = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"Rar!\x1a\x07\x00": "rar",
    b"Rar!\x1a\x07\x01\x00": "rar",
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
}


def archive_kind(path: Path) -> Kind | None:
    """Return the kind of an archive whatever its name, or None if it is none that can be read.

    Raises
    ------
    OSError
        The file can't be read.
    """
    with path.open("rb") as stream:
        first = stream.read(tarfile.BLOCKSIZE)
    for beginning, kind in _BEGINNINGS.items():
        if first.startswith(beginning):
            return kind
    try:
        tarfile.TarInfo.frombuf(first, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return "tar"
