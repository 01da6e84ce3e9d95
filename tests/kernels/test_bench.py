"""The benchmark: its peers answer the question that they are measured for, and its table says what was measured."""

from __future__ import annotations

import csv
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "kernels" / "bench"
NAMES = ("cases", "measure", "table")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.syspath_prepend(str(BENCH))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    for name in NAMES:
        del sys.modules[name]


@pytest.fixture
def x(bench: SimpleNamespace) -> np.ndarray:
    return bench.cases.embeddings(400, 64)


def test_peers_of_k_means_come_to_the_same_centroids(bench: SimpleNamespace, x: np.ndarray) -> None:
    case = bench.cases.k_means(x, 7, 1)
    for name in ("FAISS", "scikit-learn"):
        np.testing.assert_allclose(case.jobs[name](), case.jobs[case.ours]().centroids, atol=1e-3)
    case = bench.cases.assign(x, 7, 1)
    np.testing.assert_array_equal(case.jobs["FAISS"](), case.jobs[case.ours]()[0])


@pytest.mark.parametrize("clusters", [1, 5])
def test_peers_of_the_cosines_find_the_same_ones(bench: SimpleNamespace, x: np.ndarray, clusters: int) -> None:
    greatest = bench.cases.row_max(x, clusters, 1)
    duplicates = bench.cases.dedup(x, clusters, 1)
    cosine = np.maximum(greatest.jobs[greatest.ours]().cosine, 0)
    for name in ("NumPy, tiles of the triangle", "NumPy, whole matrix (SemDeDup)"):
        np.testing.assert_allclose(greatest.jobs[name](), cosine, atol=1e-5)
        found = duplicates.jobs[name]() > bench.cases.THRESHOLD
        np.testing.assert_array_equal(found, duplicates.jobs[duplicates.ours]() >= 0)


def test_peers_of_neighbours_and_hashes_find_the_same_ones(bench: SimpleNamespace, x: np.ndarray) -> None:
    case = bench.cases.neighbours(x, 5, 1)
    np.testing.assert_array_equal(case.jobs["FAISS"]()[:, 1:], case.jobs[case.ours]().neighbour)
    case = bench.cases.hashes(900, 2, 8, 2)
    ours = np.stack(case.jobs[case.ours](), axis=1)
    assert len(ours) >= 80
    np.testing.assert_array_equal(case.jobs["FAISS"](), ours)


def test_every_rung_of_the_ladder_gives_the_same_labels(bench: SimpleNamespace) -> None:
    first, *others = bench.cases.ladder(400, 150, 1).jobs.values()
    expected = first()
    for job in others:
        found = job()
        np.testing.assert_array_equal((found[0] if isinstance(found, tuple) else found)[: len(expected)], expected)


def test_cases_name_their_data_and_real_features_need_a_folder(bench: SimpleNamespace, x: np.ndarray) -> None:
    names, with_real = (list(bench.cases.all_cases(real, 0.01)) for real in (None, x))
    assert not any("real" in name or "jittered" in name for name in names)
    assert {"real features, 400 x 64", "ten jittered repeats, 4,000 x 64"} <= {
        name.split(", k ")[0].removeprefix("K-means, ") for name in with_real
    }


def test_the_headline_has_the_worst_case_and_the_best(bench: SimpleNamespace, tmp_path: Path) -> None:
    results = {"meddel_kernels": 1.0, "FAISS": 0.5, "scikit-learn": 3.0}, {"meddel_kernels": 1.0, "FAISS": 4.0}
    rows = []
    for name, seconds in zip(("noise", "friendly"), results, strict=True):
        found = {job: {"seconds": value, "extra_mb": 1.0} for job, value in seconds.items()}
        rows += bench.table.rows_of(name, found, "meddel_kernels", 2)
    bench.table.write(rows, tmp_path / "cpu.csv")
    assert list(csv.DictReader((tmp_path / "cpu.csv").open(encoding="utf-8"))) == rows
    assert bench.table.headline(rows) == (
        "Against the best peer: at worst 0.50 x FAISS (noise); at best 4.00 x FAISS (friendly)."
    )


def test_the_readme_holds_what_was_recorded(bench: SimpleNamespace) -> None:
    rows = list(csv.DictReader((BENCH / "results" / "cpu.csv").open(encoding="utf-8")))
    text = (BENCH.parent / "README.md").read_text(encoding="utf-8")
    assert bench.table.renewed(text, rows) == text
