"""The notebooks as a course: in each the way to its neighbours and what it took, and a table of all in the README.

``python -m compendium.contents --out out`` writes both. The links follow from the files' order and titles; time and memory
are those of the finished run in `out`, so that no number is typed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from compendium import runner
from compendium.record import insert
from compendium.workshop import student
from meddel import artefacts, wording
from meddel.artefacts import Provenance
from meddel.errors import MedDELError, exit_code

NAVIGATION = "navigation"
"""Tag of the last cell of a notebook, with the links; a site that has links of its own leaves it out."""

_CLAIM = re.compile(r"\*\*The paper's claim\*\* \(section ([\d.]+)\)")
_TOOK = re.compile(r"`smoke` [^,]*, (?:at most )?\d[\d.]* GiB")


def read(path: Path) -> NotebookNode:
    """Return a notebook.

    Raises
    ------
    MedDELError
        It is none.
    """
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError) as error:
        raise MedDELError("not a notebook", path, "take it from the project again") from error


def title(book: NotebookNode) -> str:
    """Return the first heading of a notebook, or "" if it has none."""
    lines = (line for cell in book.cells if cell.cell_type == "markdown" for line in cell.source.split("\n"))
    return next((line[2:].strip() for line in lines if line.startswith("# ")), "")


def memory_of(made: Provenance) -> str:
    """Return the peak of memory in GiB."""
    return f"{made.peak_memory_bytes / 2**30:.1f} GiB"


def link(notebooks: Sequence[Path]) -> list[Path]:
    """Give each of `notebooks` a last cell with links to the one before and the one after it.

    Returns
    -------
    list of Path
        Those that changed.

    Raises
    ------
    MedDELError
        One can't be read or written.
    """
    books = [read(path) for path in notebooks]
    steps = [f"[{title(book)}]({path.name})" for path, book in zip(notebooks, books, strict=True)]
    changed = []
    for number, (path, book) in enumerate(zip(notebooks, books, strict=True)):
        before = [f"← {steps[number - 1]}"] if number else []
        after = [f"{steps[number + 1]} →"] if number + 1 < len(steps) else []
        book.cells = [cell for cell in book.cells if NAVIGATION not in cell.metadata.get("tags", [])]
        cell = nbformat.v4.new_markdown_cell(" · ".join(before + after), id=str(len(book.cells)))
        cell.metadata["tags"] = [NAVIGATION]
        book.cells.append(cell)
        changed += [path] if _write(path, book) else []
    return changed


def tell_costs(notebooks: Sequence[Path], out: Path) -> list[Path]:
    """Write into each of `notebooks` what it took in the run in `out`: where it says ``smoke`` with a time and a peak.

    Returns
    -------
    list of Path
        Those that changed.

    Raises
    ------
    MedDELError
        The run is not finished, or one can't be read or written.
    """
    changed = []
    for path in notebooks:
        book, made = read(path), _made(path, out)
        for cell in book.cells:
            if cell.cell_type == "markdown" and "**Time and memory**" in cell.source:
                cell.source = _TOOK.sub(f"`smoke` {wording.duration(made.seconds)}, {memory_of(made)}", cell.source)
        changed += [path] if _write(path, book) else []
    return changed


def table(notebooks: Sequence[Path], out: Path) -> str:
    """Return the README's table of `notebooks`: name with link, section, title, and what it took in the run in `out`.

    Raises
    ------
    MedDELError
        The run is not finished, or a notebook can't be read.
    """
    rows = ["| notebook | section | what it does | `smoke` | memory |", "| --- | --- | --- | ---: | ---: |"]
    for path in notebooks:
        book, made = read(path), _made(path, out)
        cells = (
            f"[{path.stem}](notebooks/{path.name})",
            _section(book),
            title(book),
            wording.duration(made.seconds),
            memory_of(made),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _section(book: NotebookNode) -> str:
    """Return the section of the paper whose claim the notebook is about, a dash if it says none."""
    found = next((match for cell in book.cells if (match := _CLAIM.search(cell.source))), None)
    return found[1] if found else "–"


def _made(notebook: Path, out: Path) -> Provenance:
    made = artefacts.read_provenance(out / "notebooks" / f"{notebook.stem}.html")
    if made is None:
        raise MedDELError(f"{notebook.stem} has not been run", out, "run make study first")
    if made.parameters.get("profile") != "smoke" or made.parameters.get("data"):
        raise MedDELError("the run is not of the profile smoke on generated images", out, "give the --out of one")
    return made


def _write(path: Path, book: NotebookNode) -> bool:
    """Write `book` unless it is what the file holds already; say whether it was written."""
    text = nbformat.writes(book).rstrip("\n") + "\n"
    if text == path.read_text(encoding="utf-8"):
        return False
    artefacts.write_text(path, text)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem said in one line, 130 interrupted."""
    parser = argparse.ArgumentParser("python -m compendium.contents", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder of a finished run in smoke, for the costs; none: links only")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="gets the table (default: README.md)")
    given = parser.parse_args(arguments)
    return exit_code("compendium.contents", lambda: _write_all(given.out, given.readme))


def _write_all(out: Path | None, readme: Path) -> None:
    """Write links, and what a run in `out` took if there is one."""
    own = runner.notebooks()
    changed = link(own) + link(sorted(student.folder().glob("[0-9][0-9]_*.ipynb")))
    if out is not None:
        changed += tell_costs(own, out)
        artefacts.write_text(readme, insert(readme.read_text(encoding="utf-8"), "notebooks", table(own, out)))
    print(f"{len(set(changed))} notebooks changed")


if __name__ == "__main__":
    sys.exit(main())
