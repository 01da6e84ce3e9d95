"""Cosines inside clusters, by every back end: the greatest, thresholded, greedy, the few greatest."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddel_kernels import Backend, near_duplicates, row_max_cosine, top_neighbours, unit_rows
from meddel_kernels.cpu import clusters
from tests.kernels import cosines_by_hand as by_hand
from tests.kernels.cosines_by_hand import Batch
from tests.kernels.kernel_cases import ADVERSARIES, Adversary, adversarial, embeddings, ragged

COMPUTED: list[tuple[Backend, int]] = [("cpu", 1), ("cpu", 2), ("cpu", 5), ("reference", 1)]


def assert_one_row_max(batch: Batch) -> None:
    expected = by_hand.row_max(batch)
    for backend, threads in COMPUTED:
        for ours, theirs in zip(row_max_cosine(*batch, backend=backend, threads=threads), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def assert_one_near_duplicates(batch: Batch, threshold: float) -> None:
    for greedy in (False, True):
        expected = by_hand.near_duplicates(batch, threshold, greedy)
        for backend, threads in COMPUTED:
            partner = near_duplicates(*batch, threshold, greedy=greedy, backend=backend, threads=threads)
            np.testing.assert_array_equal(partner, expected)


def assert_one_top(batch: Batch, m: int) -> None:
    expected = by_hand.top_neighbours(batch, m)
    for backend, threads in COMPUTED:
        for ours, theirs in zip(top_neighbours(*batch, m, backend=backend, threads=threads), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def assert_all(batch: Batch, m: int = 5) -> None:
    assert_one_row_max(batch)
    occurring = np.sort(by_hand.row_max(batch)[0])
    for threshold in (float(np.clip(occurring[-len(occurring) // 3], -1, 1)), 0.95):
        assert_one_near_duplicates(batch, threshold)
    assert_one_top(batch, m)


@pytest.fixture(params=["shared out whole", "by tiles"])
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters as small ones are done, and as large ones are."""
    if request.param == "by tiles":
        monkeypatch.setattr(clusters, "LARGE", 1)
        monkeypatch.setattr(clusters, "LEAST", 1)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adversaries(adversary: Adversary, dtype: type) -> None:
    x = adversarial(adversary, dtype)
    n = len(x)
    assert_all((x, np.random.default_rng(1).permutation(n), np.array([0, 1, n // 3, n // 3, n])))


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 3, 63, 64, 65, 130, 300])
def test_any_width(d: int, dtype: type) -> None:
    assert_all((embeddings(250, d, seed=3).astype(dtype), *ragged(250, 4, seed=d)))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 80), st.integers(1, 40), st.sampled_from([0.25, 1e-3, 1e-7, 0.0]))
def test_whatever_the_rows(seed: int, n: int, d: int, step: float) -> None:
    """Rows on a coarse grid plus steps that float32 sees, hardly sees, or does not see: ties of every kind."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, size=(n, d)) + step * rng.integers(-2, 3, size=(n, d))
    assert_all((x, *ragged(n, 3, seed)), m=3)


def test_cosines_within_a_breath_of_the_threshold() -> None:
    """Pairs whose cosines lie 1e-7, 1e-12 and one rounding from the threshold, on both sides of it and on it."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(40, 33)), 8, axis=0)
    x += 0.3 * rng.normal(size=x.shape)
    unit = unit_rows(x)
    cosine = float((unit[0] * unit[5]).sum())
    batch = (x, np.arange(len(x)), np.array([0, len(x)]))
    for step in (1e-7, 1e-12, 0.0):
        for threshold in (cosine - step, cosine + step, np.nextafter(cosine, -2), np.nextafter(cosine, 2)):
            assert_one_near_duplicates(batch, float(threshold))
    found = near_duplicates(*batch, float(np.nextafter(cosine, -2)))
    assert found[5] >= 0


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("shuffled", [False, True])
def test_greedy_chains(shuffled: bool) -> None:
    """Rows on a circle: each is above the threshold with the next alone, so that what stays decides what goes."""
    angle = np.arange(700) * 0.004
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    order = np.random.default_rng(0).permutation(700) if shuffled else np.arange(700)
    for reach in (1, 3):
        assert_one_near_duplicates((x, order, np.array([0, 400, 700])), float(np.cos(0.004 * (reach + 0.5))))


def test_thresholds_at_the_ends() -> None:
    x = np.concatenate([embeddings(120, 9, seed=1), np.zeros((3, 9), np.float32)])
    batch = (x, *ragged(len(x), 3, seed=2))
    for threshold in (-1.0, 0.0, 1.0):
        assert_one_near_duplicates(batch, threshold)
    assert (near_duplicates(*batch, 1.0) == -1).all()


@pytest.mark.parametrize("threshold", [0.5, 0.98])
def test_a_large_cluster_along_few_directions(threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where 128 of 300 directions suffice and where they do not, ten million decisions in all."""
    used = []
    suffice = clusters.suffice
    monkeypatch.setattr(clusters, "LEAST", 3000)
    monkeypatch.setattr(clusters, "suffice", lambda *given: used.append(suffice(*given)) or used[-1])
    x = embeddings(3300, 300, seed=4, groups=400)
    batch = (x, np.random.default_rng(2).permutation(len(x)), np.array([0, 3300]))
    expected = [near_duplicates(*batch, threshold, greedy=greedy, backend="reference") for greedy in (False, True)]
    for greedy in (False, True):
        for threads in (1, 2):
            partner = near_duplicates(*batch, threshold, greedy=greedy, threads=threads)
            np.testing.assert_array_equal(partner, expected[greedy])
    assert used == 4 * [threshold > 0.9]


@pytest.mark.parametrize("m", [1, 33, 130])
def test_neighbours_few_and_more_than_there_are(m: int) -> None:
    assert_one_top((embeddings(300, 12, seed=4, groups=3), *ragged(300, 3, seed=5)), m)


def test_callbacks_count_every_cluster() -> None:
    x = embeddings(2600, 10, seed=7)
    batch = (x, np.arange(2600), np.array([0, 2200, 2200, 2290, 2600]))
    for backend in ("cpu", "reference"):
        for call, more in ((row_max_cosine, ()), (near_duplicates, (0.9,)), (top_neighbours, (2,))):
            told: list[int] = []
            call(*batch, *more, callback=told.append, backend=backend, threads=2)
            assert sorted(told) == [0, 90, 310, 2200]


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


def test_unit_rows_of_huge_tiny_and_zero_rows() -> None:
    x = np.array([[3e140, 4e140], [3e-320, 4e-320], [0.0, -0.0], [-3.0, 4.0]])
    expected = [[0.6, 0.8], [0.6, 0.8], [0.0, 0.0], [-0.6, 0.8]]
    np.testing.assert_allclose(unit_rows(x), expected, atol=1e-3)
    assert x[3, 0] == -3.0  # the input stays


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, a, b: near_duplicates(x, a, b, 1.5), "threshold 1.5 must lie between -1 and 1"),
        (lambda x, a, b: near_duplicates(x, a, b, float("nan")), "threshold nan must lie between -1 and 1"),
        (lambda x, a, b: top_neighbours(x, a, b, 0), "m 0 must be at least 1"),
        (lambda x, a, b: near_duplicates(x, a[:5] * 0, b, 0.5), "order names a row twice"),
        (lambda x, a, b: near_duplicates(x, a, b[:1], 0.5), "offsets must rise from 0 to 6"),
        (lambda x, a, b: row_max_cosine(x, a, np.array([0, 3, 2])), "offsets must rise from 0 to 6"),
        (lambda x, a, b: row_max_cosine(x, a, np.array([])), "offsets must rise from 0 to 6"),
        (lambda x, a, b: row_max_cosine(x * np.inf, a, b), r"x holds NaN, infinity or .* in row 0"),
        (lambda x, a, b: row_max_cosine(x, a + 1, b), "order must be one-dimensional with rows from 0 to 5"),
    ],
)
def test_what_can_not_be_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        call(embeddings(6, 4, seed=0), np.arange(6), np.array([0, 6]))
