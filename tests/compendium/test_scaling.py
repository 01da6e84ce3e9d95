"""Made-up stores depend on their seed alone, both benchmarks run, and a plan grows with the work of each stage."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import meddel_kernels as kernels
from compendium import scaling
from meddel.errors import MedDELError

MEASURED = {
    "rows": 1000, "width": 64, "clusters": 10, "iterations": 4, "threads": 2,
    "stages": {"generate": {"seconds": 99.0}, **{stage: {"seconds": 36.0} for stage in scaling.STAGES}},
}  # fmt: skip


def test_equal_seeds_give_equal_stores_with_concepts_and_twins(tmp_path: Path) -> None:
    stores = [
        scaling.generate(tmp_path / name, 500, 8, seed, shard_rows=200) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert stores[0].hash == stores[1].hash != stores[2].hash
    assert [shard.rows for shard in stores[0].shards] == [200, 200, 100]
    assert (np.asarray(stores[0].embeddings)[:200] != np.asarray(stores[0].embeddings)[200:400]).any(axis=1).all()
    unit = kernels.unit_rows(scaling.shard_of(2000, 64, 0, 0))
    cosines = np.sort(unit @ unit.T, axis=1)[:, -2]
    assert 0.05 < (cosines > 0.98).mean() < 0.5
    assert np.median(unit @ unit.mean(axis=0)) > 0.1


def measured(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> dict:
    """Return what the command writes for a small store."""
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")
    sizes = ["--rows", "3000", "--width", "16", "--clusters", "12", "--iterations", "2"]
    monkeypatch.setattr(
        sys, "argv", ["scaling", *sizes, "--folder", str(folder), "--out", str(folder / "a.json"), *more]
    )
    scaling.main()
    assert [path.name for path in folder.iterdir()] == ["a.json"]
    return json.loads((folder / "a.json").read_text())


def test_every_stage_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(monkeypatch, tmp_path)
    names = ["generate", *scaling.STAGES]
    assert sorted(found["stages"]) == sorted(names)
    assert all(stage["seconds"] > 0 for stage in found["stages"].values())
    assert all(found["stages"][name]["share_of_arithmetic_limit"] > 0 for name in ("seed", "k-means", "dedup"))
    assert found["peak_memory_bytes"] > 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == names
    again = scaling.plan(found, 3000, clusters=12, iterations=2, cores=found["threads"])
    assert again["hours"].iloc[-1] * 3600 == pytest.approx(again["measured (s)"].iloc[-1])


def test_workers_are_measured_beside_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = measured(monkeypatch, tmp_path, "--workers", "1")["ways"]
    assert [way["workers"] for way in ways] == [0, 1]
    assert all(way["speed"] == pytest.approx(ways[0]["seconds"] / way["seconds"]) for way in ways)


def hours(**changes: int) -> dict[str, float]:
    asked = {"rows": 1000, "clusters": 10, "iterations": 4, "cores": 2} | changes
    return scaling.plan(MEASURED, **asked).set_index("stage")["hours"].to_dict()


def test_a_plan_of_the_same_work_takes_what_it_took() -> None:
    table = scaling.plan(MEASURED, 1000, clusters=10, iterations=4, cores=2, price=5.0)
    assert list(table.columns) == scaling.COLUMNS
    assert list(table["stage"]) == [*scaling.STAGES, "all"]
    assert (table["times"][:-1] == 1).all()
    assert list(table["hours"])[:-1] == pytest.approx([0.01] * 5)
    assert table["core hours"].iloc[-1] == pytest.approx(0.1)
    assert table["cost"].iloc[-1] == pytest.approx(0.5)


def test_each_stage_grows_in_its_own_way_and_cores_share_the_products() -> None:
    assert {stage: round(value / 0.01, 2) for stage, value in hours(rows=10_000).items() if stage != "all"} == {
        "seed": 10, "k-means": 10, "sort": 10, "dedup": 100, "selection": 13.33,
    }  # fmt: skip
    assert hours(clusters=20)["dedup"] == pytest.approx(0.005)
    assert hours(clusters=20)["seed"] == hours(clusters=20)["k-means"] == pytest.approx(0.02)
    assert hours(iterations=9)["k-means"] == pytest.approx(0.02)
    assert hours(cores=20)["k-means"] == pytest.approx(0.001)
    assert hours(cores=20)["sort"] == pytest.approx(0.01)


def test_what_can_not_be_planned_is_refused() -> None:
    for wrong in ({"rows": 0}, {"clusters": 2000}, {"cores": 0}):
        with pytest.raises(MedDELError, match="no plan for"):
            hours(**wrong)
