"""Every notebook in the profile smoke, in order, into one folder, as a user runs them; then the report of it all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import papermill
import pyarrow.parquet as pq
import pytest
from papermill.exceptions import PapermillExecutionError

from compendium import claims, notebooks, report
from meddel import artefacts, config
from meddel.errors import MedDELError
from meddel.evidence import verdicts

NOTEBOOKS = notebooks.chosen()
PAPER = [notebook for notebook in NOTEBOOKS if notebook.parent.name == "notebooks"]
pytestmark = pytest.mark.timeout(1500)


def named(notebook: Path) -> str:
    return notebook.stem


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder that all notebooks write to, as the user's would."""
    return tmp_path_factory.mktemp("study") / "out"


@pytest.fixture(scope="session")
def values(out: Path) -> dict[str, object]:
    """What ``meddel run`` gives to the notebooks."""
    return {"profile": "smoke", "seed": 0, "seeds": 0, "data": "", "out": str(out), "selectors": ""}


def pages(out: Path) -> list[Path]:
    return sorted((out / "notebooks").glob("*.html"))


def test_the_papers_notebooks_are_a_map_one_a_section_and_the_kernels() -> None:
    assert len(PAPER) == 1 + len(claims.SECTIONS) + 1
    assert [notebook.name[:2] for notebook in PAPER] == [f"{number:02d}" for number in range(len(PAPER))]
    for section, notebook in zip(claims.SECTIONS, PAPER[1:], strict=False):
        cells = nbformat.read(notebook, as_version=4).cells
        assert f"(section {section})" in cells[0].source
        assert any(f'conclude(run, "{section}"' in cell.source for cell in cells)


@pytest.mark.parametrize("notebook", PAPER, ids=named)
def test_the_papers_notebooks_are_short_and_narrow(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    code = [line for cell in cells if cell.cell_type == "code" for line in cell.source.splitlines() if line.strip()]
    assert len(code) <= 100
    assert max(map(len, code)) <= 84


@pytest.mark.parametrize("changes", [{"sead": 1}, {"seed": "0"}, {"profile": 1}], ids=["unknown", "text", "number"])
def test_wrong_parameters_start_none(values: dict[str, object], tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(MedDELError, match="parameter"):
        notebooks.run_notebooks(values | changes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=named)
def test_the_notebook_runs(notebook: Path, values: dict[str, object], out: Path) -> None:
    assert notebooks.execute(notebook, values, out), "it ran before"
    executed = nbformat.read(out / "notebooks" / notebook.name, as_version=4)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code if cell.source.strip())
    outputs = [output for cell in code for output in cell.outputs]
    assert any(output.output_type in ("display_data", "execute_result", "stream") for output in outputs)
    assert not [output for output in outputs if "Warning" in output.get("text", "")], "a warning is shown"


def test_the_study_is_whole(out: Path) -> None:
    scores, profile = pq.read_table(out / "scores.parquet").to_pandas(), config.profile("smoke")
    own = "first-of-each-scene"  # joins in the notebook on selectors
    assert set(scores.selector) == {"none", "all", *profile.selectors, own}
    assert set(scores.ratio) == {0.0, 1.0, *profile.ratios}
    assert scores["set"].nunique() >= 3
    assert set(scores["head"]) == set(profile.segment.heads)
    assert scores.seed.nunique() == profile.seeds
    runs = scores.groupby(["set", "head", "selector", "ratio", "seed"])
    arms = 2 + (len(profile.selectors) + 1) * len(profile.ratios)
    assert len(runs) == scores["set"].nunique() * len(profile.segment.heads) * profile.seeds * arms
    assert all({"val", "test"} == set(part.split) for _, part in runs)


def test_every_section_has_its_verdicts(out: Path) -> None:
    found = report.verdicts(out)
    assert found.section.drop_duplicates().tolist() == list(claims.SECTIONS)
    assert found.claim.tolist() == claims.claims().claim.tolist()
    assert [verdict for verdict in found.verdict if verdicts.check(verdict) != verdict] == []
    assert (found.verdict == "reproduced").any()


def test_the_report_holds_it_all(out: Path) -> None:
    page = report.build(out).read_text(encoding="utf-8")
    assert page.count("<img ") == page.count('src="data:image/png;base64,') >= 4
    for text in ("NormDEL (%) of the foreground IoU", "Verdicts", *(notebook.stem for notebook in NOTEBOOKS)):
        assert text in page, text


def test_the_command_ends_with_the_table_and_the_report_and_does_nothing_twice(
    meddel: Callable, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state() -> dict[Path, int]:
        files = [*pages(out), *out.rglob("*.parquet"), *out.rglob("*.safetensors"), *(out / "notebooks").iterdir()]
        return {path: path.stat().st_mtime_ns for path in files}

    before = state()
    code, said, err = meddel("run", "--out", out)
    assert (code, err) == (0, "")
    lines = said.splitlines()
    assert [line.endswith("done before") for line in lines[: len(NOTEBOOKS)]] == [True] * len(NOTEBOOKS)
    assert "NormDEL (%) of the foreground IoU, head mlp" in lines
    assert any(line.startswith("no pre-training") for line in lines)
    assert any(line.startswith("MedDEL, 5 %") for line in lines)
    assert lines[-1] == f"report: {out / 'report.html'}"
    assert state() == before
    assert len(pages(out)) == len(NOTEBOOKS)
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize("changes", [{"sead": 1}, {"seed": "0"}], ids=["unknown", "text"])
def test_what_papermill_injects_is_refused_by_the_notebook(
    values: dict[str, object], tmp_path: Path, changes: dict[str, object]
) -> None:
    target = tmp_path / "x.ipynb"
    given = notebooks.parameters_for(NOTEBOOKS[-2], values) | {"out": str(tmp_path / "out")} | changes
    with pytest.raises(PapermillExecutionError) as error:
        papermill.execute_notebook(str(NOTEBOOKS[-2]), str(target), given)
    assert error.value.ename == "MedDELError"
    assert f"parameter {next(iter(changes))}".split()[0] in error.value.evalue
    assert not (tmp_path / "out").exists()


def test_each_page_says_where_it_comes_from(values: dict[str, object], out: Path) -> None:
    for notebook, page in zip(NOTEBOOKS, pages(out), strict=True):
        found = artefacts.read_provenance(page)
        assert found.seed == 0
        assert found.parameters == notebooks.parameters_for(notebook, values)
