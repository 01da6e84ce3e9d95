"""Where K-means starts: k-means++ and k-means||, by every back end, against their draws by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from meddel_kernels import assign, kmeans, kmeans_parallel, kmeans_plus_plus
from tests.kernels.kernel_cases import blobs, embeddings, nearest_by_hand

backends = pytest.mark.parametrize("backend", ["reference", "cpu"])


def test_plus_plus_draws_by_squared_distance(kernels: SimpleNamespace) -> None:
    # Row 0 or 1 first, then with distances 1 and 3 to the others: the odds are 1 to 9.
    x = np.array([[0.0], [1.0], [3.0]])
    starts = [kernels.kmeans_plus_plus(x, 2, seed=seed) for seed in range(2000)]
    from_zero = [second for first, second in starts if first == 0]
    assert len(from_zero) == pytest.approx(2000 / 3, abs=100)
    assert np.mean(np.array(from_zero) == 2) == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_plus_plus_is_the_brute_force_draw(kernels: SimpleNamespace, shift: float) -> None:
    x = blobs(200, 19, 5) + shift
    rng = np.random.default_rng(8)
    expected = [rng.integers(200)]
    while len(expected) < 12:
        total = np.cumsum(np.square(nearest_by_hand(x, x[expected])[1]))
        expected.append(np.searchsorted(total, rng.random() * total[-1], side="right"))
    np.testing.assert_array_equal(kernels.kmeans_plus_plus(x, 12, seed=8), expected)


def test_plus_plus_chooses_distinct_rows_even_if_all_are_equal(kernels: SimpleNamespace) -> None:
    chosen = kernels.kmeans_plus_plus(np.full((7, 3), 0.1), 7, seed=0)
    assert sorted(chosen) == list(range(7))
    twins = np.repeat(blobs(4, 30, 4), 5, axis=0)
    assert {row // 5 for row in kernels.kmeans_plus_plus(twins, 4, seed=1)} == {0, 1, 2, 3}


@pytest.mark.parametrize("k", [2, 60])
def test_plus_plus_draws_the_same_rows(k: int) -> None:
    x = embeddings(2000, 100, seed=4)
    np.testing.assert_array_equal(
        kmeans_plus_plus(x, k, seed=3, backend="cpu"), kmeans_plus_plus(x, k, seed=3, backend="reference")
    )


@backends
def test_plus_plus_draws_by_weight_times_squared_distance(backend: str) -> None:
    # Row 0 is first in a ninth of the draws. From there the odds of rows 1 and 2 are 1 * 6 to 9 * 2.
    x, weights = np.array([[0.0], [1.0], [3.0]]), np.array([0.1, 0.6, 0.2])
    starts = [kmeans_plus_plus(x, 2, seed=seed, weights=weights, backend=backend) for seed in range(3000)]
    from_zero = [second for first, second in starts if first == 0]
    assert len(from_zero) == pytest.approx(3000 / 9, abs=60)
    assert np.mean(np.array(from_zero) == 2) == pytest.approx(0.75, abs=0.08)


def test_draws_go_to_rows_with_weight_while_there_are_any() -> None:
    x, weights = np.full((6, 2), 0.1), np.array([0.0, 2.0, 0.0, 1.0, 0.0, 1.0])
    for draw in (kmeans_plus_plus, kmeans_parallel):
        chosen = draw(x, 6, seed=0, weights=weights, backend="reference")
        assert set(chosen[:3]) == {1, 3, 5}
        assert sorted(chosen) == list(range(6))


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


X = np.ones((5, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kmeans_plus_plus(X, 2, seed=0, weights=np.zeros(5)), "weights"),
        (lambda: kmeans_plus_plus(X, 6, seed=0), "k 6"),
        (lambda: kmeans_parallel(X, 0, seed=0), "k 0"),
        (lambda: kmeans_parallel(X, 2, seed=0, oversampling=0), "oversampling 0"),
        (lambda: kmeans_parallel(X, 2, seed=0, oversampling=np.inf), "oversampling inf"),
        (lambda: kmeans_parallel(X, 2, seed=0, rounds=-1), "rounds -1"),
    ],
)
def test_wrong_input_is_refused(call: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
