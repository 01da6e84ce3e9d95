"""The notebooks link to each other, and state what they took in a run."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from compendium import course, notebooks
from meddel import artefacts
from meddel.errors import MedDELError

TEXT = """# {name}

**The paper's claim** (section 3.2): it is so.

**Time and memory** here: `smoke` 1 s, 0.1 GiB. It runs."""


@pytest.fixture
def books(tmp_path: Path) -> list[Path]:
    """Three notebooks in a folder."""
    paths = [tmp_path / f"0{number}_{name}.ipynb" for number, name in enumerate(("look", "select", "tell"))]
    for path in paths:
        nbformat.write(
            new_notebook(cells=[new_markdown_cell(TEXT.format(name=path.stem[3:])), new_code_cell("1")]), path
        )
    return paths


def record(book: Path, out: Path, *, megabytes: int, **parameters: object) -> None:
    page = out / "notebooks" / f"{book.stem}.html"
    with artefacts.recorded(page, "key", parameters={"profile": "smoke", "data": "", **parameters}) as meter:
        meter.child(megabytes << 20)
        artefacts.write_text(page, "<html>")


def last(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[-1].source


def test_each_leads_to_its_neighbours(books: list[Path]) -> None:
    assert course.link(books) == books
    assert [last(path) for path in books] == [
        "[select](01_select.ipynb) →",
        "← [look](00_look.ipynb) · [tell](02_tell.ipynb) →",
        "← [select](01_select.ipynb)",
    ]
    assert course.link(books) == [], "a second time changes nothing"
    assert course.link(books[:2]) == [books[1]]
    assert last(books[1]) == "← [look](00_look.ipynb)"
    nbformat.validate(nbformat.read(books[1], as_version=4))


def test_the_projects_own_are_linked(tmp_path: Path) -> None:
    for own in (notebooks.chosen(), sorted((notebooks.folder() / "workshop").glob("[0-9][0-9]_*.ipynb"))):
        copies = [tmp_path / path.relative_to(notebooks.folder()) for path in own]
        for path, copy in zip(own, copies, strict=True):
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
        assert len(own) > 2
        assert course.link(copies) == [], "run python -m compendium.course"


def test_times_and_peaks_are_those_of_the_run(books: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(MedDELError, match="00_look has not been run"):
        course.tell_costs(books, out)
    for number, path in enumerate(books):
        record(path, out, megabytes=1024 * (number + 1))
    assert course.tell_costs(books, out) == books
    assert "here: `smoke` 0 s, 2.0 GiB. It runs." in nbformat.read(books[1], as_version=4).cells[0].source
    assert course.tell_costs(books, out) == []
    record(books[2], out, megabytes=1, profile="laptop")
    with pytest.raises(MedDELError, match="not of the profile smoke"):
        course.tell_costs(books, out)


def test_a_file_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "00_x.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(MedDELError, match=r"not a notebook.*00_x"):
        course.link([tmp_path / "00_x.ipynb"])
