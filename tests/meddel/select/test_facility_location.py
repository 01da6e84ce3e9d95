"""Facility location: the lazy greedy, the stochastic one and clusters, against the definition and the best set."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import meddel_kernels as kernels
from meddel.select.facility_location import facility_location, facility_location_stochastic, lazy_greedy, whole_cosines
from tests.meddel.select.cases import embeddings_of, index_of, on_a_circle, ranked, rng, unit_rows


@settings(deadline=None, max_examples=80)
@given(unit_rows)
def test_the_lazy_greedy_is_the_plain_one(unit: np.ndarray) -> None:
    whole = whole_cosines(unit)
    order, gains = lazy_greedy(whole)
    best = np.zeros(len(unit), np.int64)
    for step in range(len(unit)):
        plain = np.maximum(whole - best, 0).sum(axis=1, dtype=np.int64)
        plain[order[:step]] = -1
        assert (order[step], gains[step]) == (plain.argmax(), plain.max())
        best = np.maximum(best, whole[order[step]])


def test_the_lazy_greedy_is_the_plain_one_on_more_rows_and_with_twins() -> None:
    unit = kernels.unit_rows(np.concatenate([embeddings_of(150), embeddings_of(150)[::3]]))
    whole = whole_cosines(unit)
    order, _ = lazy_greedy(whole)
    best, left = np.zeros(200, np.int64), np.ones(200, bool)
    for row in order:
        assert row == np.where(left, np.maximum(whole - best, 0).sum(axis=1, dtype=np.int64), -1).argmax()
        best, left[row] = np.maximum(best, whole[row]), False


def value(unit: np.ndarray, rows: list[int]) -> float:
    """Facility location of the rows, by its definition."""
    return float(np.maximum(unit @ unit[rows].T, 0).max(axis=1).sum())


@settings(deadline=None, max_examples=60)
@given(unit_rows, st.data())
def test_the_greedy_reaches_its_share_of_the_best_value(unit: np.ndarray, data: st.DataObject) -> None:
    n = len(unit)
    budget = data.draw(st.integers(1, n))
    chosen = ranked(facility_location(unit, index_of(n), budget, rng()))[:budget]
    best = max(value(unit, list(rows)) for rows in itertools.combinations(range(n), budget))
    assert value(unit, chosen) >= (1 - 1 / np.e) * best


def test_merged_clusters_are_the_greedy_on_all_of_them() -> None:
    x, index = embeddings_of(200), index_of(200)
    table = facility_location(x, index, 40, rng(), k=6)
    cluster, unit = table["cluster"].to_numpy(), kernels.unit_rows(x)
    assert len(set(cluster)) == 6
    together = whole_cosines(unit) * (cluster[:, None] == cluster)
    assert ranked(table) == lazy_greedy(together.astype(np.int32))[0].tolist()


def test_clusters_that_are_too_large_are_cut() -> None:
    equal = np.full((50, 8), 0.1)
    for select in (facility_location, facility_location_stochastic):
        table = select(equal, index_of(50), 5, rng(), largest=20)
        assert sorted(np.bincount(table["cluster"].to_numpy())) == [16, 17, 17]
        assert table["kept"].to_numpy().sum() == 5


def test_facility_location_by_hand() -> None:
    # three of a kind around 5 degrees and one apart: the middle one covers most, then the one apart
    table = facility_location(on_a_circle(0, 5, 10, 110), index_of(4), 2, rng())
    assert ranked(table)[:2] == [1, 3]
    assert table["partner"].to_pylist() == ["source/00001", None, "source/00001", None]


def test_the_stochastic_greedy_that_draws_everything_is_the_greedy() -> None:
    x, index = embeddings_of(40), index_of(40)
    plain = facility_location(x, index, 10, rng())
    # 2,000 draws with replacement leave out one of 40 images in one of 10^18 runs
    drawn = facility_location_stochastic(x, index, 10, rng(), sample=2000)
    assert plain.equals(drawn)


def test_the_stochastic_greedy_keeps_its_bound_on_average() -> None:
    x, index, n, budget, sample = embeddings_of(120), index_of(120), 120, 12, 20
    unit = kernels.unit_rows(x)
    lazy = value(unit, ranked(facility_location(x, index, budget, rng()))[:budget])
    values = [
        value(
            unit,
            ranked(facility_location_stochastic(x, index, budget, rng(seed), sample=sample))[:budget],
        )
        for seed in range(20)
    ]
    assert len(set(values)) > 1
    most = lazy / (1 - 1 / np.e)  # no set is better than this
    assert np.mean(values) >= (1 - 1 / np.e - np.exp(-sample * budget / n)) * min(most, n)
