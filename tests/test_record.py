"""The results record: what is kept of a run, and that the README shows just that."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from meddel import artefacts, record
from meddel.errors import MedDELError
from meddel.segment import SCORES_SCHEMA

REPOSITORY = Path(__file__).resolve().parents[1]
RECORDS = sorted((REPOSITORY / "data_manifests" / "results").glob("*/results.md"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run's folder with the scores of four arms on one set with two heads, and the provenance of a cell."""
    arms = [("none", 0.0, 0.2), ("all", 1.0, 0.4), ("random", 0.05, 0.3), ("meddel", 0.05, 0.31)]
    rows = [
        {
            "set": "polyps", "selector": selector, "ratio": ratio, "seed": seed, "head": head, "epoch": epoch,
            "split": split, "foreground_iou": iou + 0.01 * seed + 0.001 * epoch, "two_class_miou": 0.6, "seconds": 1.0,
        }
        for selector, ratio, iou in arms
        for head in ("mlp", "probe")
        for seed in (0, 1)
        for epoch in (1, 2)
        for split in ("val", "test")
    ]  # fmt: skip
    artefacts.write_table(tmp_path / "scores.parquet", pa.Table.from_pylist(rows, schema=SCORES_SCHEMA))
    cell = tmp_path / "study" / "seed-0" / "none" / "polyps-mlp" / "scores.parquet"
    with artefacts.recorded(cell, "key", parameters={}):
        artefacts.write_table(cell, pa.Table.from_pylist(rows[:1], schema=SCORES_SCHEMA))
    return tmp_path


def test_record_keeps_one_test_score_per_training_with_its_provenance(out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "tiny"
    written = record.record(out, folder, "make study PROFILE=tiny")
    assert sorted(path.name for path in written) == sorted(path.name for path in folder.iterdir())
    with (folder / "scores.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 16
    assert {row["epoch"] for row in rows} == {"2"}
    made = json.loads((folder / "provenance.json").read_text())
    assert made["command"] == "make study PROFILE=tiny"
    assert made["machine"] == artefacts.machine()
    assert made["cells"] == 1
    text = (folder / "results.md").read_text()
    assert "make study PROFILE=tiny" in text
    assert "MedDEL, 5 %" in text
    for head in ("mlp", "probe"):
        with Image.open(folder / f"segmentation_{head}.png") as picture:
            assert picture.width > 300


def test_record_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MedDELError, match="no study was run"):
        record.record(tmp_path, tmp_path / "record", "make study")
    assert not (tmp_path / "record").exists()


def test_insert_replaces_what_stood_between_the_marks() -> None:
    readme = "before\n<!-- results: laptop -->\nold\n<!-- end of results -->\nafter\n"
    once = record.insert(readme, "laptop", "new\n")
    assert once == "before\n<!-- results: laptop -->\nnew\n<!-- end of results -->\nafter\n"
    assert record.insert(once, "laptop", "new") == once
    with pytest.raises(MedDELError, match="no place for the results 'paper'"):
        record.insert(readme, "paper", "new")


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_the_readme_shows_the_record_as_it_is(path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert record.insert(readme, path.parent.name, path.read_text(encoding="utf-8")) == readme
