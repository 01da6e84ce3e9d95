"""Selectors that cover the pool: what they share, and k-center, herding and balanced clusters by their definitions."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meddel_kernels as kernels
from meddel.errors import MedDELError
from meddel.select import coverage, facility_location
from tests.meddel.select.cases import embeddings_of, index_of, kept, on_a_circle, ranked, rng, unit_rows

ALL = {
    "k-center": coverage.k_center,
    "herding": coverage.herding,
    "facility location": facility_location.facility_location,
    "facility location, stochastic": facility_location.facility_location_stochastic,
    "hierarchical": coverage.hierarchical,
}
every = pytest.mark.parametrize("select", ALL.values(), ids=ALL)


@every
def test_one_image_and_equal_images_are_ranked_too(select: Callable) -> None:
    assert ranked(select(np.ones((1, 4), np.float16), index_of(1), 1, rng())) == [0]
    table = select(np.full((20, 8), 0.1, np.float16), index_of(20), 7, rng())
    assert len(kept(table)) == 7
    assert {row["cosine"] for row in table.to_pylist() if not row["kept"]} == {1.0}


@every
def test_who_goes_is_told_its_nearest_kept_image(select: Callable) -> None:
    x, index = embeddings_of(70), index_of(70)
    rows = select(x, index, 9, rng()).to_pylist()
    unit = kernels.unit_rows(x)
    stay = [row for row in range(70) if rows[row]["kept"]]
    assert len(stay) == 9
    for row, told in enumerate(rows):
        if told["kept"]:
            assert (told["reason"], told["partner"]) == ("kept", None)
            continue
        cosines = unit[stay] @ unit[row]
        assert (told["reason"], told["partner"]) == ("not drawn", rows[stay[int(np.argmax(cosines))]]["id"])
        assert told["cosine"] == pytest.approx(cosines.max(), abs=1e-6)
        assert told["distance"] == pytest.approx(np.linalg.norm(unit[stay] - unit[row], axis=1).min(), abs=1e-6)


def test_k_center_takes_the_farthest_each_time() -> None:
    table = coverage.k_center(on_a_circle(0, 10, 80, 200), index_of(4), 3, starting_at(0, of=4))
    assert ranked(table) == [0, 3, 2, 1]  # 200 is 160 from 0, then 80 is 80 from 0, then 10 is left
    expected = [2 * np.sin(np.radians(apart / 2)) for apart in (160, 80)]
    rows = table.to_pylist()
    assert [rows[3]["distance"], rows[2]["distance"]] == pytest.approx(expected)
    assert rows[0]["distance"] is None


def starting_at(row: int, *, of: int) -> np.random.Generator:
    """A generator whose first draw is `row`."""
    return next(rng(seed) for seed in range(10_000) if rng(seed).integers(of) == row)


@settings(deadline=None, max_examples=60)
@given(unit_rows, st.data())
def test_k_center_is_within_twice_the_best_radius(unit: np.ndarray, data: st.DataObject) -> None:
    n = len(unit)
    budget = data.draw(st.integers(1, n))
    chosen = ranked(coverage.k_center(unit, index_of(n), budget, rng(data.draw(st.integers(0, 5)))))[:budget]
    distances = np.linalg.norm(unit[:, None] - unit, axis=2)
    radius = distances[:, chosen].min(axis=1).max()
    best = min(distances[:, list(rows)].min(axis=1).max() for rows in itertools.combinations(range(n), budget))
    assert radius <= 2 * best + 1e-12


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_herding_chooses_what_brings_the_mean_nearest(dtype: type) -> None:
    x = embeddings_of(60).astype(dtype)
    unit = kernels.unit_rows(x)
    order = ranked(coverage.herding(x, index_of(60), 60, rng()))
    for step in range(59):  # the last one has no choice
        left = [row for row in range(60) if row not in order[:step]]
        total = unit[order[:step]].sum(axis=0)
        misses = [np.linalg.norm(unit.mean(axis=0) - (total + unit[row]) / (step + 1)) for row in left]
        assert order[step] == left[int(np.argmin(misses))]


def test_the_mean_of_herding_is_nearer_than_that_of_random_images() -> None:
    x = embeddings_of(300)
    unit = kernels.unit_rows(x)

    def miss(rows: list[int]) -> float:
        return float(np.linalg.norm(unit[rows].mean(axis=0) - unit.mean(axis=0)))

    order = ranked(coverage.herding(x, index_of(300), 30, rng()))
    assert miss(order[:30]) < 0.5 * min(miss(rng(seed).permutation(300)[:30].tolist()) for seed in range(20))


def test_herding_by_hand() -> None:
    # the mean points to 30 degrees; then what balances the first best
    table = coverage.herding(on_a_circle(0, 30, 60, 31), index_of(4), 3, rng())
    assert ranked(table)[0] == 1
    mean = on_a_circle(0, 30, 60, 31).mean(axis=0)
    second = np.argsort(-(on_a_circle(0, 60, 31) @ (2 * mean - on_a_circle(30)[0])))[0]
    assert ranked(table)[1] == [0, 2, 3][second]


def unequal_clusters() -> tuple[np.ndarray, np.ndarray]:
    """Four tight groups of 5, 50, 300 and 500 rows, mixed."""
    draw = rng(3)
    group = draw.permutation(np.repeat(range(4), [5, 50, 300, 500]))
    return 10 * np.eye(4, 12)[group] + 0.1 * draw.normal(size=(len(group), 12)), group


@pytest.mark.parametrize("keep", ["random", "near", "far"])
def test_every_cluster_gives_as_many_until_it_is_empty(keep: str) -> None:
    x, group = unequal_clusters()
    for budget, expected in [(4, [1] * 4), (20, [5] * 4), (80, [5, 25, 25, 25]), (655, [5, 50, 300, 300])]:
        table = coverage.hierarchical(x, index_of(len(x)), budget, rng(), levels=[4], keep=keep)
        assert np.bincount(group[table["kept"].to_numpy()], minlength=4).tolist() == expected


def test_each_level_is_balanced_by_itself() -> None:
    # rows 0 to 29 lie in cluster 0 of the lowest level, 30 to 34 in 1, 35 to 49 in 2; 0 and 1 belong together above
    parents = [np.repeat([0, 1, 2], [30, 5, 15]), np.array([0, 0, 1])]
    order = coverage.balanced(parents, np.arange(50), rng())
    for budget in range(1, 51):
        first, second, third = np.bincount(parents[0][order[:budget]], minlength=3)
        assert abs(first + second - third) <= 1 or third == 15
        assert abs(first - second) <= 1 or second == 5
    assert [row for row in order if row < 30] == list(range(30)), "within a cluster by the value given"


def test_a_hierarchy_gives_the_rare_kinds_more_than_random_does() -> None:
    x, group = unequal_clusters()
    table = coverage.hierarchical(x, index_of(len(x)), 80, rng())
    share = np.bincount(group[table["kept"].to_numpy()], minlength=4) / np.bincount(group)
    assert share[0] > 0.8 and share[3] < 80 / len(x)


def test_near_keeps_the_nearest_of_each_cluster() -> None:
    x, _ = unequal_clusters()
    tables = {
        keep: coverage.hierarchical(x, index_of(len(x)), 40, rng(), levels=[4], keep=keep) for keep in ("near", "far")
    }
    unit = kernels.unit_rows(x)
    cluster = tables["near"]["cluster"].to_numpy()
    assert tables["far"]["cluster"].to_numpy().tolist() == cluster.tolist()
    for number in range(4):
        rows = np.flatnonzero(cluster == number)
        if len(rows) < 20:
            continue
        apart = np.linalg.norm(unit[rows] - unit[rows].mean(axis=0), axis=1)
        means = [apart[tables[keep]["kept"].to_numpy()[rows]].mean() for keep in ("near", "far")]
        assert means[0] < np.median(apart) < means[1]


@pytest.mark.parametrize(("select", "setting"), [
    (coverage.hierarchical, {"levels": ()}), (coverage.hierarchical, {"levels": (2, 3)}),
    (coverage.hierarchical, {"levels": (11,)}), (coverage.hierarchical, {"levels": (2, 0)}),
    (coverage.hierarchical, {"resamplings": -1}), (coverage.hierarchical, {"keep": "best"}),
    (facility_location.facility_location, {"k": 11}), (facility_location.facility_location, {"k": 0}),
    (facility_location.facility_location, {"largest": 0}),
    (facility_location.facility_location_stochastic, {"sample": 0}),
])  # fmt: skip
def test_settings_out_of_range_are_refused(select: Callable, setting: dict) -> None:
    with pytest.raises(MedDELError, match=r"give|choose"):
        select(embeddings_of(10), index_of(10), 5, rng(), **setting)
