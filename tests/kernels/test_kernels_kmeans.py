"""K-means on batches, its end, its errors, and one answer for all options on every back end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from meddel_kernels import assign, clustering, kmeans, kmeans_parallel, kmeans_plus_plus, update
from meddel_kernels.backends import back_end
from tests.kernels.kernel_cases import assert_same, blobs

backends = pytest.mark.parametrize("backend", ["reference", "cpu"])


@backends
def test_a_subset_answers_as_its_rows_alone_do(backend: str) -> None:
    x = blobs(400, 33, 5).astype(np.float32)
    chosen = np.random.default_rng(0).permutation(400)[:150]
    centroids, weights = blobs(12, 33, 5, seed=1), np.random.default_rng(1).gamma(1.0, size=150)
    part, alone = back_end(backend).rows(x, 2).subset(chosen), back_end("reference").rows(x[chosen], 1)
    labels = part.assign(centroids, None)
    np.testing.assert_array_equal(labels, alone.assign(centroids, None))
    np.testing.assert_array_equal(part.squares(centroids, labels), alone.squares(centroids, labels))
    np.testing.assert_array_equal(part.sums(labels, 12, 40, weights), alone.sums(labels, 12, 40, weights))
    np.testing.assert_array_equal(part.take(np.array([3, 0])), x[chosen[[3, 0]]])
    here, there = np.full(150, np.inf), np.full(150, np.inf)
    for row in (7, 0, 149):
        part.lower(here, row)
        alone.lower(there, row)
        np.testing.assert_array_equal(here, there)
    assert (part.n, part.d) == (150, 33) and part.largest >= alone.largest


def minibatch_by_hand(x: np.ndarray, start: np.ndarray, size: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Sculley's Algorithm 1, row after row."""
    centroids, counts = start.astype(np.float64).copy(), np.zeros(len(start))
    for _ in range(steps):
        batch = np.sort(rng.choice(len(x), size, replace=False))
        nearest = np.square(x[batch, None] - centroids[None]).sum(axis=2).argmin(axis=1)
        for row, c in zip(batch, nearest, strict=True):
            counts[c] += 1
            centroids[c] += (x[row] - centroids[c]) / counts[c]
    return centroids


@backends
def test_minibatch_is_sculleys_rule(backend: str) -> None:
    x, told = blobs(600, 10, 6, spread=0.7), []
    start = np.concatenate([x[:6], [np.full(10, 1e3)]])  # no batch reaches the last one
    options = {"minibatch": 50, "iterations": 30, "backend": backend}
    result = kmeans(x, 7, seed=9, start=start, callback=lambda *step: told.append(step), **options)
    expected = minibatch_by_hand(x, start, 50, 30, np.random.default_rng(9))
    np.testing.assert_allclose(result.centroids, expected, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(result.centroids[6], start[6])
    labels, distances = assign(x, result.centroids, backend=backend)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.distances, distances)
    assert result.inertia == np.square(distances).sum()
    assert [number for number, _ in told] == list(range(1, 31)) and result.iterations == 30
    first = np.sort(np.random.default_rng(9).choice(600, 50, replace=False))
    assert told[0][1] == pytest.approx(np.square(assign(x[first], start, backend=backend)[1]).sum())


@backends
def test_minibatch_comes_near_lloyd_and_ends_by_tolerance(backend: str) -> None:
    x = blobs(1500, 8, 10, spread=0.3)
    lloyd = kmeans(x, 10, seed=0, starts=3, backend=backend)
    batches = kmeans(x, 10, seed=0, starts=3, minibatch=200, iterations=40, backend=backend)
    assert lloyd.inertia <= batches.inertia < 1.15 * lloyd.inertia
    assert kmeans(x, 10, seed=0, minibatch=200, tolerance=1e-2, iterations=40, backend=backend).iterations < 40
    still = kmeans(np.ones((9, 2)), 1, seed=0, minibatch=3, iterations=4, backend=backend)
    assert still.iterations == 4  # nothing moves, but that ends nothing


def test_minibatch_weighs_its_rows_and_scales_its_means() -> None:
    x, weights = blobs(80, 4, 3), np.random.default_rng(0).gamma(0.5, size=80)
    whole = kmeans(x, 1, seed=0, minibatch=80, iterations=1, weights=weights, backend="reference")
    np.testing.assert_allclose(whole.centroids[0], np.average(x, axis=0, weights=weights), atol=1e-14)
    round_ = kmeans(x, 3, seed=0, minibatch=20, iterations=9, spherical=True, backend="reference")
    np.testing.assert_allclose(np.linalg.norm(round_.centroids, axis=1), 1)


@pytest.mark.parametrize(
    "options",
    [{}, {"minibatch": 30}, {"start": "k-means||"}, {"spherical": True}, {"starts": 2, "tolerance": 1e-4}],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["blobs", "twins", "huge and tiny", "denormal", "one column", "equal"])
def test_one_answer_on_every_back_end(kind: str, options: dict) -> None:
    rng = np.random.default_rng(0)
    x = {
        "blobs": lambda: blobs(200, 66, 6).astype(np.float16),
        "twins": lambda: blobs(30, 40, 5)[rng.integers(30, size=150)],
        "huge and tiny": lambda: rng.normal(size=(120, 9)) * 10.0 ** rng.integers(-140, 140, size=(120, 1)),
        "denormal": lambda: rng.integers(-9, 10, size=(100, 7)) * 5e-324,
        "one column": lambda: rng.integers(-50, 50, size=(150, 1)).astype(np.float32),
        "equal": lambda: np.full((60, 5), 0.1),
    }[kind]()
    weights = rng.gamma(0.5, size=len(x)) * (rng.random(len(x)) < 0.8)
    expected = kmeans(x, 8, seed=1, iterations=5, weights=weights, backend="reference", **options)
    for threads in (1, 3):
        result = kmeans(x, 8, seed=1, iterations=5, weights=weights, backend="cpu", threads=threads, **options)
        assert_same(result, expected)


@backends
def test_one_row_and_one_column(backend: str) -> None:
    for options in ({}, {"weights": [0.25]}, {"minibatch": 1}, {"start": "k-means||", "starts": 2}):
        result = kmeans([[3.0]], 1, seed=0, backend=backend, **options)
        assert (result.centroids.tolist(), result.labels.tolist(), result.inertia) == ([[3.0]], [0], 0.0)


def test_tolerance_is_in_units_of_the_variance() -> None:
    x = blobs(500, 8, 6, spread=1.0) + 100
    start, variance = x[:11], x.var(axis=0).mean()
    centroids = [kmeans(x, 11, start=start, iterations=i, backend="reference").centroids for i in range(1, 12)]
    shifts = [np.square(b - a).sum() / variance for a, b in pairwise([start, *centroids])]
    for tolerance in (1.001 * shifts[1], 0.999 * shifts[1], 1.001 * shifts[6]):
        expected = next(number for number, shift in enumerate(shifts, 1) if shift <= tolerance)
        assert 1 < expected < 11
        result = kmeans(x, 11, start=start, tolerance=tolerance, iterations=11, backend="reference")
        assert result.iterations == expected


def test_lloyd_asks_for_each_number_once() -> None:
    x, calls = blobs(300, 8, 6, spread=1.0), []

    class Counted:
        def __init__(self) -> None:
            self.rows = back_end("reference").rows(x, 1)

        def __getattr__(self, name: str) -> object:
            calls.append(name)
            return getattr(self.rows, name)

    result = clustering.lloyd(Counted(), x[:6], clustering.Rule(4))
    assert result.iterations == 4
    assert [calls.count(name) for name in ("assign", "sums", "squares")] == [5, 4, 1]


X = np.ones((5, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kmeans(X, 2, start="random"), "unknown start 'random': choose one of k-means"),
        (lambda: kmeans(X, 2, start=X[:3]), "start has shape"),
        (lambda: kmeans(X, 2, starts=0), "starts 0"),
        (lambda: kmeans(X, 2, start=X[:2], starts=2), "starts 2 .* 1 from given centroids"),
        (lambda: kmeans(X, 2, minibatch=0), "minibatch 0"),
        (lambda: kmeans(X, 2, minibatch=6), "minibatch 6"),
        (lambda: kmeans(X, 2, seed=-1), "non-negative"),
        (lambda: kmeans(X, 2, tolerance=-1.0), "tolerance"),
        (lambda: kmeans(X, 2, weights=np.ones(4)), "weights must be 5 numbers, not float64 of shape"),
        (lambda: kmeans(X, 2, weights=["a"] * 5), "weights must be 5 numbers"),
        (lambda: kmeans(X, 2, weights=[1, 1, 1, 1, -1]), "weights must be finite and at least 0"),
        (lambda: kmeans(X, 2, weights=[1, 1, 1, 1, np.nan]), "weights must be finite"),
        (lambda: kmeans(X, 2, weights=[1, 1, 1, 1, np.inf]), "weights must be finite"),
        (lambda: kmeans(X, 2, weights=np.zeros(5)), "weights must be finite .* the largest between"),
        (lambda: kmeans(X, 2, weights=np.full(5, 1e-40)), "the largest between"),
        (lambda: kmeans_plus_plus(X, 2, seed=0, weights=np.zeros(5)), "weights"),
        (lambda: kmeans_plus_plus(X, 6, seed=0), "k 6"),
        (lambda: kmeans_parallel(X, 0, seed=0), "k 0"),
        (lambda: kmeans_parallel(X, 2, seed=0, oversampling=0), "oversampling 0"),
        (lambda: kmeans_parallel(X, 2, seed=0, oversampling=np.inf), "oversampling inf"),
        (lambda: kmeans_parallel(X, 2, seed=0, rounds=-1), "rounds -1"),
        (lambda: update(X, [0, 0, 1, 1], 2), "labels must be 5"),
        (lambda: update(X, [0, 0, 1, 1, 2], 2), "labels must lie between 0 and 1"),
        (lambda: update(X, [0, 0, 1, 1, -1], 2), "labels must lie"),
        (lambda: update(X, [0.0] * 5, 2), "labels must be whole numbers"),
        (lambda: update(X, [[0] * 5], 2), "labels must be whole numbers in one dimension"),
        (lambda: update(X, [0] * 5, 0), "k 0 must be at least 1"),
        (lambda: update(X, [0] * 5, 2), "label 1 has no rows or no weight: give the previous centroids"),
        (lambda: update(X, [0, 1, 1, 1, 1], 2, weights=[0, 1, 1, 1, 1]), "label 0 has no rows or no weight"),
        (lambda: update(X, [0] * 5, 2, previous=X), "previous has shape"),
        (lambda: update(X * np.nan, [0] * 5, 1), "row 0"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused(call: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
