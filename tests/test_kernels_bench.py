"""The benchmark's tables say what its last run measured, and its jobs do what they are measured for."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[1] / "kernels" / "bench"


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
    cases, x = bench("cases"), bench("embeddings").made_up(600, 32, seed=0, groups=4, concepts=9)
    case = getattr(cases, build)(x, 7, 1)
    ours = case.jobs[case.ours]()
    if build == "kmeans":
        for name in ("FAISS", "scikit-learn", "torch"):
            np.testing.assert_allclose(case.jobs[name](), ours.centroids, atol=1e-3)
        return
    for name in ("SemDeDup's way", "NeMo Curator's way"):
        greatest = case.jobs[name]()
        if build == "dedup":
            np.testing.assert_array_equal(greatest > cases.THRESHOLD, ours >= 0)
        else:
            np.testing.assert_allclose(greatest, np.maximum(ours.cosine, 0), atol=1e-5)


def test_every_rung_of_a_ladder_gives_the_same_labels(bench) -> None:
    cases, x = bench("cases"), bench("embeddings").made_up(400, 130, seed=0, groups=4, concepts=40)
    case = cases.assignment_ladder(x, 150, 1)
    labels = {name: job() for name, job in case.jobs.items()}
    first = labels.pop("three lines of NumPy")
    for name, found in labels.items():
        np.testing.assert_array_equal(found[0] if isinstance(found, tuple) else found, first, err_msg=name)
