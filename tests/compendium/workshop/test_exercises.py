"""Every solution runs and passes its checks, and a participant's copy stops at its first stub."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from compendium.workshop import handout


def execute(path: Path, out: Path) -> Path:
    """Run a notebook in a kernel of its own, in a folder of its own, as a laptop without a network would."""
    target, quiet = out / path.name, ["--log-level=40"]
    papermill.execute_notebook(
        str(path), str(target), kernel_name="python3", progress_bar=False, cwd=str(out), extra_arguments=quiet
    )
    return target


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)


@pytest.mark.parametrize("path", handout.solutions(), ids=lambda path: path.stem)
def test_the_solution_runs_and_passes_its_checks(path: Path, tmp_path: Path) -> None:
    book = nbformat.read(execute(path, tmp_path), as_version=4)
    asked = sum(len(re.findall(r"^check\(", cell.source, re.MULTILINE)) for cell in book.cells)
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert said.count(": right; ") == asked >= 2
    assert "Warning" not in "".join(output.get("text", "") for output in outputs)


def test_a_copy_stops_at_its_first_stub(tmp_path: Path) -> None:
    [copy] = handout.hand_out(handout.solutions()[1:2], tmp_path / "room")
    with pytest.raises(PapermillExecutionError) as error:
        execute(copy, tmp_path)
    cells = [cell.source for cell in nbformat.read(copy, as_version=4).cells if cell.cell_type == "code"]
    assert error.value.source == next(source for source in cells if "raise NotImplementedError" in source)
    assert error.value.ename == "NotYet"
    assert "expected here" in error.value.evalue
