"""The kernels, by every back end, against brute force, scikit-learn, and what their docstrings promise."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.cluster import kmeans_plusplus

import meddel_kernels
from meddel_kernels import clustering
from meddel_kernels.reference import clustering as reference
from meddel_kernels.reference import pairs
from tests.kernels.kernel_cases import blobs

# Small whole numbers make ties and equal rows frequent, and every sum exact.
GRIDS = hnp.arrays(np.float32, st.tuples(st.integers(1, 24), st.integers(1, 5)), elements=st.integers(-2, 2).map(float))


@pytest.fixture(params=["reference", "cpu"], scope="module")
def kernels(request: pytest.FixtureRequest) -> SimpleNamespace:
    names = ("assign", "kmeans", "kmeans_plus_plus", "row_max_cosine")
    bound = {name: partial(getattr(meddel_kernels, name), backend=request.param) for name in names}
    return SimpleNamespace(unit_rows=meddel_kernels.unit_rows, **bound)


def nearest_by_hand(x: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    squares = np.square(x.astype(np.float64)[:, None] - centroids.astype(np.float64)[None]).sum(axis=2)
    return squares.argmin(axis=1), np.sqrt(squares.min(axis=1))


def row_max_by_hand(x: np.ndarray, order: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    unit = meddel_kernels.unit_rows(x)
    cosine, partner = np.full(len(x), -np.inf), np.full(len(x), -1)
    for start, stop in pairwise(offsets):
        for j in range(start, stop):
            for i in range(start, j):
                value = np.clip((unit[order[j]] * unit[order[i]]).sum(), -1, 1)
                if value > cosine[order[j]]:
                    cosine[order[j]], partner[order[j]] = value, order[i]
    return cosine, partner


def ragged(n: int, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.permutation(n), np.concatenate([[0], np.sort(rng.integers(0, n + 1, size=clusters - 1)), [n]])


@settings(deadline=None, max_examples=100)
@given(GRIDS, st.data())
def test_assign_is_the_brute_force_argmin(kernels: SimpleNamespace, x: np.ndarray, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(x) - 1), min_size=1, max_size=8))
    labels, distances = kernels.assign(x, x[rows])
    expected, expected_distances = nearest_by_hand(x, x[rows])
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_allclose(distances, expected_distances, rtol=0, atol=1e-12)
    assert labels.dtype == np.int32
    assert distances.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_assign_works_in_float64_whatever_comes_in(kernels: SimpleNamespace, dtype: type) -> None:
    x = blobs(300, 33, 7).astype(dtype)
    labels, distances = kernels.assign(x, x[:7])
    expected = nearest_by_hand(x, x[:7])
    np.testing.assert_array_equal(labels, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=0, atol=1e-12)


def test_assign_gives_equal_centroids_to_the_lowest_index_far_from_the_origin(kernels: SimpleNamespace) -> None:
    # |x|^2 is 1e12 times the distances: a matrix product alone can't tell the centroids apart.
    x = blobs(500, 19, 5) + 1e6
    centroids = x[[3, 4, 3, 4, 3]]
    labels, distances = kernels.assign(x, centroids)
    expected = nearest_by_hand(x, centroids)
    np.testing.assert_array_equal(labels, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-12)
    assert set(labels) == {0, 1}


def test_results_do_not_depend_on_the_blocks(kernels: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    x, (order, offsets) = blobs(400, 21, 6), ragged(400, 5, 1)
    whole = kernels.kmeans(x, 9, seed=3), kernels.row_max_cosine(x, order, offsets)
    monkeypatch.setattr(pairs.blocks, "__defaults__", (500,))
    monkeypatch.setattr(reference, "CACHE", 100)
    monkeypatch.setattr(pairs, "CACHE", 100)
    pieces = kernels.kmeans(x, 9, seed=3), kernels.row_max_cosine(x, order, offsets)
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
    repaired, _ = clustering.repaired(labels, np.array([3, 0, 1, 1, 0]), np.square(distances), 0.0)
    np.testing.assert_array_equal(repaired, [0, 1, 4, 2, 3])  # row 3 is farther, but alone
    np.testing.assert_array_equal(labels, [0, 0, 0, 2, 3])
    # With all rows at distance 0 nothing can be gained.
    kept, _ = clustering.repaired(labels, np.array([3, 0, 1, 1, 0]), np.full(5, 1e-30), 1e-29)
    np.testing.assert_array_equal(kept, labels)


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


@settings(deadline=None, max_examples=100)
@given(GRIDS, st.integers(1, 4), st.integers(0, 99))
def test_row_max_cosine_is_the_brute_force(kernels: SimpleNamespace, x: np.ndarray, clusters: int, seed: int) -> None:
    order, offsets = ragged(len(x), clusters, seed)
    cosine, partner = kernels.row_max_cosine(x, order, offsets)
    expected = row_max_by_hand(x, order, offsets)
    np.testing.assert_array_equal(cosine, expected[0])
    np.testing.assert_array_equal(partner, expected[1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_row_max_cosine_of_embeddings(kernels: SimpleNamespace, dtype: type) -> None:
    x = blobs(150, 50, 4, spread=0.2).astype(dtype)
    x[100:120] = x[:20]
    order, offsets = ragged(150, 3, 0)
    sizes = []
    cosine, partner = kernels.row_max_cosine(x, order, offsets, callback=sizes.append)
    expected = row_max_by_hand(x, order, offsets)
    np.testing.assert_array_equal(cosine, expected[0])
    np.testing.assert_array_equal(partner, expected[1])
    assert sizes == list(np.diff(offsets))


def test_row_max_cosine_of_left_out_rows_zeros_and_lonely_rows(kernels: SimpleNamespace) -> None:
    x = np.array([[1.0, 0.0], [0.0, 0.0], [-2.0, 0.0], [5.0, 0.0], [1.0, 1.0]])
    cosine, partner = kernels.row_max_cosine(x, np.array([0, 1, 2, 3]), np.array([0, 3, 3, 4]))
    np.testing.assert_array_equal(cosine, [-np.inf, 0.0, 0.0, -np.inf, -np.inf])
    np.testing.assert_array_equal(partner, [-1, 0, 1, -1, -1])


def test_row_max_cosine_of_a_thousand_equal_rows(kernels: SimpleNamespace) -> None:
    cosine, partner = kernels.row_max_cosine(np.full((3000, 64), 0.3, np.float16), np.arange(3000), np.array([0, 3000]))
    assert (partner[1:] == 0).all()
    np.testing.assert_allclose(cosine[1:], 1, atol=1e-15)
    assert len(set(cosine[1:])) == 1
    assert cosine[1:].max() <= 1


def test_unit_rows_of_huge_tiny_and_zero_rows(kernels: SimpleNamespace) -> None:
    x = np.array([[3e140, 4e140], [3e-320, 4e-320], [0.0, -0.0], [-3.0, 4.0]])
    expected = [[0.6, 0.8], [0.6, 0.8], [0.0, 0.0], [-0.6, 0.8]]
    np.testing.assert_allclose(kernels.unit_rows(x), expected, atol=1e-3)
    assert x[3, 0] == -3.0  # the input stays


def test_read_only_and_strided_input(kernels: SimpleNamespace) -> None:
    x = blobs(60, 10, 3).astype(np.float32)
    wide = np.repeat(x, 2, axis=1)[:, ::2]
    wide.flags.writeable = False
    a, b = kernels.kmeans(x, 4, seed=0), kernels.kmeans(wide, 4, seed=0)
    assert a.centroids.tobytes() == b.centroids.tobytes()


BAD = np.ones((5, 2))
BAD[3, 1] = np.nan


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: meddel_kernels.kmeans(x, 0, seed=0), "k 0 must lie"),
        (lambda x: meddel_kernels.kmeans(x, 6, seed=0), "k 6 must lie"),
        (lambda x: meddel_kernels.kmeans(x, 2, seed=0, iterations=0), "iterations"),
        (lambda x: meddel_kernels.kmeans(x, 2, seed=0, tolerance=float("nan")), "tolerance"),
        (lambda x: meddel_kernels.kmeans(x[0], 1, seed=0), "matrix"),
        (lambda x: meddel_kernels.kmeans(x.astype(int), 1, seed=0), "int64"),
        (lambda x: meddel_kernels.kmeans(BAD, 2, seed=0), "row 3"),
        (lambda x: meddel_kernels.kmeans(np.where(np.isnan(BAD), np.inf, 1).astype(np.float16), 2, seed=0), "row 3"),
        (lambda x: meddel_kernels.kmeans(x[:0], 1, seed=0), "rows and columns"),
        (lambda x: meddel_kernels.kmeans(x, 2, start=x[:3]), "start has shape"),
        (lambda x: meddel_kernels.kmeans(x, 2, backend="gpu"), "unknown back end 'gpu': choose one of auto, cpu"),
        (lambda x: meddel_kernels.kmeans(x, 2, threads=0), "threads 0"),
        (lambda x: meddel_kernels.assign(x, x[:, :1]), "columns"),
        (lambda x: meddel_kernels.row_max_cosine(BAD, np.arange(5), np.array([0, 5])), "row 3"),
        (lambda x: meddel_kernels.row_max_cosine(x, np.array([0, 0]), np.array([0, 2])), "twice"),
        (lambda x: meddel_kernels.row_max_cosine(x, np.array([5]), np.array([0, 1])), "order"),
        (lambda x: meddel_kernels.row_max_cosine(x, np.array([1]), np.array([0, 2])), "offsets"),
        (lambda x: meddel_kernels.row_max_cosine(x, np.array([1, 2]), np.array([0, 3, 2])), "offsets"),
        (lambda x: meddel_kernels.row_max_cosine(x, np.array([1, 2]), np.array([])), "offsets"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.ones((5, 2)))
