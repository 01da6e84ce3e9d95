"""The benchmark's tables say what its last run measured, and its jobs do what they are measured for."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "kernels" / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(str(BENCH))
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(BENCH)):
            del sys.modules[name]


def test_the_readme_holds_the_results_of_the_last_run(bench) -> None:
    report = bench("report")
    text = report.README.read_text(encoding="utf-8")
    assert report.renewed(text) == text
    changed = text.replace(" x;", " y;", 1)
    assert changed != text and report.renewed(changed) == text


@pytest.mark.parametrize("build", ["kmeans", "dedup", "row_max"])
def test_ours_and_the_peers_answer_the_same_question(bench, build: str) -> None:
    comparisons, x = bench("comparisons"), bench("embeddings").made_up(600, 32, seed=0, groups=4, concepts=9)
    case = getattr(comparisons, build)(x, 7, 1)
    ours = case.jobs[case.ours]()
    if build == "kmeans":
        for name in ("FAISS", "scikit-learn", "torch"):
            np.testing.assert_allclose(case.jobs[name](), ours.centroids, atol=1e-3)
        return
    for name in ("SemDeDup's way", "NeMo Curator's way"):
        greatest = case.jobs[name]()
        if build == "dedup":
            np.testing.assert_array_equal(greatest > comparisons.THRESHOLD, ours >= 0)
        else:
            np.testing.assert_allclose(greatest, np.maximum(ours.cosine, 0), atol=1e-5)


@pytest.fixture
def x(bench) -> np.ndarray:
    return bench("embeddings").made_up(400, 130, seed=0, groups=4, concepts=40)


def test_every_rung_of_the_assignment_gives_the_same_labels(bench, x: np.ndarray) -> None:
    labels = {name: job() for name, job in bench("ladders").assignment(x, 150, 1).jobs.items()}
    first = labels.pop("three lines of NumPy")
    for name, found in labels.items():
        np.testing.assert_array_equal(found[0] if isinstance(found, tuple) else found, first, err_msg=name)


def test_every_exact_rung_of_the_seeding_draws_the_same_rows(bench, x: np.ndarray) -> None:
    drawn = {name: job() for name, job in bench("ladders").seeding(x, 9, 1).jobs.items()}
    ours = drawn["int8 bound"]
    for name, rows in drawn.items():
        assert len(set(rows.tolist())) == 9
        if "inexact" not in name:
            np.testing.assert_array_equal(rows, ours, err_msg=name)


def test_every_rung_of_the_update_adds_up_the_same_rows(bench, x: np.ndarray) -> None:
    jobs = bench("ladders").update(x, 7, 1).jobs
    expected = jobs["np.add.at, float64"]()
    np.testing.assert_allclose(jobs["one-hot product, SciPy, float32"](), expected, atol=1e-4)
    np.testing.assert_allclose(jobs["index_add_ of torch, float32"](), expected, atol=1e-4)
    np.testing.assert_allclose(jobs["fixed point, all rows"](), expected, atol=1e-4)
    found = [jobs["rows that moved"]() for _ in range(2)]
    assert min(np.abs(sums - expected).max() for sums in found) < 1e-4


def test_every_rung_gives_the_same_distances(bench, x: np.ndarray) -> None:
    first, *others = [job() for job in bench("ladders").to_centroids(x, 7, 1).jobs.values()]
    for found in others:
        np.testing.assert_array_equal(found, first)


def test_every_rung_finds_the_same_neighbours(bench, x: np.ndarray) -> None:
    jobs = bench("ladders").neighbours(x, 5, 1).jobs
    ours = jobs.pop("int8 screen")().neighbour
    np.testing.assert_array_equal(jobs.pop("FAISS, flat index (inexact)")()[:, 1:], ours)
    for name, job in jobs.items():
        np.testing.assert_array_equal(job(), ours, err_msg=name)


def test_every_rung_computes_the_same_gains(bench, x: np.ndarray) -> None:
    jobs = bench("ladders").gains(x, 10, 1).jobs
    ours = jobs["int8 screen"]().gains
    for name in ("whole matrix, float64", "tiles, float32 (inexact)"):
        np.testing.assert_allclose(jobs[name](), ours, atol=1e-4, err_msg=name)
    assert (jobs["every cosine exact: nothing is chosen yet"]().gains >= ours).all()


def test_what_is_not_measured_again_stays_in_the_table(bench, tmp_path: Path) -> None:
    table, machine = bench("results_table"), bench("measure").machine()
    path = tmp_path / "table.csv"
    rows = [
        {"case": name, "name": "ours", "threads": threads, "on": on}
        for name, threads, on in [
            ("a", 2, machine),
            ("b", 2, machine),
            ("b", 1, machine),
            ("c", 2, "?"),
        ]
    ]
    table.written(rows, path)
    kept = table.earlier(path, 2)
    assert list(kept) == ["a", "b"] and all(len(found) == 1 for found in kept.values())
    assert table.earlier(tmp_path / "none.csv", 2) == {}
