"""A panel draws, says what is wrong, and appears only where somebody can move it."""

from __future__ import annotations

from pathlib import Path

import ipywidgets
import nbformat
import papermill
import pytest
from nbconvert import HTMLExporter

from compendium.live import Panel, attended
from meddel.errors import MedDELError

CELLS = (
    "from compendium.live import score\nfrom compendium.metrics import published_cells",
    "score.normdel_view(published_cells(), 0.5)",
    'score.normdel_panel({"Table 3": published_cells()})',
)


def doubled(number: int, word: str) -> str:
    if number > 5:
        raise MedDELError("<too> large", fix="give at most 5")
    return f"<p>{word} {2 * number}</p>"


def controls() -> dict[str, ipywidgets.DOMWidget]:
    return {"number": ipywidgets.IntSlider(value=1, max=9), "word": ipywidgets.Dropdown(options=["twice", "double"])}


def test_a_moved_control_draws_again_and_sets_what_it_should() -> None:
    number, word, shown = Panel(doubled, controls, sets={"number": ("word", "double")}).widget().children
    assert shown.value == "<p>twice 2</p>"
    number.value = 4
    assert (word.value, shown.value) == ("double", "<p>double 8</p>")
    word.value = "twice"
    assert shown.value == "<p>twice 8</p>"


def test_what_a_view_refuses_is_said_in_its_place() -> None:
    number, _, shown = Panel(doubled, controls).widget().children
    number.value = 6
    assert shown.value == '<p role="alert">&lt;too&gt; large; give at most 5</p>'
    number.value = 5
    assert shown.value == "<p>twice 10</p>"


def test_two_widgets_of_a_panel_do_not_move_each_other() -> None:
    panel = Panel(doubled, controls)
    first, second = panel.widget().children, panel.widget().children
    first[0].value = 3
    assert second[2].value == "<p>twice 2</p>"


def test_without_a_kernel_nobody_attends(capsys: pytest.CaptureFixture[str]) -> None:
    assert not attended()
    Panel(doubled, controls)._ipython_display_()
    assert "Sliders for this view appear where the notebook is run in Jupyter" in capsys.readouterr().out


def test_an_executed_notebook_holds_the_figure_and_no_dead_slider(tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbformat.write(book, tmp_path / "live.ipynb")
    papermill.execute_notebook(
        str(tmp_path / "live.ipynb"), str(tmp_path / "done.ipynb"), kernel_name="python3", progress_bar=False
    )
    done = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    [figure], [note] = (cell.outputs for cell in done.cells[1:])
    assert '<img alt="Table of NormDEL in % at alpha 0.5,' in figure.data["text/html"]
    assert dict(note.data) == {"text/plain": "Sliders for this view appear where the notebook is run in Jupyter."}
    assert "widgets" not in done.metadata
    page = HTMLExporter(embed_images=True).from_notebook_node(done)[0]
    assert "Table of NormDEL in % at alpha 0.5," in page
    assert "vnd.jupyter.widget" not in page
