"""Read a kept-list that a participant uploads: the CSV of ``meddel select``, or just ids or paths, one a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import PurePosixPath

from meddel.errors import MedDELError

MAX_BYTES = 1_000_000
_COLUMNS = ("id", "path")
_LONGEST = 60


def read(content: bytes, ids: Sequence[str]) -> list[str]:
    """Return the ids that a list keeps, sorted.

    Parameters
    ----------
    content : bytes
        CSV in UTF-8. With a header, the column ``id`` counts, or else ``path``; without one, the first column holds ids
        or paths. A path is known by its last parts, ``<source>/images/<name>.jpg``, in whatever folder that lies.
    ids : sequence of str
        The pool.

    Raises
    ------
    MedDELError
        The list is too large, no text, no CSV, empty, or a line holds an id that is unknown or was there before.
    """
    known = frozenset(ids)
    found: dict[str, int] = {}
    for number, cell in _cells(content, known):
        name = _id_of(cell, known)
        if name is None:
            raise MedDELError(
                f"{_short(cell)} is no image of the pool", f"line {number}", "give the pool's ids or paths"
            )
        if name in found:
            where = f"lines {found[name]} and {number}"
            raise MedDELError(f"{_short(name)} is kept twice", where, "give each image once")
        found[name] = number
    if not found:
        raise MedDELError("the list keeps no image", fix="give at least one id")
    return sorted(found)


def _cells(content: bytes, known: frozenset[str]) -> list[tuple[int, str]]:
    """Return the line number and the text of each id or path."""
    if len(content) > MAX_BYTES:
        raise MedDELError(f"the list has more than {MAX_BYTES:,} bytes", fix="upload ids only")
    try:
        text = content.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text), strict=True)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except UnicodeDecodeError as error:
        raise MedDELError("the list is no text in UTF-8", fix="save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise MedDELError(f"the list is no CSV: {error}", fix="upload the file as meddel select writes it") from error
    if not rows:
        raise MedDELError("the list is empty", fix="give at least one id")
    first = [cell.strip().lower() for cell in rows[0][1]]
    column = next((first.index(name) for name in _COLUMNS if name in first), None)
    if column is not None:
        rows = rows[1:]
    elif _id_of(rows[0][1][0], known) is None:
        raise MedDELError(f"no column id or path, but {_short(rows[0][1][0])}", "line 1", "name one id or path")
    place = column or 0
    short = next((number for number, row in rows if len(row) <= place), None)
    if short is not None:
        raise MedDELError(f"a line with fewer than {place + 1} cells", f"line {short}", "give every line an id")
    return [(number, row[place].strip()) for number, row in rows]


def _id_of(cell: str, known: frozenset[str]) -> str | None:
    """Return the id that a cell names, by itself or as a path."""
    text = cell.strip().replace("\\", "/")
    if text in known:
        return text
    path = PurePosixPath(text)
    folders = [part for part in path.parent.parts if part != "images"]
    name = f"{folders[-1]}/{path.stem}" if folders else ""
    return name if name in known else None


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
