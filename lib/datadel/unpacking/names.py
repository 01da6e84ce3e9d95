"""Names inside archives: which are safe, which are rubbish that a system left there, which are archives again."""

from __future__ import annotations

import re

from meddel.errors import MedDELError

MAX_PART_BYTES, MAX_NAME_BYTES = 255, 1000
_RUBBISH = {"__MACOSX", ".DS_Store", "Thumbs.db"}
_LONE = re.compile("[\\ud800-\\udc7f\\udd00-\\udfff]")
_ARCHIVES = re.compile(r"(.+)\.(?:tar\.gz|tar\.bz2|tar\.xz|tgz|tar|zip|rar)", re.IGNORECASE | re.DOTALL)


def clean(name: str, where: str) -> str | None:
    r"""Return a member's name as a relative path with forward slashes, or None if it is rubbish to pass over.

    Parameters
    ----------
    name : str
        As the archive has it; a backslash separates folders as a slash does, since some programs for Windows write it.
    where : str
        Archive and member, for the error.

    Raises
    ------
    MedDELError
        The name leads out of the folder, holds a NUL, or is longer than a disk takes.
    """
    name = _text(name)
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    reason = None
    if "\0" in name:
        reason = "holds a NUL"
    elif name[:1] in ("/", "\\"):
        reason = "is an absolute path"
    elif re.match("[A-Za-z]:", name):
        reason = "begins with a drive letter"
    elif ".." in parts:
        reason = "leads out of the folder"
    elif len(name.encode()) > MAX_NAME_BYTES or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        reason = f"is longer than {MAX_NAME_BYTES} bytes, or a part of it than {MAX_PART_BYTES}"
    if reason:
        raise MedDELError(f"the name of a member {reason}", where, "don't use this archive; ask its source for another")
    if not parts or _RUBBISH.intersection(parts) or parts[-1].startswith("._"):
        return None
    return "/".join(parts)


def _text(name: str) -> str:
    """A name that can be written as UTF-8; what stands for bytes that aren't is read as Latin-1."""
    try:
        return name.encode().decode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape" if not _LONE.search(name) else "replace").decode("latin-1")


def folder_of_inner(name: str) -> str | None:
    """Return the folder that an archive inside an archive becomes, or None if the name is not one of an archive."""
    matched = _ARCHIVES.fullmatch(name)
    if matched is None or matched[1].split("/")[-1] in ("", ".", ".."):
        return None
    return matched[1]
