"""The nearest centroid of each row: by every back end, against brute force, and to the last bit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddel_kernels import assign
from meddel_kernels.backends import back_end
from meddel_kernels.cpu import bounds
from tests.kernels.kernel_cases import GRIDS, blobs, by_bounds, embeddings, nearest_by_hand


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


@pytest.mark.parametrize("d", [3, 130])
@pytest.mark.parametrize("moves", ["all a little", "all a lot", "few jump", "some come near", "one way and back"])
def test_bounds_are_carried_from_one_assignment_to_the_next(
    d: int, moves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Centroids wander, and after every step the labels are those of the definition."""
    by_bounds(monkeypatch)
    x, rng = embeddings(1200, d, seed=d, groups=40), np.random.default_rng(0)
    ours, theirs, labels = back_end("cpu").rows(x, 1), back_end("reference").rows(x, 1), None
    centroids = first = x[rng.permutation(1200)[:150]].astype(np.float64)
    screened = []
    for step in range(10):
        labels = ours.assign(centroids, labels)
        np.testing.assert_array_equal(labels, theirs.assign(centroids))
        screened.append(int(ours.counts[2]))
        far, some = rng.normal(size=centroids.shape), rng.random((150, 1))
        centroids = {
            "all a little": centroids + 0.003 * far,
            "all a lot": centroids + 0.3 * far,
            "few jump": centroids + np.where(some < 0.03, 3.0, 0.002) * far,
            "some come near": np.where(some < 0.1, x[rng.integers(1200, size=150)] + 1e-4 * far, centroids),
            "one way and back": first + (0.02 if step % 2 else 0.0) * np.ones(d),
        }[moves]
    if moves in ("all a little", "one way and back") and d == 130:
        assert screened[-1] < 5 * 1200, "the bounds settled nothing"


def test_a_centroid_that_is_not_listed_is_no_nearer_than_the_rest() -> None:
    """More centroids than a list holds, noted in any order, some of them twice."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        kept, lows = bounds.no_bounds(1), rng.random(40).astype(np.float32)
        kept.count[0], kept.rest[0] = 0, 0.9
        noted = rng.integers(0, 40, size=60)
        for centroid in noted:
            bounds.note(kept, 0, int(centroid), lows[centroid])
        listed = kept.listed[0, : kept.count[0]]
        assert len(set(listed.tolist())) == kept.count[0] == bounds.LISTED
        np.testing.assert_array_equal(kept.low[0], lows[listed])
        assert (lows[np.setdiff1d(noted, listed)] >= kept.rest[0]).all()


def test_ten_million_decisions() -> None:
    """Every label of more than 10,000,000 comparisons, duplicates but for the last bit among them."""
    x = embeddings(12_000, 96, seed=5, groups=300)
    centroids = x[np.random.default_rng(6).permutation(len(x))[:900]].astype(np.float64)
    centroids[1::9] = centroids[::9] * (1 + 2.0**-52)  # centroids that only float64 tells apart
    labels, distances = assign(x, centroids, backend="cpu")
    expected, expected_distances = assign(x, centroids, backend="reference")
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(distances, expected_distances)


def test_centroids_far_from_the_rows() -> None:
    x = embeddings(300, 40, seed=8)
    for factor in (1e-30, 1e6, 1e30, 1e140):
        centroids = x[:20].astype(np.float64) * factor
        for ours, theirs in zip(*(assign(x, centroids, backend=name) for name in ("cpu", "reference")), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("k", [50, 150])
def test_rows_far_beyond_the_centroids(k: int) -> None:
    """Distances that differ less than float64 sees: the tie goes to the lowest index, as in the reference."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=(40, 12)) * 1e9, rng.normal(size=(40, 12)) * 1e-9])
    centroids = rng.normal(size=(k, 12)) * 1e-8
    for ours, theirs in zip(*(assign(x, centroids, backend=name) for name in ("cpu", "reference")), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
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
        part.min_distance(here, row)
        alone.min_distance(there, row)
        np.testing.assert_array_equal(here, there)
    assert (part.n, part.d) == (150, 33) and part.largest >= alone.largest
