"""The notebooks as a course: links from each to its neighbours, and what each took.

``python -m compendium.course --out out`` writes both into the notebooks; the costs are those of a finished run.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from compendium import notebooks
from meddel import artefacts, wording
from meddel.artefacts import Provenance
from meddel.errors import MedDELError, exit_code

NAVIGATION = "navigation"
"""Tag of a notebook's last cell, which links to its neighbours."""
_TOOK = re.compile(r"`smoke` [^,]*, (?:at most )?\d[\d.]* GiB")


def read(path: Path) -> NotebookNode:
    """Return a notebook."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError) as error:
        raise MedDELError("not a notebook", path, "take it from the project again") from error


def title(book: NotebookNode) -> str:
    """Return the first heading of a notebook, or "" if it has none."""
    lines = (line for cell in book.cells if cell.cell_type == "markdown" for line in cell.source.split("\n"))
    return next((line[2:].strip() for line in lines if line.startswith("# ")), "")


def costs(made: Provenance) -> tuple[str, str]:
    """Return time and peak memory as text."""
    return wording.duration(made.seconds), f"{made.peak_memory_bytes / 2**30:.1f} GiB"


def link(paths: Sequence[Path]) -> list[Path]:
    """Give each notebook a last cell with links to the one before and the one after it; return those that changed."""
    books = [read(path) for path in paths]
    names, changed = [title(book) for book in books], []

    def step(place: int, path: Path) -> str:
        return f"[{names[place]}]({os.path.relpath(paths[place], path.parent)})"

    for number, (path, book) in enumerate(zip(paths, books, strict=True)):
        before = [f"← {step(number - 1, path)}"] if number else []
        after = [f"{step(number + 1, path)} →"] if number + 1 < len(paths) else []
        book.cells = [cell for cell in book.cells if NAVIGATION not in cell.metadata.get("tags", [])]
        cell = nbformat.v4.new_markdown_cell(" · ".join(before + after), id=str(len(book.cells)))
        cell.metadata["tags"] = [NAVIGATION]
        book.cells.append(cell)
        changed += [path] if _write(path, book) else []
    return changed


def tell_costs(paths: Sequence[Path], out: Path) -> list[Path]:
    """Write into each notebook what it took in the smoke run in `out`; return those that changed."""
    changed = []
    for path in paths:
        book, took = read(path), costs(_made(path, out))
        for cell in book.cells:
            if cell.cell_type == "markdown" and "**Time and memory**" in cell.source:
                cell.source = _TOOK.sub(f"`smoke` {took[0]}, {took[1]}", cell.source)
        changed += [path] if _write(path, book) else []
    return changed


def _made(notebook: Path, out: Path) -> Provenance:
    made = artefacts.read_provenance(out / "notebooks" / f"{notebook.stem}.html")
    if made is None:
        raise MedDELError(f"{notebook.stem} has not been run", out, "run make study first")
    if made.parameters.get("profile") != "smoke" or made.parameters.get("data"):
        raise MedDELError("the run is not of the profile smoke on generated images", out, "give the --out of one")
    return made


def _write(path: Path, book: NotebookNode) -> bool:
    """Write `book` unless it is what the file has already; return whether it was written."""
    text = nbformat.writes(book).rstrip("\n") + "\n"
    if text == path.read_text(encoding="utf-8"):
        return False
    artefacts.write_text(path, text)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Write the links, and the costs of a run if one is given; return the exit code."""
    parser = argparse.ArgumentParser("python -m compendium.course", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder of a finished run in smoke, for the costs; none: links only")
    out = parser.parse_args(arguments).out

    def write() -> None:
        own = notebooks.chosen()
        changed = link(own) + link(sorted((notebooks.folder() / "workshop").glob("[0-9][0-9]_*.ipynb")))
        changed += [] if out is None else tell_costs(own, out)
        print(f"{len(set(changed))} notebooks changed")

    return exit_code("compendium.course", write)


if __name__ == "__main__":
    sys.exit(main())
