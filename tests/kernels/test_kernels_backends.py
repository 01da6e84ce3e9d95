"""One answer: whatever computes, in whatever order and with however many threads, the bytes are the reference's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddel_kernels import RowMax, assign, kmeans, kmeans_plus_plus, row_max_cosine
from meddel_kernels.backends import back_end
from meddel_kernels.cpu import bounds, exact, microkernel
from meddel_kernels.cpu.rows import CpuRows
from meddel_kernels.reference import pairs
from tests.kernels.kernel_cases import ADVERSARIES, Adversary, adversarial, embeddings

THREADS = (1, 2, 5)


@pytest.fixture(params=["as it chooses", "by bounds"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """K-means on the processor as it is, and with bounds also where products alone would do."""
    if request.param == "by bounds":
        by_bounds(monkeypatch)


def by_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CpuRows.assign.__globals__, "MOST", 0)
    monkeypatch.setitem(CpuRows.assign.__globals__, "CHANGING", 2.0)


def assert_one_kmeans(x: np.ndarray, k: int, **options: object) -> None:
    expected = kmeans(x, k, backend="reference", **options)
    for threads in THREADS:
        result = kmeans(x, k, backend="cpu", threads=threads, **options)
        for ours, theirs in zip(result, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def assert_one_row_max(x: np.ndarray, order: np.ndarray, offsets: np.ndarray) -> RowMax:
    expected = row_max_cosine(x, order, offsets, backend="reference")
    for threads in THREADS:
        result = row_max_cosine(x, order, offsets, backend="cpu", threads=threads)
        np.testing.assert_array_equal(result.partner, expected.partner)
        np.testing.assert_array_equal(result.cosine, expected.cosine)
    return expected


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adversaries(adversary: Adversary, dtype: type) -> None:
    x = adversarial(adversary, dtype)
    n = len(x)
    for k in (1, 7, n):
        assert_one_kmeans(x, k, seed=1, iterations=4)
    assert_one_kmeans(x, 5, seed=2, iterations=4, spherical=True)
    assert_one_row_max(x, np.random.default_rng(1).permutation(n), np.array([0, 1, n // 3, n // 3, n]))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 3), (700, 63), (700, 64), (700, 65), (500, 130), (260, 768)])
def test_embeddings_of_any_width(n: int, d: int, dtype: type) -> None:
    x = embeddings(n, d, seed=3).astype(dtype)
    assert_one_kmeans(x, max(1, n // 20), seed=0, iterations=8)
    assert_one_row_max(x, np.arange(n), np.array([0, n // 2, n]))


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
    cuts = np.concatenate([[0], np.sort(rng.integers(0, n + 1, size=3)), [n]])
    order = rng.permutation(n)
    there, here = (row_max_cosine(x, order, cuts, backend=name) for name in ("reference", "cpu"))
    np.testing.assert_array_equal(here.partner, there.partner)
    np.testing.assert_array_equal(here.cosine, there.cosine)


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


def test_whoever_is_not_listed_is_no_nearer_than_the_rest() -> None:
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
    """Every label and every partner of 10,000,000 and more comparisons, twins in the last bits among them."""
    x = embeddings(12_000, 96, seed=5, groups=300)
    centroids = x[np.random.default_rng(6).permutation(len(x))[:900]].astype(np.float64)
    centroids[1::9] = centroids[::9] * (1 + 2.0**-52)  # centroids that only float64 tells apart
    labels, distances = assign(x, centroids, backend="cpu")
    expected, expected_distances = assign(x, centroids, backend="reference")
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(distances, expected_distances)
    assert_one_row_max(x, np.random.default_rng(7).permutation(len(x)), np.array([0, 9000, 11000, 12000]))


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


def test_the_order_of_the_rows_does_not_matter() -> None:
    x = embeddings(1500, 80, seed=9)
    start = x[:40].astype(np.float64)
    shuffled = np.random.default_rng(1).permutation(len(x))
    straight, other = kmeans(x, 40, start=start, iterations=6), kmeans(x[shuffled], 40, start=start, iterations=6)
    assert straight.centroids.tobytes() == other.centroids.tobytes()
    np.testing.assert_array_equal(straight.labels[shuffled], other.labels)


@pytest.mark.parametrize("k", [2, 60])
def test_plus_plus_draws_the_same_rows(k: int) -> None:
    x = embeddings(2000, 100, seed=4)
    np.testing.assert_array_equal(
        kmeans_plus_plus(x, k, seed=3, backend="cpu"), kmeans_plus_plus(x, k, seed=3, backend="reference")
    )


@pytest.mark.parametrize("d", [*range(1, 18), 127, 128, 129, 136, 255, 256, 257, 500, 768, 1000, 2049])
def test_exact_numbers_are_those_of_numpy_bit_for_bit(d: int) -> None:
    rng = np.random.default_rng(d)
    cuts, stack = exact.plan(d), np.empty(exact.DEPTH)
    for kind in (np.float32, np.float64):
        a, b = rng.normal(size=(20, d)).astype(kind), rng.normal(size=(20, d))
        squares = pairs.squared_differences(a.astype(np.float64), b)
        products = pairs.products(a.astype(np.float64), b)
        assert [exact.squared_difference(a, i, b, i, cuts, stack) for i in range(20)] == squares.tolist()
        assert [exact.product(a, i, b, i, cuts, stack) for i in range(20)] == products.tolist()


@pytest.mark.parametrize("d", [4, 64, 1024, 1536])
def test_microkernel_multiplies_whole_numbers(d: int) -> None:
    rng = np.random.default_rng(d)
    a, b = (rng.choice([-127, -126, 0, 126, 127], size=(count, d)).astype(np.int8) for count in (20 + 6, 70))
    panels, out = np.empty((2, d // 4, 64, 4), np.uint8), np.empty((24, 128), np.int32)
    microkernel.pack(b, panels)
    microkernel.multiply(a, 1, 20, panels, 0, 2, out)
    whole = a[1:20].astype(np.int64)
    expected = whole @ b.T.astype(np.int64) + 128 * whole.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(out[:19, :70], expected)
