"""K-means by every back end: against scikit-learn and its own promises, with and without weights, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.cluster import kmeans_plusplus

from meddel_kernels import assign, kmeans, pairs, update
from meddel_kernels.backends import back_end
from meddel_kernels.kmeans import lloyd, repaired
from tests.kernels.kernel_cases import (
    ADVERSARIES,
    GRIDS,
    Adversary,
    adversarial,
    assert_same,
    blobs,
    by_bounds,
    embeddings,
    ragged,
)

THREADS = (1, 2, 5)


@pytest.fixture(params=["as it chooses", "by bounds"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """K-means on the processor as it is, and with bounds also where products alone would do."""
    if request.param == "by bounds":
        by_bounds(monkeypatch)


def assert_one_kmeans(x: np.ndarray, k: int, **options: object) -> None:
    expected = kmeans(x, k, backend="reference", **options)
    for threads in THREADS:
        result = kmeans(x, k, backend="cpu", threads=threads, **options)
        for ours, theirs in zip(result, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adversaries(adversary: Adversary, dtype: type) -> None:
    x = adversarial(adversary, dtype)
    n = len(x)
    for k in (1, 7, n):
        assert_one_kmeans(x, k, seed=1, iterations=4)
    assert_one_kmeans(x, 5, seed=2, iterations=4, spherical=True)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 3), (700, 63), (700, 64), (700, 65), (500, 130), (260, 768)])
def test_embeddings_of_any_width(n: int, d: int, dtype: type) -> None:
    x = embeddings(n, d, seed=3).astype(dtype)
    assert_one_kmeans(x, max(1, n // 20), seed=0, iterations=8)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 90), st.integers(1, 70), st.sampled_from([0.25, 1e-3, 1e-7, 0.0]))
def test_whatever_the_rows(seed: int, n: int, d: int, step: float) -> None:
    """Rows on a coarse grid plus steps that float32 sees, hardly sees, or does not see: ties of every kind."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, size=(n, d)) + step * rng.integers(-2, 3, size=(n, d))
    k = int(rng.integers(1, n + 1))
    expected, result = (kmeans(x, k, seed=seed, iterations=5, backend=name) for name in ("reference", "cpu"))
    for ours, theirs in zip(result, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_order_of_the_rows_does_not_matter() -> None:
    x = embeddings(1500, 80, seed=9)
    start = x[:40].astype(np.float64)
    shuffled = np.random.default_rng(1).permutation(len(x))
    straight, other = kmeans(x, 40, start=start, iterations=6), kmeans(x[shuffled], 40, start=start, iterations=6)
    assert straight.centroids.tobytes() == other.centroids.tobytes()
    np.testing.assert_array_equal(straight.labels[shuffled], other.labels)


def test_results_do_not_depend_on_the_blocks(kernels: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    x, batch = blobs(400, 21, 6), ragged(400, 5, 1)
    whole = kernels.kmeans(x, 9, seed=3), kernels.row_max_cosine(x, *batch)
    monkeypatch.setattr(pairs.blocks, "__defaults__", (500,))
    monkeypatch.setattr("meddel_kernels.inputs.CACHE", 100)
    monkeypatch.setattr(pairs, "CACHE", 100)
    pieces = kernels.kmeans(x, 9, seed=3), kernels.row_max_cosine(x, *batch)
    for a, b in zip(whole[0] + whole[1], pieces[0] + pieces[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_kmeans_agrees_with_scikit_learn_from_the_same_start(kernels: SimpleNamespace) -> None:
    x = blobs(1500, 24, 12, spread=0.9)
    ours = kernels.kmeans(x, 12, seed=5, iterations=300)
    start = x[kernels.kmeans_plus_plus(x, 12, seed=5)]
    theirs = SklearnKMeans(12, init=start, n_init=1, algorithm="lloyd", tol=0, max_iter=300).fit(x)
    np.testing.assert_array_equal(ours.labels, theirs.labels_)
    np.testing.assert_allclose(ours.centroids, theirs.cluster_centers_, atol=1e-9)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-9)


def test_kmeans_objective_is_that_of_scikit_learn_over_many_starts(kernels: SimpleNamespace) -> None:
    x = blobs(400, 12, 10, spread=0.3)

    def theirs(seed: int) -> float:
        start = kmeans_plusplus(x, 10, random_state=seed, n_local_trials=1)[0]
        return SklearnKMeans(10, init=start, n_init=1).fit(x).inertia_

    ours = [kernels.kmeans(x, 10, seed=seed).inertia for seed in range(60)]
    others = [theirs(seed) for seed in range(60)]
    assert min(ours) == pytest.approx(min(others), rel=0.02)
    assert np.mean(ours) == pytest.approx(np.mean(others), rel=0.15)


def test_kmeans_is_a_fixed_point_that_never_gets_worse(kernels: SimpleNamespace) -> None:
    x, inertias = blobs(600, 8, 6, spread=1.0).astype(np.float16), []
    result = kernels.kmeans(x, 11, seed=0, iterations=200, callback=lambda step, value: inertias.append((step, value)))
    assert [step for step, _ in inertias] == list(range(1, result.iterations + 1))
    assert result.iterations < 200
    values = [value for _, value in inertias]
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in pairwise(values))
    for cluster in range(11):
        mean = x[result.labels == cluster].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(result.centroids[cluster], mean, atol=1e-12)
    np.testing.assert_array_equal(result.labels, kernels.assign(x, result.centroids)[0])
    assert result.inertia == np.square(result.distances).sum()


def test_kmeans_stops_by_iterations_and_by_tolerance(kernels: SimpleNamespace) -> None:
    x = blobs(600, 8, 6, spread=1.0)
    full = kernels.kmeans(x, 11, seed=0, iterations=200)
    assert kernels.kmeans(x, 11, seed=0, iterations=2).iterations == 2
    assert kernels.kmeans(x, 11, seed=0, iterations=200, tolerance=1e-2).iterations < full.iterations


def test_kmeans_repeats_bit_for_bit_and_the_seed_matters(kernels: SimpleNamespace) -> None:
    x = blobs(500, 12, 8, spread=1.0)
    first, again, other = (kernels.kmeans(x, 8, seed=seed) for seed in (1, 1, 2))
    assert first.centroids.tobytes() == again.centroids.tobytes()
    assert first.centroids.tobytes() != other.centroids.tobytes()


def test_spherical_kmeans_clusters_directions(kernels: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=90)
    x = np.eye(3)[truth] * rng.uniform(1e-3, 1e3, size=(90, 1)) + 0.0
    result = kernels.kmeans(x, 3, seed=0, spherical=True)
    np.testing.assert_allclose(np.linalg.norm(result.centroids, axis=1), 1)
    assert result.inertia == pytest.approx(0, abs=1e-20)
    assert len({(a, b) for a, b in zip(truth, result.labels, strict=True)}) == 3
    opposite = kernels.kmeans(np.array([[1.0, 0.0], [-1.0, 0.0]]), 1, seed=0, spherical=True)
    assert abs(opposite.centroids[0, 0]) == 1  # the mean has length 0: the centroid stays where it was


@settings(deadline=None, max_examples=60)
@given(GRIDS, st.data())
def test_empty_clusters_remain_only_where_rows_are_too_few(
    kernels: SimpleNamespace, x: np.ndarray, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(x)))
    result = kernels.kmeans(x, k, seed=data.draw(st.integers(0, 99)), iterations=100)
    assert len(np.unique(result.labels)) <= k
    if len(np.unique(x, axis=0)) <= k:
        assert result.inertia == 0
    same = {tuple(row): label for row, label in zip(x, result.labels, strict=True)}
    assert all(same[tuple(row)] == label for row, label in zip(x, result.labels, strict=True))


def test_an_empty_cluster_takes_the_farthest_row_of_a_cluster_with_more() -> None:
    labels, distances = np.array([0, 0, 0, 2, 3], np.int32), np.array([1.0, 3.0, 3.0, 9.0, 0.0])
    labelled, _ = repaired(labels, np.array([3, 0, 1, 1, 0]), np.square(distances), 0.0)
    np.testing.assert_array_equal(labelled, [0, 1, 4, 2, 3])  # row 3 is farther, but alone
    np.testing.assert_array_equal(labels, [0, 0, 0, 2, 3])
    # With all rows at distance 0 nothing can be gained.
    kept, _ = repaired(labels, np.array([3, 0, 1, 1, 0]), np.full(5, 1e-30), 1e-29)
    np.testing.assert_array_equal(kept, labels)


@pytest.mark.parametrize(
    "options",
    [{}, {"start": "k-means||"}, {"spherical": True, "tolerance": 1e-4}],
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


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_one_row_and_one_column(backend: str) -> None:
    for options in ({}, {"weights": [0.25]}, {"start": "k-means||"}):
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

    result = lloyd(Counted(), x[:6], 4)
    assert result.iterations == 4
    assert [calls.count(name) for name in ("assign", "sums", "squares")] == [5, 4, 1]


X = np.ones((5, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kmeans(X, 2, start="random"), "unknown start 'random': choose one of k-means"),
        (lambda: kmeans(X, 2, start=X[:3]), "start has shape"),
        (lambda: kmeans(X, 0), "k 0 must lie"),
        (lambda: kmeans(X, 6), "k 6 must lie"),
        (lambda: kmeans(X, 2, iterations=0), "iterations"),
        (lambda: kmeans(X, 2, backend="gpu"), "unknown back end 'gpu': choose one of auto, cpu"),
        (lambda: kmeans(X, 2, threads=0), "threads 0"),
        (lambda: assign(X, X[:, :1]), "x has 2 columns but centroids have 1"),
        (lambda: kmeans(X, 2, seed=-1), "non-negative"),
        (lambda: kmeans(X, 2, tolerance=-1.0), "tolerance"),
        (lambda: kmeans(X, 2, weights=np.ones(4)), "weights must be 5 numbers, not float64 of shape"),
        (lambda: kmeans(X, 2, weights=["a"] * 5), "weights must be 5 numbers"),
        (lambda: kmeans(X, 2, weights=[1, 1, 1, 1, -1]), "weights must be finite and at least 0"),
        (lambda: kmeans(X, 2, weights=[1, 1, 1, 1, np.nan]), "weights must be finite"),
        (lambda: kmeans(X, 2, weights=[1, 1, 1, 1, np.inf]), "weights must be finite"),
        (lambda: kmeans(X, 2, weights=np.zeros(5)), "weights must be finite .* the largest between"),
        (lambda: kmeans(X, 2, weights=np.full(5, 1e-40)), "the largest between"),
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
