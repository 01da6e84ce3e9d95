"""The results record: what is kept of a run, and that the pages show just that."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from compendium import record
from compendium.figures import read_alt
from meddel import artefacts, study
from meddel.config import Run
from meddel.errors import MedDELError
from tests.meddel.study_cases import draw_data, run_of

REPOSITORY = Path(__file__).resolve().parents[2]
RECORDS = sorted((REPOSITORY / "data_manifests" / "results").glob("*/summary.md"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished study."""
    data = draw_data(tmp_path_factory.mktemp("data"))
    run = run_of(data, tmp_path_factory.mktemp("out"), ratios=(0.5,), compute_shares=(0.25, 1.0))
    study.run_study(run)
    return run


def test_record_keeps_one_test_score_per_training_with_its_provenance(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "tiny"
    written = record.record(run, folder, "make study PROFILE=tiny")
    assert sorted(path.name for path in written) == sorted(path.name for path in folder.iterdir() if path.is_file())
    with (folder / "scores.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(study.jobs(run)) == 16
    assert {row["epoch"] for row in rows} == {"3"}
    with (folder / "verdicts.csv").open() as stream:
        assert {row["selector"] for row in csv.DictReader(stream)} == {"meddel"}
    with (folder / "composition.csv").open() as stream:
        assert {row["selector"] for row in csv.DictReader(stream)} == {"random", "meddel"}
    made = json.loads((folder / "provenance.json").read_text())
    assert made["command"] == "make study PROFILE=tiny"
    assert made["machine"] == artefacts.machine()
    assert made["cells"] == 16
    encoders = [path for path in run.out.rglob("encoder.safetensors.json") if "compute" not in str(path)]
    seconds = [artefacts.read_provenance(path.with_suffix("")).seconds for path in encoders]
    assert made["seconds"] >= round(sum(seconds))
    assert not (folder / "trainings.csv").exists(), "no shorter pre-training was computed"
    text = (folder / "results.md").read_text()
    assert "make study PROFILE=tiny" in text
    assert "MedDEL, 50 %" in text
    with Image.open(folder / "segmentation_probe.png") as picture:
        assert picture.width > 300


def test_a_record_gives_the_study_back_without_computing_it(run: Run, tmp_path: Path) -> None:
    record.record(run, tmp_path / "tiny", "make study")
    other = run.model_copy(update={"out": tmp_path / "out"})
    with study.ledger.synced(other, tmp_path / "tiny" / "cells"):
        study.run_study(other)
    assert not list(other.out.rglob("*.safetensors"))
    record.record(other, tmp_path / "again", "make study")
    for name in ("scores.csv", "verdicts.csv", "provenance.json", "results.md", "summary.md"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "tiny" / name).read_bytes()


def test_a_record_has_the_shorter_trainings_that_are_there(run: Run, tmp_path: Path) -> None:
    [first, second] = [cell for cell in study.shorter_cells(run) if cell.compute == 0.25]
    study.run_study(run, [first])
    short = study.run_study(run, study.equal_epochs_cells(run)).to_pandas()
    record.record(run, tmp_path, "make study")
    with (tmp_path / "trainings.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["against"]: row["seeds"] for row in rows} == {"equal epochs": "2", "25% of the compute": "1"}
    [row] = [
        row for row in rows if (row["against"], row["set"], row["selector"]) == ("equal epochs", "polyps", "random")
    ]
    last = short[(short.selector == "random") & (short.set == "polyps") & (short.split == "test") & (short.epoch == 3)]
    assert float(row["shorter"]) == pytest.approx(last.foreground_iou.mean(), abs=1e-6)
    assert float(row["difference"]) == pytest.approx(float(row["longer"]) - float(row["shorter"]), abs=2e-6)
    study.run_study(run, [second])


def test_record_of_nothing_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(MedDELError, match="no study was run"):
        record.record(run.model_copy(update={"out": tmp_path}), tmp_path / "record", "make study")
    assert not (tmp_path / "record").exists()


def test_the_record_of_a_notebook_is_what_it_has_shown(meddel: Callable, tmp_path: Path) -> None:
    name, out, folder = "04_score_with_normdel", tmp_path / "out", tmp_path / "record"
    assert meddel("record", folder, "--notebook", name, "--out", out).code == 1
    assert not folder.exists()
    assert meddel("run", "--only", name, "--out", out).code == 0
    code, said, _ = meddel("record", folder, "--notebook", name, "--out", out, "--command", "make study")
    assert code == 0
    assert sorted(said.split()) == sorted(str(path) for path in folder.iterdir())
    text, summary = ((folder / file).read_text(encoding="utf-8") for file in ("results.md", "summary.md"))
    tables = sorted((out / "tables").glob("*.md"))
    assert len(tables) >= 3
    for table in tables:
        assert table.read_text(encoding="utf-8").strip() in text, table.name
    assert summary.startswith("`make study`, version ")
    assert summary.partition("\n\n")[2].strip() in text
    described = re.findall(r"^\*Figure\.\* (.+)$", text, re.MULTILINE)
    assert len(described) >= 3
    assert set(described) <= {read_alt(path) for path in (out / "figures").glob("*.png")}
    assert {path.suffix for path in folder.iterdir()} == {".md", ".json"}, "a figure may show somebody's images"
    made = json.loads((folder / "provenance.json").read_text())
    assert (made["machine"], made["notebook"]) == (artefacts.machine(), name)
    assert str(tmp_path) not in text + json.dumps(made)


def test_insert_replaces_what_stood_between_the_marks() -> None:
    page = "before\n<!-- results: laptop -->\nold\n<!-- end of results -->\nafter\n"
    once = record.insert(page, "laptop", "new\n")
    assert once == "before\n<!-- results: laptop -->\nnew\n<!-- end of results -->\nafter\n"
    assert record.insert(once, "laptop", "new") == once
    with pytest.raises(MedDELError, match="no place for the results 'paper'"):
        record.insert(page, "paper", "new")


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_the_pages_show_the_record_as_it_is(path: Path) -> None:
    name = "faults.md" if path.parent.name == "faults" else "results.md"
    page = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    assert record.insert(page, path.parent.name, path.read_text(encoding="utf-8")) == page
