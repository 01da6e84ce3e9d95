"""K-means with weights: what a row of weight w counts for, by every back end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans as SklearnKMeans

from meddel_kernels import assign, fixed_point, kmeans, kmeans_parallel, kmeans_plus_plus, update
from meddel_kernels.backends import back_end
from tests.kernels.kernel_cases import GRIDS, assert_same, blobs

backends = pytest.mark.parametrize("backend", ["reference", "cpu"])


def whole_blobs(n: int, seed: int = 0) -> np.ndarray:
    return np.rint(20 * blobs(n, 6, 5, seed, spread=0.3))


def drawn_weights(data: st.DataObject, n: int) -> np.ndarray:
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), float)
    weights[data.draw(st.integers(0, n - 1))] += 1
    return weights


@backends
@pytest.mark.parametrize("options", [{}, {"spherical": True}, {"start": "k-means||"}, {"tolerance": 1e-3}])
def test_weights_of_one_change_no_bit(backend: str, options: dict) -> None:
    x = blobs(300, 20, 7, spread=1.0).astype(np.float32)
    plain = kmeans(x, 9, seed=3, iterations=6, backend=backend, **options)
    assert_same(kmeans(x, 9, seed=3, iterations=6, weights=np.ones(300), backend=backend, **options), plain)


@backends
@settings(deadline=None, max_examples=50)
@given(GRIDS, st.data())
def test_whole_weights_are_repeated_rows(backend: str, x: np.ndarray, data: st.DataObject) -> None:
    weights = drawn_weights(data, len(x))
    repeated = np.repeat(np.arange(len(x)), weights.astype(int))
    k = data.draw(st.integers(1, 4))
    labels = np.array(data.draw(st.lists(st.integers(0, k - 1), min_size=len(x), max_size=len(x))))
    previous = np.full((k, x.shape[1]), 9.0)
    options = {"previous": previous, "backend": backend}
    ours, theirs = update(x, labels, k, weights=weights, **options), update(x[repeated], labels[repeated], k, **options)
    np.testing.assert_array_equal(ours, theirs)
    k = min(k, len(np.unique(x[repeated], axis=0)))
    ours = kmeans_plus_plus(x, k, seed=5, weights=weights, backend=backend)
    theirs = kmeans_plus_plus(x[repeated], k, seed=5, backend=backend)
    np.testing.assert_array_equal(ours, repeated[theirs])


@backends
def test_kmeans_with_whole_weights_is_kmeans_on_repeated_rows(backend: str) -> None:
    x, weights = whole_blobs(120), np.random.default_rng(1).integers(0, 4, size=120)
    repeated = np.repeat(np.arange(120), weights)
    ours = kmeans(x, 5, seed=2, weights=weights, backend=backend)
    theirs = kmeans(x[repeated], 5, seed=2, backend=backend)
    np.testing.assert_array_equal(ours.centroids, theirs.centroids)
    np.testing.assert_array_equal(ours.labels[repeated], theirs.labels)
    assert ours.iterations == theirs.iterations > 2
    assert ours.inertia == pytest.approx(theirs.inertia, rel=1e-12)


@backends
def test_rows_without_weight_only_get_a_label(backend: str) -> None:
    x, weights = whole_blobs(150), np.random.default_rng(2).choice([0.0, 0.3, 2.5], size=150)
    heavy = weights > 0
    ours = kmeans(x, 8, seed=4, weights=weights, backend=backend)
    theirs = kmeans(x[heavy], 8, seed=4, weights=weights[heavy], backend=backend)
    np.testing.assert_allclose(ours.centroids, theirs.centroids, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(ours.labels[heavy], theirs.labels)
    np.testing.assert_array_equal(ours.labels, assign(x, ours.centroids, backend=backend)[0])
    assert ours.iterations == theirs.iterations
    # The row between changes its label when the centroids are already where they stay.
    between = kmeans([[0.0], [4.7], [10.0]], 2, start=[[0.0], [9.0]], weights=[1, 0, 1], backend=backend)
    assert (between.iterations, between.labels.tolist()) == (1, [0, 0, 1])


@backends
def test_weights_agree_with_scikit_learn_from_the_same_start(backend: str) -> None:
    x, weights = blobs(900, 16, 10, spread=0.9), np.random.default_rng(3).gamma(0.5, size=900)
    inertias: list[float] = []
    start = x[kmeans_plus_plus(x, 10, seed=5, weights=weights, backend=backend)]
    options = {"weights": weights, "iterations": 300, "backend": backend}
    ours = kmeans(x, 10, start=start, callback=lambda _, value: inertias.append(value), **options)
    theirs = SklearnKMeans(10, init=start, n_init=1, algorithm="lloyd", tol=0, max_iter=300).fit(x, None, weights)
    np.testing.assert_array_equal(ours.labels, theirs.labels_)
    np.testing.assert_allclose(ours.centroids, theirs.cluster_centers_, atol=1e-9)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-9)
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in pairwise([*inertias, ours.inertia]))


def test_an_empty_cluster_takes_the_row_of_greatest_weighted_distance() -> None:
    # Cluster 2 starts where nothing has a weight. Row 3 is farthest but has none either; row 2 weighs more than row 1.
    x = np.array([[0.0], [3.0], [-2.0], [-9.0], [50.0], [51.0], [1e6]])
    weights = np.array([5.0, 1.0, 4.0, 0.0, 1.0, 1.0, 0.0])
    start = np.array([[0.0], [50.0], [1e6]])
    result = kmeans(x, 3, start=start, iterations=1, weights=weights, backend="reference")
    np.testing.assert_array_equal(result.centroids, [[0.5], [50.5], [-2.0]])
    # Without a row to spare, a cluster without weight stays where it is.
    lonely = kmeans(x[3:5], 2, start=[[-8.0], [49.0]], weights=weights[3:5], backend="reference")
    np.testing.assert_array_equal(lonely.centroids, [[-8.0], [50.0]])


def sums_by_hand(x: np.ndarray, labels: np.ndarray, k: int, p: int, weights: np.ndarray) -> np.ndarray:
    sums = np.zeros((k, x.shape[1]), np.int64)
    for row, column in np.ndindex(*x.shape):
        sums[labels[row], column] += round(float(weights[row] * x[row, column]) * 2.0**p)
    return sums


@backends
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), p=st.integers(-40, 40))
def test_sums_are_those_of_the_rounded_products(backend: str, seed: int, n: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    rows = back_end(backend).rows(x := rng.normal(size=(n, 3)), 1)
    # One preparation is asked several times, with and without weights, for the same and for other labels.
    for weights in (rng.gamma(0.5, size=n), None, rng.gamma(0.5, size=n), np.zeros(n), None):
        for labels in (np.zeros(n, np.int32), rng.integers(0, 2, size=n).astype(np.int32)):
            ours = rows.sums(labels, 2, p) if weights is None else rows.sums(labels, 2, p, weights)
            expected = sums_by_hand(x, labels, 2, p, np.ones(n) if weights is None else weights)
            np.testing.assert_array_equal(ours, expected)


@backends
def test_update_is_the_mean_in_any_order(backend: str) -> None:
    x, labels = blobs(500, 12, 4).astype(np.float32), np.random.default_rng(0).integers(0, 7, size=500)
    weights, shuffled = np.random.default_rng(1).gamma(0.5, size=500), np.random.default_rng(2).permutation(500)
    plain, weighted = update(x, labels, 7, backend=backend), update(x, labels, 7, weights=weights, backend=backend)
    for cluster in range(7):
        mine = labels == cluster
        np.testing.assert_allclose(plain[cluster], x[mine].astype(np.float64).mean(axis=0), atol=1e-14)
        expected = np.average(x[mine].astype(np.float64), axis=0, weights=weights[mine])
        np.testing.assert_allclose(weighted[cluster], expected, atol=1e-13)
    assert update(x[shuffled], labels[shuffled], 7, backend=backend).tobytes() == plain.tobytes()


@backends
@pytest.mark.parametrize("factor", [2e-30, 1.0, 1e30])
def test_neither_heavy_weights_nor_huge_values_overflow(backend: str, factor: float) -> None:
    x, labels = blobs(64, 5, 3), np.arange(64) % 3
    for size in (1e-140, 1.0, 1e149):
        weights = factor * np.random.default_rng(0).uniform(0.5, 1, size=64)
        mean = update(size * x, labels, 3, weights=weights, backend=backend)
        expected = [np.average(x[labels == c], axis=0, weights=weights[labels == c]) for c in range(3)]
        np.testing.assert_allclose(mean / size, expected, atol=1e-12)
        result = kmeans(size * x, 3, seed=0, weights=weights, backend=backend)
        assert np.isfinite(result.centroids).all()
    huge, heavy = 2.0**496 * x, 2.0**99 * np.random.default_rng(1).uniform(size=64)
    for draw in (kmeans_plus_plus, kmeans_parallel):
        ours = draw(huge, 20, seed=0, weights=heavy, backend=backend)
        np.testing.assert_array_equal(ours, draw(x, 20, seed=0, weights=heavy * 2.0**-99, backend=backend))


@backends
@settings(deadline=None, max_examples=40)
@given(GRIDS, st.data())
def test_too_few_distinct_rows_leave_nothing_over(backend: str, x: np.ndarray, data: st.DataObject) -> None:
    weights, k = drawn_weights(data, len(x)), data.draw(st.integers(1, len(x)))
    start = data.draw(st.sampled_from(["k-means++", "k-means||"]))
    result = kmeans(x, k, seed=0, start=start, weights=weights, iterations=100, backend=backend)
    if len(np.unique(x[weights > 0], axis=0)) <= k:
        assert result.inertia == 0
    np.testing.assert_array_equal(result.labels, assign(x, result.centroids, backend="reference")[0])


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([1.0, 1e-6, 1e-12]), st.sampled_from([1, 10**7]))
def test_the_mean_of_equal_rows_is_within_the_resolution(seed: int, n: int, light: float, of: int) -> None:
    rng = np.random.default_rng(seed)
    x, weights = np.repeat(rng.normal(size=(1, 5)), n, axis=0), light * rng.uniform(0.1, 1, size=n)
    largest, labels = float(np.abs(x).max()), np.zeros(n, np.int32)
    p = fixed_point.power(n * of, largest)  # beside rows of weight 1, in a matrix that is so many times larger
    sizes, mass = np.array([n]), np.bincount(labels, weights)
    sums = back_end("reference").rows(x, 1).sums(labels, 1, p, weights)
    far = np.linalg.norm(fixed_point.means(sums, mass, p, x[:1]) - x[0])
    resolved = float(fixed_point.resolution(5, p, largest, sizes, mass)[0])
    assert far <= resolved
    if light == of == 1:
        assert resolved < 1e-13 * largest


@backends
def test_copies_of_a_row_are_never_taken_for_distinct_ones(backend: str) -> None:
    # Their weighted mean is not the row itself, by some rounding: no cluster may be filled up with that.
    rng = np.random.default_rng(5)
    x, weights = np.repeat(rng.normal(size=(3, 8)), 20, axis=0), rng.gamma(0.5, size=60)
    start = np.concatenate([x[::20] * (1 + 2.0**-51), np.full((3, 8), 9.0)])
    result = kmeans(x, 6, start=start, weights=weights, iterations=30, backend=backend)
    np.testing.assert_array_equal(result.centroids[3:], start[3:])
