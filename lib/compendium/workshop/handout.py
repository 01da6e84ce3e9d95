"""Write the participants' notebooks: those of ``notebooks/workshop`` without their solutions (``make workshop``).

In a notebook a solution is the last part of a function's body, between two comments::

    def cosine(a, b):
        # solution (1 line)
        return a @ b / np.sqrt((a @ a) * (b @ b))
        # end of solution

The participant's copy says how many lines are expected and raises NotImplementedError::

    def cosine(a, b):
        # your turn: 1 line
        raise NotImplementedError("1 line is expected here")
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat

from compendium import course, notebooks
from meddel import artefacts
from meddel.errors import MedDELError, exit_code

SYLLABI = {"90-minutes": "1345", "half-day": "123457", "day": "123456789"}
"""The numbers of the exercises of each syllabus; TEACHING.md has their timetables."""

_BEGIN = re.compile(r"^(?P<indent> +)# solution \((?P<lines>\d+) lines?\)$")
_END = "# end of solution"


def solutions(syllabus: str | None = None) -> list[Path]:
    """Return the notebooks with the solutions, all or those of a syllabus, in order."""
    found = sorted((notebooks.folder() / "workshop").glob("[0-9][0-9]_*.ipynb"))
    if syllabus is None:
        return found
    if syllabus not in SYLLABI:
        raise MedDELError(f"there is no syllabus {syllabus!r}", fix=f"choose one of {', '.join(SYLLABI)}")
    return [path for path in found if path.name[1] in SYLLABI[syllabus]]


def hand_out(sources: Sequence[Path], out: Path) -> list[Path]:
    """Write the participants' copies of `sources` into `out`, linked in their order; never overwrite one."""
    copies = {out / path.name: without_solutions(path) for path in sources}
    there = next((path for path in copies if path.exists()), None)
    if there is not None:
        raise MedDELError("there is a notebook of that name", there, "give another --out folder")
    for path, text in copies.items():
        artefacts.write_text(path, text)
    course.link(list(copies))
    return list(copies)


def without_solutions(path: Path) -> str:
    """Return a notebook's text with a stub in the place of every solution."""
    book = course.read(path)
    for number, cell in enumerate(book.cells):
        if cell.cell_type == "code":
            cell.source = stubbed(cell.source, f"{path.name}, cell {number}")
    return nbformat.writes(book) + "\n"


def stubbed(source: str, where: str) -> str:
    """Return a cell's source with a stub in the place of every solution; refuse marks that do not fit."""
    kept: list[str] = []
    begun: re.Match[str] | None = None
    solution: list[str] = []
    for line in source.split("\n"):
        begins = _BEGIN.match(line)
        if begun is None and begins:
            begun = begins
        elif begun is None:
            if line.strip() == _END or "# solution" in line:
                raise MedDELError(
                    f"a mark that fits nowhere: {line.strip()!r}", where, "see compendium.workshop.handout"
                )
            kept.append(line)
        elif begins:
            raise MedDELError("a solution begins inside another", where, f"close it with {_END!r}")
        elif line.strip() == _END:
            kept += _stub(begun, solution, where)
            begun, solution = None, []
        else:
            solution.append(line)
    if begun is not None:
        raise MedDELError("a solution without an end", where, f"close it with {_END!r}")
    return "\n".join(kept)


def _stub(begun: re.Match[str], solution: list[str], where: str) -> list[str]:
    """Return the lines that replace a solution."""
    said, found = int(begun["lines"]), sum(bool(line.strip()) for line in solution)
    if said != found or not found:
        raise MedDELError(f"a solution of {found} lines is marked as one of {said}", where, "mend its mark")
    lines, are = ("1 line", "is") if found == 1 else (f"{found} lines", "are")
    indent = begun["indent"]
    return [f"{indent}# your turn: {lines}", f'{indent}raise NotImplementedError("{lines} {are} expected here")']


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem, 130 interrupted."""
    parser = argparse.ArgumentParser("python -m compendium.workshop.handout")
    parser.add_argument("--syllabus", help=f"one of {', '.join(SYLLABI)}; none: all exercises")
    parser.add_argument("--out", type=Path, default=Path("room"), help="folder of the notebooks (default: room)")
    given = parser.parse_args(arguments)
    return exit_code(
        "compendium.workshop.handout", lambda: print(*hand_out(solutions(given.syllabus), given.out), sep="\n")
    )


if __name__ == "__main__":
    sys.exit(main())
