"""``python -m compendium.workshop``: bring the participants' copies up to date, or hand out those of a syllabus."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from compendium import contents
from compendium.workshop import pictures, student, syllabus
from meddel import artefacts
from meddel.errors import MedDELError, exit_code


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem said in one line or, with --check, old copies."""
    names = ", ".join(one.name for one in syllabus.SYLLABI)
    parser = argparse.ArgumentParser("python -m compendium.workshop", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; say what is not up to date")
    parser.add_argument("--syllabus", help=f"copy the participants' notebooks of {names} into --out")
    parser.add_argument("--images", action="store_true", help="write the pool's images into --out")
    parser.add_argument("--out", type=Path, default=Path("workshop"), help="folder for both (default: workshop)")
    given = parser.parse_args(arguments)
    return exit_code("compendium.workshop", lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    if given.syllabus is not None:
        _hand_out(syllabus.find(given.syllabus), given.out)
    if given.images:
        print(pictures.write(given.out / "pool"))
    return _copies(given.check) if given.syllabus is None and not given.images else 0


def _copies(check: bool) -> int:
    """Write the copies that are not up to date, or name them."""
    solutions = student.folder()
    copies = solutions / "student"
    changed = list(student.outdated(solutions, copies)) if check else student.write(solutions, copies)
    for path in changed:
        print(f"{'not up to date' if check else 'written'}: {path}")
    return int(check and bool(changed))


def _hand_out(chosen: syllabus.Syllabus, out: Path) -> None:
    """Copy the notebooks of a syllabus; what a participant has worked on is never overwritten."""
    copies = student.folder() / "student"
    targets = [out / f"{exercise.name}.ipynb" for exercise in chosen.exercises]
    there = next((path for path in targets if path.exists()), None)
    if there is not None:
        raise MedDELError("there is a notebook of that name", there, "give another --out folder")
    for path in targets:
        artefacts.write_bytes(path, (copies / path.name).read_bytes())
        print(path)
    contents.link(targets)  # from one exercise of the syllabus to the next


if __name__ == "__main__":
    sys.exit(main())
