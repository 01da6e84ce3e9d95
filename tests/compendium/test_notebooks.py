"""Notebooks check their parameters, run in order and only once, leave verdicts, and link to each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.exceptions import PapermillExecutionError

from compendium import notebooks
from meddel import artefacts, config
from meddel.errors import MedDELError

PARAMETERS = 'profile: str = "smoke"\nseed: int = 0\ndata: str = ""\nout: str = "out"'
COUNT = 'open(f"{out}/ran", "a").write(f"{seed} {profile}\\n")'


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a notebook of the given cells behind its parameters."""

    def notebook(*cells: str, name: str = "01_tiny.ipynb", parameters: str = PARAMETERS) -> Path:
        tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
        book = new_notebook(cells=[tagged, *map(new_code_cell, cells)])
        book.metadata = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        nbformat.write(book, tmp_path / name)
        return tmp_path / name

    return notebook


def values(folder: Path, **changes: object) -> dict[str, object]:
    return {"profile": "smoke", "seed": 3, "data": "", "out": str(folder)} | changes


def test_a_notebook_runs_once_until_something_changes(write: Callable[..., Path], tmp_path: Path) -> None:
    out, data = tmp_path / "out", tmp_path / "data"
    data.mkdir()
    notebook = write(COUNT)
    assert notebooks.execute(notebook, values(out), out)
    page = out / "notebooks" / "01_tiny.html"
    assert "<html" in page.read_text(encoding="utf-8")
    made = artefacts.read_provenance(page)
    assert made.parameters == values(out)
    assert made.peak_memory_of == "child" and made.peak_memory_bytes > 2**20, "the kernel's memory, not the runner's"
    before = (page.stat().st_mtime_ns, artefacts.provenance_path(page).read_bytes())
    assert not notebooks.execute(notebook, values(out), out)
    assert before == (page.stat().st_mtime_ns, artefacts.provenance_path(page).read_bytes())
    assert (out / "ran").read_text() == "3 smoke\n"
    assert notebooks.execute(notebook, values(out, seed=4, data=str(data)), out)
    (data / "new.png").touch()
    assert notebooks.execute(notebook, values(out, seed=4, data=str(data)), out)
    assert notebooks.execute(write(COUNT, "1"), values(out, seed=4, data=str(data)), out)
    assert (out / "ran").read_text() == "3 smoke\n" + 3 * "4 smoke\n"


def test_a_cell_that_fails_is_named_and_the_notebook_kept(write: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    failing = write(
        "from meddel.errors import MedDELError", "raise MedDELError('no images', 'there', 'add some')", COUNT
    )
    with pytest.raises(MedDELError) as error:
        notebooks.execute(failing, values(out), out)
    said = "01_tiny, cell 4: no images (there); add some"  # counted with the cell that papermill injects
    assert str(error.value).startswith(said)
    assert str(out / "notebooks" / "01_tiny.ipynb") in str(error.value)
    kept = nbformat.read(out / "notebooks" / "01_tiny.ipynb", as_version=4)
    assert "no images" in json.dumps(kept.cells)
    assert not (out / "notebooks" / "01_tiny.html").exists()
    assert not (out / "ran").exists()
    assert notebooks.execute(write(COUNT), values(out), out)


def test_a_kernel_that_dies_is_said_in_one_line(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(MedDELError, match="01_tiny: Kernel died"):
        notebooks.execute(write("import os\nos._exit(1)"), values(tmp_path / "out"), tmp_path / "out")


@pytest.mark.parametrize(("changes", "said"), [
    ({"sead": 1}, "unknown parameter 'sead' (01_tiny); choose among profile, seed, data, out"),
    ({"seed": "3"}, "parameter seed='3' is str; give a value of type int"),
    ({"seed": True}, "parameter seed=True is bool"),
    ({"out": 3}, "parameter out=3 is int; give a value of type str"),
])  # fmt: skip
def test_wrong_parameters_start_nothing(
    write: Callable[..., Path], tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    notebook, out = write(COUNT), tmp_path / "out"
    with pytest.raises(MedDELError) as error:
        notebooks.execute(notebook, values(out, **changes), out)
    assert said in str(error.value)
    assert not out.exists()


def test_a_run_parameter_that_a_notebook_does_not_take_is_left_out(write: Callable[..., Path], tmp_path: Path) -> None:
    notebook = write(parameters='out: str = "out"\neta: float = 0.9')
    assert notebooks.parameters_for(notebook, values(tmp_path, eta=1)) == {"out": str(tmp_path), "eta": 1}


def test_what_papermill_injects_is_checked_by_the_notebook(write: Callable[..., Path], tmp_path: Path) -> None:
    notebook = write("from compendium import notebooks", "run = notebooks.begin(globals())", COUNT)
    with pytest.raises(PapermillExecutionError) as error:
        papermill.execute_notebook(str(notebook), str(tmp_path / "x.ipynb"), values(tmp_path, sead=1))
    assert error.value.ename == "MedDELError"
    assert "unknown parameter 'sead'" in error.value.evalue
    assert not (tmp_path / "ran").exists()


def test_the_notebooks_are_found_in_order() -> None:
    found = notebooks.chosen()
    assert all(path.is_file() for path in found)
    assert notebooks.chosen(found[-1].stem) == [found[-1]]
    with pytest.raises(MedDELError, match="no notebook is called 'nosuch'"):
        notebooks.chosen("nosuch")


def test_all_notebooks_are_checked_before_the_first_starts(tmp_path: Path) -> None:
    with pytest.raises(MedDELError, match="parameter seed='0' is str"):
        notebooks.run_notebooks(values(tmp_path / "out", seed="0"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written_is_one_line(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MedDELError, match="can't write"):
        notebooks.execute(write(COUNT), values(tmp_path / "file"), tmp_path / "file")


BEGIN = 'profile: str = "smoke"\nseed: int = 0\ndata: str = ""\nout: str = "{out}"\neta: float = 0.95'


@pytest.fixture
def no_generated_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes `begin` its time."""
    monkeypatch.setattr("endosim.generate", lambda folder, *_, **__: folder)


def names_of(out: Path, *lines: str) -> dict[str, Any]:
    """The global names of a notebook after its parameters and an injected cell of `lines`."""
    names: dict[str, Any] = {"__name__": "__main__", "_": "", "In": [], "Out": {}, "get_ipython": None}
    exec("\n".join([BEGIN.format(out=out), "from compendium import notebooks", *lines]), names)
    return names


@pytest.mark.usefixtures("no_generated_data")
def test_parameters_become_the_run(tmp_path: Path) -> None:
    run = notebooks.begin(names_of(tmp_path, "seed = 2", 'profile = "laptop"'))
    assert run == config.run("laptop", seed=2, out=tmp_path)


@pytest.mark.usefixtures("no_generated_data")
def test_begin_may_be_imported_by_name(tmp_path: Path) -> None:
    assert notebooks.begin(names_of(tmp_path, "from compendium.notebooks import begin")).seed == 0


@pytest.mark.parametrize(("line", "said"), [
    ("sead = 1", "unknown parameter 'sead'; choose among profile, seed, data, out, eta"),
    ("seed = '1'", "parameter seed='1' is str; give a value of type int"),
    ("seed = True", "parameter seed=True is bool; give a value of type int"),
    ("seed = 1.0", "parameter seed=1.0 is float"),
    ("out = None", "parameter out=None is NoneType; give a value of type str"),
    ("eta = 'high'", "parameter eta='high' is str; give a value of type float"),
    ("profile = 'smok'", "unknown profile 'smok'"),
    ("seed = -1", "seed: Input should be greater than or equal to 0"),
    ("data = '/no/such/folder'", "no such folder"),
])  # fmt: skip
def test_a_wrong_parameter_stops_the_run(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(MedDELError) as error:
        notebooks.begin(names_of(tmp_path, line))
    assert said in str(error.value)


@pytest.mark.usefixtures("no_generated_data")
def test_an_integer_passes_for_a_number(tmp_path: Path) -> None:
    assert notebooks.begin(names_of(tmp_path, "eta = 1"))


def test_verdicts_are_kept_for_the_report(tmp_path: Path) -> None:
    run = config.run(out=tmp_path)
    shown = notebooks.conclude(run, "3.2", {"pairs": ("12 pairs", "reproduced")})
    kept = json.loads((tmp_path / "verdicts" / "section-3.2.json").read_text(encoding="utf-8"))
    assert [set(row) for row in kept] == [{"claim", "published", "ours", "verdict"}] * 2
    assert [(row["ours"], row["verdict"]) for row in kept] == [("–", "not testable here"), ("12 pairs", "reproduced")]
    for row in kept:
        assert all(text in shown.markdown for text in row.values())


def test_verdicts_on_unknown_claims_or_of_unknown_kind_are_refused(tmp_path: Path) -> None:
    run = config.run(out=tmp_path)
    for section, ours in [("3.2", {"pears": ("", "reproduced")}), ("3.2", {"pairs": ("", "yes")}), ("9", {})]:
        with pytest.raises(MedDELError):
            notebooks.conclude(run, section, ours)
    assert not (tmp_path / "verdicts").exists()
