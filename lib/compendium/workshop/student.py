"""Make the participants' copies of the notebooks: the same notebooks without the solutions.

In a notebook a solution is the last part of a function's body, between two comments::

    def cosine(a, b):
        # solution (1 line)
        return a @ b / np.sqrt((a @ a) * (b @ b))
        # end of solution

The copy says how many lines are expected and raises NotImplementedError::

    def cosine(a, b):
        # your turn: 1 line
        raise NotImplementedError("1 line is expected here")
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from meddel import artefacts
from meddel.errors import MedDELError

_BEGIN = re.compile(r"^(?P<indent> +)# solution \((?P<lines>\d+) lines?\)$")
_END = "# end of solution"


def folder() -> Path:
    """Return the folder of the solutions, from the installed package or from the source tree.

    Raises
    ------
    MedDELError
        Neither place has it.
    """
    package = Path(__file__).resolve().parents[1]
    for notebooks in (package / "notebooks", package.parents[1] / "notebooks"):
        if (notebooks / "workshop").is_dir():
            return notebooks / "workshop"
    raise MedDELError("the notebooks of the workshop are missing", package, "install meddel again")


def stubbed(source: str, where: str) -> str:
    """Return a cell's source with a stub in the place of every solution.

    Parameters
    ----------
    source : str
        Python.
    where : str
        Which cell it is, for errors.

    Raises
    ------
    MedDELError
        A mark has no counterpart, or a solution has another number of lines than its mark says.
    """
    kept: list[str] = []
    begun: re.Match[str] | None = None
    solution: list[str] = []
    for line in source.split("\n"):
        begins = _BEGIN.match(line)
        if begun is None and begins:
            begun = begins
        elif begun is None:
            if line.strip() == _END or "# solution" in line:
                fix = "see compendium.workshop.student"
                raise MedDELError(f"a mark that fits nowhere: {line.strip()!r}", where, fix)
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


def student_copy(solutions: nbformat.NotebookNode, where: str) -> nbformat.NotebookNode:
    """Return a notebook without its solutions; `where` names it in errors, which are those of `stubbed`."""
    copy = nbformat.from_dict(solutions)
    for number, cell in enumerate(copy.cells):
        if cell.cell_type == "code":
            cell.source = stubbed(cell.source, f"{where}, cell {number}")
    return copy


def outdated(solutions: Path, copies: Path) -> dict[Path, str | None]:
    """Return what `write` would change: each file's new content, or None for a copy whose notebook is gone.

    Raises
    ------
    MedDELError
        As for `stubbed`, or a notebook can't be read.
    """
    wanted = {copies / path.name: _text(path) for path in sorted(solutions.glob("*.ipynb"))}
    gone = {path: None for path in sorted(copies.glob("*.ipynb")) if path not in wanted}
    changed = {
        path: text for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    return {**changed, **gone}


def write(solutions: Path, copies: Path) -> list[Path]:
    """Bring the copies up to date and return those that changed.

    Parameters
    ----------
    solutions, copies : Path
        Folders of notebooks; `copies` is for generated files only: what has no notebook in `solutions` is removed.

    Raises
    ------
    MedDELError
        As for `outdated`, or the folder can't be written.
    """
    changes = outdated(solutions, copies)
    for path, text in changes.items():
        if text is None:
            path.unlink()
        else:
            artefacts.write_text(path, text)
    return list(changes)


def _text(path: Path) -> str:
    try:
        book = nbformat.read(path, as_version=4)
    except (OSError, ValueError) as error:
        raise MedDELError("no readable notebook", path, "restore it") from error
    return nbformat.writes(student_copy(book, path.name)) + "\n"


def _stub(begun: re.Match[str], solution: list[str], where: str) -> list[str]:
    """Return the lines that stand for a solution."""
    said, found = int(begun["lines"]), sum(bool(line.strip()) for line in solution)
    if said != found or not found:
        raise MedDELError(f"a solution of {found} lines is marked as one of {said}", where, "mend its mark")
    lines, are = ("1 line", "is") if found == 1 else (f"{found} lines", "are")
    indent = begun["indent"]
    return [f"{indent}# your turn: {lines}", f'{indent}raise NotImplementedError("{lines} {are} expected here")']
