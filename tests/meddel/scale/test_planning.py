"""A plan on paper grows with the work of each stage and with nothing else."""

from __future__ import annotations

import pytest

from meddel.errors import MedDELError
from meddel.scale import planning

MEASURED = {
    "rows": 1000, "width": 64, "clusters": 10, "iterations": 4, "threads": 2,
    "stages": {"generate": {"seconds": 99.0}, **{stage: {"seconds": 36.0} for stage in planning.STAGES}},
}  # fmt: skip


def hours(**changes: int) -> dict[str, float]:
    asked = {"rows": 1000, "clusters": 10, "iterations": 4, "cores": 2} | changes
    return planning.plan(MEASURED, **asked).set_index("stage")["hours"].to_dict()


def test_the_same_work_takes_what_it_took() -> None:
    table = planning.plan(MEASURED, 1000, clusters=10, iterations=4, cores=2, price=5.0)
    assert list(table.columns) == planning.COLUMNS
    assert list(table["stage"]) == [*planning.STAGES, "all"]
    assert (table["times"][:-1] == 1).all()
    assert list(table["hours"])[:-1] == pytest.approx([0.01] * 5)
    assert table["core hours"].iloc[-1] == pytest.approx(0.1)
    assert table["cost"].iloc[-1] == pytest.approx(0.5)


def test_each_stage_grows_in_its_own_way() -> None:
    assert {stage: round(value / 0.01, 2) for stage, value in hours(rows=10_000).items() if stage != "all"} == {
        "seed": 10, "k-means": 10, "sort": 10, "dedup": 100, "selection": 13.33,
    }  # fmt: skip
    assert hours(clusters=20)["dedup"] == pytest.approx(0.005)
    assert hours(clusters=20)["seed"] == hours(clusters=20)["k-means"] == pytest.approx(0.02)
    assert hours(iterations=9)["k-means"] == pytest.approx(0.02)


def test_cores_share_the_products_and_not_the_disk() -> None:
    more = hours(cores=20)
    assert more["k-means"] == pytest.approx(0.001)
    assert more["sort"] == pytest.approx(0.01)


def test_what_can_not_be_planned_is_refused() -> None:
    for wrong in ({"rows": 0}, {"clusters": 2000}, {"cores": 0}):
        with pytest.raises(MedDELError, match="no plan for"):
            hours(**wrong)
    with pytest.raises(MedDELError, match="the record has no seed"):
        planning.plan({"stages": {}}, 10, clusters=1, iterations=1, cores=1)


def test_the_room_is_that_of_the_embeddings_twice() -> None:
    need = planning.room(1_000_000, 768, 700)
    assert need["sorted"] == 2 * 768 * 10**6
    assert need["store"] == need["sorted"] + 24 * 10**6
    assert 10**8 < need["memory"] < need["sorted"]
