"""The ledger: finished cells are known again elsewhere, those of other settings are not, and half a ledger is none."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from meddel import artefacts, study
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.study import Cell, ledger
from meddel.study.grid import every_job, scores_path
from tests.meddel.study_cases import draw_data, run_of


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(data, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def kept(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of the whole study."""
    folder = tmp_path_factory.mktemp("ledger")
    study.run_study(run)
    assert ledger.save(run, study.jobs(run), folder) == len(study.jobs(run)) == 24
    return folder


def test_another_machine_computes_nothing_and_has_the_same_table(
    run: Run, kept: Path, data: Path, tmp_path: Path
) -> None:
    other = run_of(data, tmp_path / "out")
    assert ledger.load(other, study.jobs(other), kept) == 24
    assert study.run_study(other).equals(study.run_study(run))
    assert not list(other.out.rglob("encoder.safetensors"))
    for job in study.jobs(run):
        here, there = (study.folder(where, job[0]) / f"{job[1]}-{job[2]}" for where in (other, run))
        assert pq.read_table(here / "images.parquet").equals(pq.read_table(there / "images.parquet"))
        scores = "scores.parquet"
        assert artefacts.read_provenance(here / scores) == artefacts.read_provenance(there / scores)


def test_what_is_kept_twice_is_there_once(run: Run, kept: Path) -> None:
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert ledger.save(run, study.jobs(run), kept) == 0
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert sorted(before) == [
        f"seed-{seed}{end}" for seed in (0, 1) for end in (".images.parquet", ".json", ".scores.parquet")
    ]
    assert len(ledger.provenance(run, study.jobs(run), kept)) == 24


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"ratios": (0.1,)}, {"none", "all", "random", "meddel"}),
        ({"pretrain": {"method": "simclr", "images_seen": 96, "batch": 16, "lr": 2e-3}}, {"none"}),
        (
            {"segment": {"heads": ("probe",), "labels": 9, "epochs": 1, "batch": 8, "hidden": 16, "probe_epochs": 3}},
            set(),
        ),
        ({"select": {"k": 3}}, {"none", "all", "random"}),
        ({"pool_downstream_train": False}, {"none"}),
    ],
    ids=["fewer ratios", "another rate", "more labels", "other clusters", "a smaller pool"],
)
def test_cells_of_other_settings_are_computed_anew(
    kept: Path, data: Path, tmp_path: Path, changes: dict[str, object], known: set[str]
) -> None:
    other = run_of(data, tmp_path / "out", **changes)
    ledger.load(other, study.jobs(other), kept)
    found = {
        cell.selector
        for cell, name, head in study.jobs(other)
        if (study.folder(other, cell) / f"{name}-{head}" / "scores.parquet").exists()
    }
    assert found == known


def test_an_image_more_in_the_test_set_changes_every_recipe(run: Run, kept: Path, tmp_path: Path) -> None:
    other = run_of(draw_data(tmp_path / "data"), tmp_path / "out")
    (other.data / "tools" / "images" / "19.png").write_bytes((other.data / "tools" / "images" / "18.png").read_bytes())
    job = (Cell(selector="none", ratio=0, seed=0), "polyps", "probe")
    assert ledger.recipes(other, [job]) != ledger.recipes(run, [job])
    assert ledger.load(other, study.jobs(other), kept) == 0


def test_a_ledger_that_was_cut_off_while_it_was_written_gives_what_it_names(
    run: Run, kept: Path, data: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half"
    jobs = study.jobs(run)
    ledger.save(run, jobs[:2], half)
    for kind in ("scores", "images"):  # the tables are there, the file that names them is of before
        name = f"seed-0.{kind}.parquet"
        (half / name).write_bytes((kept / name).read_bytes())
    assert ledger.save(run, jobs[:3], half) == 1
    other = run_of(data, tmp_path / "out")
    assert ledger.load(other, study.jobs(other), half) == 3
    here, there = (pq.read_table(scores_path(where, *jobs[2])) for where in (other, run))
    assert here.equals(there)


def test_every_cell_set_and_head_has_a_recipe_of_its_own(run: Run) -> None:
    jobs = every_job(run)
    assert {cell.compute for cell, _, _ in jobs} > {1.0}
    assert len(set(ledger.recipes(run, jobs).values())) == len(set(jobs)) > len(study.jobs(run))


def test_an_unreadable_ledger_is_named(run: Run, kept: Path, tmp_path: Path) -> None:
    for path in kept.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "seed-1.images.parquet").write_bytes(b"PAR1")
    with pytest.raises(MedDELError, match=r"ledger can't be read.*seed-1"):
        ledger.load(run, study.jobs(run), tmp_path)


def test_what_was_finished_is_kept_when_the_run_fails(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(MedDELError), ledger.synced(run, tmp_path / "new"):
        raise MedDELError("no room")
    assert len(ledger.provenance(run, study.jobs(run), tmp_path / "new")) == 24
    assert "24 new scores saved" in capsys.readouterr().out
    with ledger.synced(run, None):
        assert capsys.readouterr().out == ""


def test_the_schemas_are_those_of_the_scores(kept: Path) -> None:
    table = pq.read_table(kept / "seed-0.scores.parquet")
    assert table.schema.names[-1] == "recipe" and isinstance(table, pa.Table)
