"""Facility location: the lazy greedy, the stochastic one and clusters, against the definition and the best set."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meddel_kernels as kernels
from meddel.select import facility_location
from tests.meddel.selector_cases import embeddings_of, index_of, on_a_circle, ranked, rng, unit_rows


@settings(deadline=None, max_examples=80)
@given(unit_rows)
def test_the_lazy_greedy_is_the_plain_one(unit: np.ndarray) -> None:
    whole = facility_location.whole_cosines(unit)
    order, gains = facility_location.lazy_greedy(whole)
    best = np.zeros(len(unit), np.int64)
    for step in range(len(unit)):
        plain = np.maximum(whole - best, 0).sum(axis=1, dtype=np.int64)
        plain[order[:step]] = -1
        assert (order[step], gains[step]) == (plain.argmax(), plain.max())
        best = np.maximum(best, whole[order[step]])


def test_the_lazy_greedy_is_the_plain_one_on_more_rows_and_with_twins() -> None:
    unit = kernels.unit_rows(np.concatenate([embeddings_of(150), embeddings_of(150)[::3]]))
    whole = facility_location.whole_cosines(unit)
    order, _ = facility_location.lazy_greedy(whole)
    best, left = np.zeros(200, np.int64), np.ones(200, bool)
    for row in order:
        assert row == np.where(left, np.maximum(whole - best, 0).sum(axis=1, dtype=np.int64), -1).argmax()
        best, left[row] = np.maximum(best, whole[row]), False


def test_the_gains_are_those_of_the_kernel() -> None:
    unit = kernels.unit_rows(embeddings_of(120))
    order, gains = facility_location.lazy_greedy(facility_location.whole_cosines(unit))
    best = np.zeros(120)
    for step, row in enumerate(order[:20]):
        told = kernels.facility_location_gains(unit, np.arange(120), np.array([0, 120]), best)
        assert gains[step] / facility_location.ONE == pytest.approx(told.gains[row], abs=120 / facility_location.ONE)
        assert told.gains.max() <= told.gains[row] + 240 / facility_location.ONE
        best = np.maximum(best, np.clip(unit @ unit[row], 0, 1))


def value(unit: np.ndarray, rows: list[int]) -> float:
    """Facility location of the rows, by its definition."""
    return float(np.maximum(unit @ unit[rows].T, 0).max(axis=1).sum())


@settings(deadline=None, max_examples=60)
@given(unit_rows, st.data())
def test_the_greedy_reaches_its_share_of_the_best_value(unit: np.ndarray, data: st.DataObject) -> None:
    n = len(unit)
    budget = data.draw(st.integers(1, n))
    chosen = ranked(facility_location.select(unit, index_of(n), budget, rng()))[:budget]
    best = max(value(unit, list(rows)) for rows in itertools.combinations(range(n), budget))
    assert value(unit, chosen) >= (1 - 1 / np.e) * best


def test_merged_clusters_are_the_greedy_on_all_of_them() -> None:
    x, index = embeddings_of(200), index_of(200)
    table = facility_location.select(x, index, 40, rng(), k=6)
    cluster, unit = table["cluster"].to_numpy(), kernels.unit_rows(x)
    assert len(set(cluster)) == 6
    together = facility_location.whole_cosines(unit) * (cluster[:, None] == cluster)
    assert ranked(table) == facility_location.lazy_greedy(together.astype(np.int32))[0].tolist()


def test_clusters_that_are_too_large_are_cut() -> None:
    equal = np.full((50, 8), 0.1)
    for select in (facility_location.select, facility_location.select_stochastic):
        table = select(equal, index_of(50), 5, rng(), largest=20)
        assert sorted(np.bincount(table["cluster"].to_numpy())) == [16, 17, 17]
        assert table["kept"].to_numpy().sum() == 5


def test_facility_location_by_hand() -> None:
    # three of a kind around 5 degrees and one apart: the middle one covers most, then the one apart
    table = facility_location.select(on_a_circle(0, 5, 10, 110), index_of(4), 2, rng())
    assert ranked(table)[:2] == [1, 3]
    assert table["partner"].to_pylist() == ["source/00001", None, "source/00001", None]


def test_the_stochastic_greedy_that_draws_everything_is_the_greedy() -> None:
    x, index = embeddings_of(40), index_of(40)
    plain = facility_location.select(x, index, 10, rng())
    # 2,000 draws with replacement leave out one of 40 images in one of 10^18 runs
    drawn = facility_location.select_stochastic(x, index, 10, rng(), sample=2000)
    assert plain.equals(drawn)


def test_the_stochastic_greedy_keeps_its_bound_on_average() -> None:
    x, index, n, budget, sample = embeddings_of(120), index_of(120), 120, 12, 20
    unit = kernels.unit_rows(x)
    lazy = value(unit, ranked(facility_location.select(x, index, budget, rng()))[:budget])
    values = [
        value(unit, ranked(facility_location.select_stochastic(x, index, budget, rng(seed), sample=sample))[:budget])
        for seed in range(20)
    ]
    assert len(set(values)) > 1
    most = lazy / (1 - 1 / np.e)  # no set is better than this
    assert np.mean(values) >= (1 - 1 / np.e - np.exp(-sample * budget / n)) * min(most, n)
