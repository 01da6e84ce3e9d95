"""The participants' copies: stubs in the place of solutions, and nothing changes when they are made again."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from compendium import contents
from compendium.workshop import __main__ as command
from compendium.workshop import student, syllabus
from meddel.errors import MedDELError

SOLUTIONS = student.folder()
COPIES = SOLUTIONS / "student"

CELL = '''def double(a):
    """Return twice a."""
    # solution (2 lines)
    twice = a + a

    return twice
    # end of solution


check("double", double)'''


def notebook(path: Path, source: str) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="0")])
    path.write_text(nbformat.writes(book) + "\n", encoding="utf-8")


def test_the_copies_in_the_repository_are_up_to_date() -> None:
    assert student.outdated(SOLUTIONS, COPIES) == {}
    assert len(list(COPIES.glob("*.ipynb"))) == len(syllabus.EXERCISES)


def test_a_stub_says_how_many_lines_are_expected() -> None:
    stub = student.stubbed(CELL, "here")
    assert "twice = a + a" not in stub and "solution" not in stub
    names: dict[str, object] = {"check": lambda *_: None}
    exec(stub, names)
    with pytest.raises(NotImplementedError, match="2 lines are expected here"):
        names["double"](1)
    assert "1 line is" in student.stubbed(
        CELL.replace("(2 lines)", "(1 line)").replace("    twice = a + a\n", ""), "here"
    )


def test_what_has_no_solution_stays_as_it_is() -> None:
    source = "x = 1  # one\n\nif x:\n    y = 2"
    assert student.stubbed(source, "here") == source


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (CELL.replace("(2 lines)", "(3 lines)"), "a solution of 2 lines is marked as one of 3"),
        (CELL.replace("    # end of solution\n", ""), "a solution without an end"),
        (CELL.replace("    # solution (2 lines)\n", ""), "a mark that fits nowhere"),
        (CELL.replace("    # solution (2 lines)", "    # solution"), "a mark that fits nowhere"),
        (CELL.replace("    twice", "    # solution (1 line)\n    twice"), "begins inside another"),
    ],
    ids=["lines", "no end", "no begin", "no number", "nested"],
)
def test_a_wrong_mark_is_refused(broken: str, told: str) -> None:
    with pytest.raises(MedDELError, match=f"{told}.*here"):
        student.stubbed(broken, "here")


def test_writing_twice_changes_nothing_and_removes_what_is_gone(tmp_path: Path) -> None:
    solutions, copies = tmp_path, tmp_path / "student"
    notebook(solutions / "a.ipynb", CELL)
    notebook(solutions / "b.ipynb", "x = 1")
    assert {path.name for path in student.write(solutions, copies)} == {"a.ipynb", "b.ipynb"}
    first = (copies / "a.ipynb").read_bytes()
    assert student.write(solutions, copies) == []
    assert (copies / "a.ipynb").read_bytes() == first
    (solutions / "b.ipynb").unlink()
    assert student.write(solutions, copies) == [copies / "b.ipynb"]
    assert [path.name for path in copies.iterdir()] == ["a.ipynb"]


def test_the_command_tells_what_is_old_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook(tmp_path / "a.ipynb", CELL)
    monkeypatch.setattr(student, "folder", lambda: tmp_path)
    assert command.main(["--check"]) == 1
    assert "not up to date" in capsys.readouterr().out
    assert not (tmp_path / "student").exists()
    assert command.main([]) == 0
    assert command.main(["--check"]) == 0
    (tmp_path / "a.ipynb").write_text("{", encoding="utf-8")
    assert command.main([]) == 1
    assert "no readable notebook" in capsys.readouterr().err


def test_a_syllabus_is_handed_out_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "room"
    assert command.main(["--syllabus", "90-minutes", "--out", str(out)]) == 0
    chosen = syllabus.find("90-minutes").exercises
    assert sorted(path.stem for path in out.iterdir()) == [exercise.name for exercise in chosen]
    first, second = (nbformat.read(out / f"{exercise.name}.ipynb", as_version=4) for exercise in chosen[:2])
    assert first.cells[-1].source == f"[{contents.title(second)}]({chosen[1].name}.ipynb) →"
    assert [cell for cell in first.cells if contents.NAVIGATION in cell.metadata.get("tags", [])] == first.cells[-1:]
    worked_on = out / f"{chosen[0].name}.ipynb"
    worked_on.write_text("mine", encoding="utf-8")
    assert command.main(["--syllabus", "90-minutes", "--out", str(out)]) == 1
    assert "there is a notebook of that name" in capsys.readouterr().err
    assert worked_on.read_text(encoding="utf-8") == "mine"
    assert command.main(["--syllabus", "a week"]) == 1
    assert "there is no syllabus 'a week'; choose one of 90-minutes" in capsys.readouterr().err
