"""Controls draw, a refused setting is explained, and sliders appear only where somebody can move them."""

from __future__ import annotations

from pathlib import Path

import ipywidgets
import nbformat
import papermill
import pytest
from nbconvert import HTMLExporter

from compendium import live
from meddel.errors import MedDELError

CELLS = (
    "from compendium.live import score\nfrom compendium.metrics import published_cells",
    "score.normdel_view(published_cells(), 0.5)",
    'score.normdel_sliders({"Table 3": published_cells()})',
)


def doubled(number: int, word: str) -> str:
    if number > 5:
        raise MedDELError("<too> large", fix="give at most 5")
    return f"<p>{word} {2 * number}</p>"


def test_a_moved_control_draws_again_and_a_refused_setting_is_explained(
    drawn: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    number = ipywidgets.IntSlider(value=1, max=9)
    box = live.with_controls(doubled, {"number": number, "word": ipywidgets.Dropdown(options=["twice", "double"])})
    _, word, output = box.children
    assert isinstance(output, ipywidgets.Output)
    number.value, word.value = 4, "double"
    assert [shown.data for shown in drawn] == ["<p>twice 2</p>", "<p>twice 8</p>", "<p>double 8</p>"]
    number.value = 6
    assert "<too> large; give at most 5" in capsys.readouterr().out
    assert len(drawn) == 3


def test_without_a_kernel_nobody_attends() -> None:
    assert not live.attended()


def test_an_executed_notebook_holds_the_figure_and_no_dead_slider(tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbformat.write(book, tmp_path / "live.ipynb")
    papermill.execute_notebook(
        str(tmp_path / "live.ipynb"), str(tmp_path / "done.ipynb"), kernel_name="python3", progress_bar=False
    )
    done = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    [figure], nothing = (cell.outputs for cell in done.cells[1:])
    assert '<img alt="Table of NormDEL in % at alpha 0.5,' in figure.data["text/html"]
    assert nothing == []
    assert "widgets" not in done.metadata
    page = HTMLExporter(embed_images=True).from_notebook_node(done)[0]
    assert "Table of NormDEL in % at alpha 0.5," in page
    assert "vnd.jupyter.widget" not in page
