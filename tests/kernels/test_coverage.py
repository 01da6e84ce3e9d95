"""k-center and the nearest kept row, by every back end, against brute force."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddel_kernels import farthest_point, nearest_kept
from tests.kernels.kernel_cases import GRIDS

backends = pytest.mark.parametrize("backend", ["reference", "cpu"])


def table(x: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs, float64 [n, n]."""
    return np.square(x[:, None].astype(np.float64) - x[None]).sum(axis=2)


@backends
@settings(deadline=None, max_examples=60)
@given(GRIDS, st.data())
def test_farthest_point_is_the_brute_force_choice(backend: str, x: np.ndarray, data: st.DataObject) -> None:
    m, start = data.draw(st.integers(1, len(x))), data.draw(st.integers(0, len(x) - 1))
    chosen, distances, told = [start], [np.inf], []
    while len(chosen) < m:
        left = [row for row in range(len(x)) if row not in chosen]
        least = table(x)[left][:, chosen].min(axis=1)
        chosen.append(left[int(least.argmax())])
        distances.append(np.sqrt(least.max()))
    result = farthest_point(x, m, start=start, callback=lambda *step: told.append(step), backend=backend)
    np.testing.assert_array_equal(result.rows, chosen)
    np.testing.assert_allclose(result.distances, distances, rtol=1e-15)
    assert told == list(zip(range(1, m + 1), result.distances, strict=True))
    assert result.rows.dtype == np.int64 and result.distances.dtype == np.float64


@backends
def test_farthest_point_covers_within_twice_the_best_radius(backend: str) -> None:
    x = np.random.default_rng(0).normal(size=(14, 2))
    distance = np.sqrt(table(x))
    best = min(distance[list(rows)].min(axis=0).max() for rows in combinations(range(14), 3))
    for seed in range(20):
        rows, distances = farthest_point(x, 4, seed=seed, backend=backend)
        assert distance[rows[:3]].min(axis=0).max() == pytest.approx(distances[3])
        assert distances[3] <= 2 * best
        assert all(later <= earlier for earlier, later in pairwise(distances))
    first = {int(farthest_point(x, 1, seed=seed, backend=backend).rows[0]) for seed in range(60)}
    assert len(first) > 10


@backends
@settings(deadline=None, max_examples=60)
@given(GRIDS, st.data())
def test_nearest_kept_is_the_brute_force_argmin(backend: str, x: np.ndarray, data: st.DataObject) -> None:
    kept = data.draw(st.permutations(range(len(x))))[: data.draw(st.integers(1, len(x)))]
    result = nearest_kept(x, kept, backend=backend)
    squares = table(x)[:, kept]
    np.testing.assert_array_equal(result.kept, np.array(kept)[squares.argmin(axis=1)])
    np.testing.assert_allclose(result.distances, np.sqrt(squares.min(axis=1)), rtol=1e-15)
    assert result.kept.dtype == np.int64


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_answer_on_every_back_end(dtype: type) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 70))[rng.integers(40, size=300)] + 1e-3 * rng.integers(0, 2, size=(300, 1))
    x = (x + 10).astype(dtype)
    expected = farthest_point(x, 60, start=7, backend="reference")
    assert expected.distances[59] < 1 < expected.distances[20]  # past one row of each kind, near duplicates tie
    near = nearest_kept(x, expected.rows[::-1], backend="reference")
    for threads in (1, 3):
        for ours, theirs in zip(farthest_point(x, 60, start=7, backend="cpu", threads=threads), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        ours = nearest_kept(x, expected.rows[::-1], backend="cpu", threads=threads)
        np.testing.assert_array_equal(ours.kept, near.kept)
        np.testing.assert_array_equal(ours.distances, near.distances)


@backends
def test_equal_rows_are_chosen_in_their_order(backend: str) -> None:
    rows, distances = farthest_point(np.full((5, 3), 0.1), 5, start=3, backend=backend)
    np.testing.assert_array_equal(rows, [3, 0, 1, 2, 4])
    np.testing.assert_array_equal(distances, [np.inf, 0, 0, 0, 0])
    np.testing.assert_array_equal(nearest_kept(np.full((5, 3), 0.1), [4, 2], backend=backend).kept, [4] * 5)
    assert farthest_point([[2.0]], 1, backend=backend).rows.tolist() == [0]


X = np.ones((5, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: farthest_point(X, 0), "m 0 must lie between 1 and the number of rows, 5"),
        (lambda: farthest_point(X, 6), "m 6"),
        (lambda: farthest_point(X, 2, start=5), "start 5 must be a row, from 0 to 4"),
        (lambda: farthest_point(X, 2, start=-1), "start -1"),
        (lambda: farthest_point(X * np.inf, 2), "x holds NaN, infinity"),
        (lambda: farthest_point(X, 2, backend="gpu"), "unknown back end"),
        (lambda: nearest_kept(X, []), "kept must name one row or more"),
        (lambda: nearest_kept(X, [1, 1]), "kept must name one row or more, none of them twice"),
        (lambda: nearest_kept(X, [5]), "kept must lie between 0 and 4"),
        (lambda: nearest_kept(X, [-1]), "kept must lie"),
        (lambda: nearest_kept(X, [0.5]), "kept must be whole numbers in one dimension, not float64"),
        (lambda: nearest_kept(X, [True]), "kept must be whole numbers in one dimension, not bool"),
        (lambda: nearest_kept(X[0], [0]), "x must be a float16"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
