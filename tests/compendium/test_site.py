"""What the site refuses, and what becomes of a notebook's text and outputs before Sphinx reads them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from compendium.site import build, main, write_pages
from meddel.errors import MedDELError

ROOT = Path(__file__).resolve().parents[2]
ROWS = "| set | images |\n| --- | ---: |\n| a | 9 |\n"
TABLE = f"**Sizes**\n\n{ROWS}\nCounted.\n"


def executed(folder: Path, name: str, text: str) -> Path:
    """A notebook as papermill leaves it, with a table and without provenance."""
    cells = [
        new_markdown_cell(f"# Title\n\n{text}"),
        new_code_cell("out = '/somewhere/else'", metadata={"tags": ["injected-parameters"]}),
        new_code_cell("show()", outputs=[new_output("display_data", {"text/html": "", "text/markdown": TABLE})]),
    ]
    path = folder / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(new_notebook(cells=cells)), encoding="utf-8")
    return path


def test_a_run_without_notebooks_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("compendium.site: no executed notebook")


def test_a_folder_that_is_no_site_is_left_alone(tmp_path: Path) -> None:
    executed(tmp_path / "out", "00_one", "")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(MedDELError, match="something else than a site"):
        build(tmp_path / "out", tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_page_links_and_holds_no_path_of_the_run(tmp_path: Path) -> None:
    text = "Notebook 01, `01_two`, `00_one`, `02_none`."
    books = [executed(tmp_path, "00_one", text), executed(tmp_path, "01_two", "")]
    write_pages(books, tmp_path / "site" / "notebooks", tmp_path / "figures")
    book = nbformat.read(tmp_path / "site" / "notebooks" / "00_one.ipynb", as_version=4)
    assert "[Notebook 01](01_two.ipynb), [`01_two`](01_two.ipynb), `00_one`, `02_none`" in book.cells[0].source
    assert "no record" in book.cells[1].source
    assert "/somewhere/else" not in nbformat.writes(book)
    [output] = book.cells[-1].outputs
    assert output.data == {"text/markdown": f"```{{table}} Sizes\n\n{ROWS}```\n\nCounted.\n"}


def test_the_report_is_linked_where_the_site_has_it(tmp_path: Path) -> None:
    path = executed(tmp_path, "00_one", "")
    book = nbformat.read(path, as_version=4)
    book.cells[-1].outputs = [new_output("display_data", {"text/markdown": "[report.html](../report.html)"})]
    path.write_text(nbformat.writes(book), encoding="utf-8")
    write_pages([path], tmp_path / "site" / "notebooks", tmp_path / "figures")
    [output] = nbformat.read(tmp_path / "site" / "notebooks" / "00_one.ipynb", as_version=4).cells[-1].outputs
    assert output.data["text/markdown"] == '<a href="../report.html">report.html</a>'


def test_what_is_no_notebook_is_named(tmp_path: Path) -> None:
    path = executed(tmp_path, "00_one", "")
    path.write_text("{")
    with pytest.raises(MedDELError, match=r"not a notebook .*00_one"):
        write_pages([path], tmp_path / "site", tmp_path / "figures")


def test_every_arxiv_number_of_a_docstring_is_in_the_bibliography() -> None:
    bibliography = (ROOT / "docs" / "reference" / "references.bib").read_text(encoding="utf-8")
    known = set(re.findall(r"eprint\s*=\s*\{([\d.]+)\}", bibliography))
    for path in [*(ROOT / "lib").rglob("*.py"), *(ROOT / "kernels").rglob("*.py")]:
        assert set(re.findall(r"arXiv[: ](\d{4}\.\d{4,5})", path.read_text(encoding="utf-8"))) <= known, path
