"""Where K-means starts: weighted k-means++, k-means|| and several starts, by every back end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from meddel_kernels import assign, kmeans, kmeans_parallel, kmeans_plus_plus, seeding
from meddel_kernels.backends import back_end
from tests.kernels.kernel_cases import assert_same, blobs

backends = pytest.mark.parametrize("backend", ["reference", "cpu"])


@backends
def test_plus_plus_draws_by_weight_times_squared_distance(backend: str) -> None:
    # Row 0 is first in a ninth of the draws. From there the odds of rows 1 and 2 are 1 * 6 to 9 * 2.
    x, weights = np.array([[0.0], [1.0], [3.0]]), np.array([0.1, 0.6, 0.2])
    rows = back_end(backend).rows(x, 1)
    starts = [seeding.plus_plus(rows, 2, np.random.default_rng(seed), weights) for seed in range(3000)]
    from_zero = [second for first, second in starts if first == 0]
    assert len(from_zero) == pytest.approx(3000 / 9, abs=60)
    assert np.mean(np.array(from_zero) == 2) == pytest.approx(0.75, abs=0.08)


def test_draws_go_to_rows_with_weight_while_there_are_any() -> None:
    x, weights = np.full((6, 2), 0.1), np.array([0.0, 2.0, 0.0, 1.0, 0.0, 1.0])
    for draw in (kmeans_plus_plus, kmeans_parallel):
        chosen = draw(x, 6, seed=0, weights=weights, backend="reference")
        assert set(chosen[:3]) == {1, 3, 5}
        assert sorted(chosen) == list(range(6))


@backends
def test_several_starts_return_the_least_inertia_and_the_earliest_of_equals(backend: str) -> None:
    x = blobs(200, 6, 9, spread=0.2)
    rows = back_end("reference").rows(x, 1)
    tries = []
    for turn in range(6):
        rng = np.random.default_rng([8, turn] if turn else 8)
        tries.append(kmeans(x, 9, start=x[seeding.plus_plus(rows, 9, rng)], backend=backend))
    inertias = [result.inertia for result in tries]
    assert np.argmin(inertias) > 0 and len(set(inertias)) > 1
    for starts in (1, 3, 6):
        best = tries[int(np.argmin(inertias[:starts]))]
        assert_same(kmeans(x, 9, seed=8, starts=starts, backend=backend), best)
    corners = np.repeat(np.eye(3), 4, axis=0)
    for starts in range(2, 6):
        several = kmeans(corners, 3, seed=1, starts=starts, backend=backend)
        assert_same(several, kmeans(corners, 3, seed=1, backend=backend))


def parallel_by_hand(x: np.ndarray, k: int, seed: int, oversampling: float, rounds: int, w: np.ndarray) -> np.ndarray:
    def squares(to: list) -> np.ndarray:
        return np.square(x[:, None] - x[None, to]).sum(axis=2)

    rng = np.random.default_rng(seed)
    total = np.cumsum(w)
    candidates = [int(np.searchsorted(total, rng.random() * total[-1], side="right"))]
    for _ in range(rounds):
        chances = w * squares(candidates).min(axis=1)
        keep = rng.random(len(x)) < oversampling * k * chances / np.cumsum(chances)[-1]
        candidates += list(np.flatnonzero(keep))
    mass = np.bincount(squares(candidates).argmin(axis=1), w, minlength=len(candidates))
    chosen: list[int] = []
    while len(chosen) < k:
        least = squares([candidates[i] for i in chosen])[candidates].min(axis=1) if chosen else np.ones(len(candidates))
        total = np.cumsum(mass * least)
        chosen.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))
    return np.array(candidates)[chosen]


@backends
@pytest.mark.parametrize(("oversampling", "rounds"), [(2.0, 5), (0.9, 4), (6.0, 1)])
@pytest.mark.parametrize("grid", [False, True])
def test_parallel_is_the_brute_force_draw(backend: str, oversampling: float, rounds: int, grid: bool) -> None:
    rng = np.random.default_rng(4)
    x = rng.integers(-9, 10, size=(300, 2)).astype(float) if grid else blobs(300, 9, 6)
    weights, options = rng.gamma(0.7, size=300), {"oversampling": oversampling, "rounds": rounds}
    for seed in range(4):
        ours = kmeans_parallel(x, 8, seed=seed, weights=weights, backend=backend, **options)
        np.testing.assert_array_equal(ours, parallel_by_hand(x, 8, seed, oversampling, rounds, weights))


@backends
def test_parallel_of_few_rows_chooses_distinct_ones(backend: str) -> None:
    twins = np.repeat(blobs(4, 30, 4), 5, axis=0)
    assert {row // 5 for row in kmeans_parallel(twins, 4, seed=1, backend=backend)} == {0, 1, 2, 3}
    for rounds in (0, 1, 5):
        chosen = kmeans_parallel(twins, 20, seed=2, rounds=rounds, backend=backend)
        assert sorted(chosen) == list(range(20))
        assert {row // 5 for row in chosen[:4]} == {0, 1, 2, 3} or rounds
    none = kmeans_parallel(twins, 6, seed=3, rounds=0, backend=backend)
    np.testing.assert_array_equal(none, kmeans_plus_plus(twins, 6, seed=3, backend=backend))
    np.testing.assert_array_equal(kmeans_parallel([[7.0]], 1, seed=0, backend=backend), [0])


def test_parallel_starts_as_well_as_plus_plus_does() -> None:
    x = blobs(1500, 8, 25, spread=0.15)

    def cost(draw: Callable, seed: int) -> float:
        return float(np.square(assign(x, x[draw(x, 25, seed=seed, backend="reference")], backend="reference")[1]).sum())

    parallel, plus_plus = ([cost(draw, seed) for seed in range(25)] for draw in (kmeans_parallel, kmeans_plus_plus))
    assert np.mean(parallel) < 1.05 * np.mean(plus_plus)
    uniform = [cost(lambda x, k, seed, backend: np.random.default_rng(seed).choice(len(x), k), s) for s in range(25)]
    assert np.mean(parallel) < 0.7 * np.mean(uniform)
    x, ends = blobs(1500, 8, 25), {}
    for start in ("k-means||", "k-means++"):
        found = [kmeans(x, 25, seed=seed, start=start, backend="reference").inertia for seed in range(6)]
        ends[start] = np.mean(found)
    assert ends["k-means||"] < 1.03 * ends["k-means++"]
