"""The participants' copies have stubs in the place of solutions, and the teacher's page fits the exercises."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from compendium import course, notebooks
from compendium.workshop import handout
from meddel.errors import MedDELError

PAGE = (notebooks.folder() / "workshop" / "TEACHING.md").read_text(encoding="utf-8")
CELL = '''def double(a):
    """Return twice a."""
    # solution (2 lines)
    twice = a + a

    return twice
    # end of solution


check("double", double)'''


def test_a_stub_says_how_many_lines_are_expected() -> None:
    stub = handout.stubbed(CELL, "here")
    assert "twice = a + a" not in stub and "solution" not in stub
    names: dict[str, object] = {"check": lambda *_: None}
    exec(stub, names)
    with pytest.raises(NotImplementedError, match="2 lines are expected here"):
        names["double"](1)
    shorter = CELL.replace("(2 lines)", "(1 line)").replace("    twice = a + a\n", "")
    assert "1 line is" in handout.stubbed(shorter, "here")
    plain = "x = 1  # one\n\nif x:\n    y = 2"
    assert handout.stubbed(plain, "here") == plain


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
        handout.stubbed(broken, "here")


def test_a_syllabus_is_handed_out_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "room"
    assert handout.main(["--syllabus", "90-minutes", "--out", str(out)]) == 0
    chosen = handout.solutions("90-minutes")
    assert sorted(path.name for path in out.iterdir()) == [path.name for path in chosen]
    first, second = (nbformat.read(out / path.name, as_version=4) for path in chosen[:2])
    assert first.cells[-1].source == f"[{course.title(second)}]({chosen[1].name}) →"
    assert [cell for cell in first.cells if course.NAVIGATION in cell.metadata.get("tags", [])] == first.cells[-1:]
    worked_on = out / chosen[0].name
    worked_on.write_text("mine", encoding="utf-8")
    assert handout.main(["--syllabus", "90-minutes", "--out", str(out)]) == 1
    assert "there is a notebook of that name" in capsys.readouterr().err
    assert worked_on.read_text(encoding="utf-8") == "mine"
    assert handout.main(["--syllabus", "a week"]) == 1
    assert "there is no syllabus 'a week'; choose one of 90-minutes" in capsys.readouterr().err


def test_every_copy_can_be_made(tmp_path: Path) -> None:
    copies = handout.hand_out(handout.solutions(), tmp_path)
    assert len(copies) == 9
    assert all("your turn" in path.read_text(encoding="utf-8") for path in copies)


@pytest.mark.parametrize("name", handout.SYLLABI)
def test_the_timetables_add_up_and_have_the_exercises_in_order(name: str) -> None:
    [table] = re.findall(rf"^### {name}\n\n(.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    minutes, begun = dict(re.findall(r"^### (\d\d)_\w+, (\d+) minutes$", PAGE, re.MULTILINE)), 0
    done = []
    for hours, past, what, lasts in re.findall(r"^\| (\d):(\d\d) \| (.+?) \| (\d+) \|$", table, re.MULTILINE):
        assert 60 * int(hours) + int(past) == begun, what
        begun += int(lasts)
        if number := re.match(r"(\d\d) ", what):
            done.append(number[1])
            assert minutes[number[1]] == lasts
    assert begun == {"90-minutes": 90, "half-day": 180, "day": 360}[name]
    assert "".join(number[1] for number in done) == handout.SYLLABI[name]


@pytest.mark.parametrize("path", handout.solutions(), ids=lambda path: path.stem)
def test_the_notebook_says_its_minutes_and_what_it_needs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    [minutes] = re.findall(rf"^### {path.stem}, (\d+) minutes$", PAGE, re.MULTILINE)
    assert f"**Time**: {minutes} minutes" in text
    for need in re.findall(r"after `(\d)(\d)_\w+`", text):
        numbers = [syllabus for syllabus in handout.SYLLABI.values() if path.name[1] in syllabus]
        assert all(numbers.index(need[1]) < numbers.index(path.name[1]) for numbers in numbers)
