"""One's own selector in the study: a row in every table, and refused where it breaks a rule."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest

from compendium import report, tables
from meddel import evidence, select, study
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.select import registry
from tests.meddel.study_cases import draw_data, run_of

OWN = "brightest-names"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(draw_data(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("out"), ratios=(0.5,))


@pytest.fixture
def own() -> Iterator[None]:
    """A selector as a person writes it in a cell, forgotten afterwards."""

    @select.register(OWN)
    def brightest_names(embeddings, index, budget, rng):
        return sorted(index["id"].to_pylist())[-budget:], None

    yield
    registry._SELECTORS.pop(OWN, None)


def test_it_gets_a_row_in_every_table(run: Run, own: None) -> None:
    before = study.run_study(run)
    mine = study.add_selector(run, OWN)
    assert set(zip(mine["selector"].to_pylist(), mine["ratio"].to_pylist(), mine["seed"].to_pylist(), strict=True)) == {
        (OWN, 0.5, 0),
        (OWN, 0.5, 1),
    }
    everything = report.scores(run.out)
    assert everything.num_rows == before.num_rows + mine.num_rows
    assert OWN in tables.normdel_text(everything)
    assert OWN in set(evidence.summary(evidence.final_scores(everything)).selector)
    cell = study.Cell(selector=OWN, ratio=0.5, seed=0)
    kept = study.selection(run, cell).to_pylist()
    assert sorted(row["id"] for row in kept if row["kept"]) == sorted(row["id"] for row in kept)[-len(kept) // 2 :]


def test_another_process_that_does_not_know_it_has_its_row(run: Run) -> None:
    with pytest.raises(MedDELError, match="unknown selector"):
        select.get(OWN)
    table = study.run_study(run)
    assert OWN in set(table["selector"].to_pylist())
    assert pq.read_table(run.out / "scores.parquet").equals(table)


def test_a_study_of_other_settings_does_not_show_it(run: Run) -> None:
    other = run.model_copy(update={"profile": run.profile.model_copy(update={"ratios": (0.1,)})})
    assert OWN not in set(study.run_study(other)["selector"].to_pylist())


def test_a_changed_one_is_run_again(run: Run, own: None) -> None:
    study.add_selector(run, OWN)

    @select.register(OWN)
    def darkest_names(embeddings, index, budget, rng):
        return sorted(index["id"].to_pylist())[:budget], None

    study.add_selector(run, OWN)
    kept = study.selection(run, study.Cell(selector=OWN, ratio=0.5, seed=0)).to_pylist()
    assert kept[0]["kept"]
    assert (
        report.scores(run.out).to_pandas().query("selector == @OWN").duplicated(["set", "seed", "epoch", "split"]).sum()
        == 0
    )


def test_one_that_breaks_its_contract_is_refused_with_the_rule(run: Run) -> None:
    @select.register("too-many")
    def too_many(embeddings, index, budget, rng):
        return index["id"].to_pylist()[: budget + 1], None

    try:
        with pytest.raises(MedDELError, match="with 30 images and budgets from 1 to 30"):
            study.add_selector(run, "too-many")
        assert not list(run.out.rglob("*too-many*"))
    finally:
        registry._SELECTORS.pop("too-many")


def test_one_of_the_grid_is_not_added_twice(run: Run) -> None:
    with pytest.raises(MedDELError, match="in the study already"):
        study.add_selector(run, "random")
