"""The CUDA back end's matrix for K-means: every answer is the reference's, bit for bit."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from meddel_kernels import fixed_point
from meddel_kernels.assign import ReferenceRows
from meddel_kernels.cuda.device import Device
from meddel_kernels.cuda.rows import CudaRows
from meddel_kernels.kmeans import lloyd
from tests.kernels.cuda_host.emulation import HostDevice
from tests.kernels.kernel_cases import ADVERSARIES, Adversary, adversarial, embeddings

prepared = importlib.import_module("meddel_kernels.cuda.rows")


def assert_one_answer(ours: CudaRows, theirs: ReferenceRows, centroids: np.ndarray, steps: int = 2) -> None:
    """Take some of Lloyd's steps with both."""
    assert (ours.n, ours.d, ours.largest) == (theirs.n, theirs.d, theirs.largest)
    k, labels = len(centroids), None
    p = fixed_point.power(ours.n, ours.largest)
    for _ in range(steps):
        labels, expected = ours.assign(centroids, labels), theirs.assign(centroids)
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, expected)
        assert ours.squares(centroids, labels).tobytes() == theirs.squares(centroids, labels).tobytes()
        sums = ours.sums(labels, k, p)
        assert sums.dtype == np.int64
        np.testing.assert_array_equal(sums, theirs.sums(labels, k, p))
        centroids = fixed_point.means(sums, np.bincount(labels, minlength=k), p, centroids)


def assert_one_start(ours: CudaRows, theirs: ReferenceRows, chosen: np.ndarray) -> None:
    squares, expected = np.full(ours.n, np.inf), np.full(ours.n, np.inf)
    for index in chosen.tolist():
        ours.min_distance(squares, index)
        theirs.min_distance(expected, index)
        assert squares.tobytes() == expected.tobytes()


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adversaries(device: Device, adversary: Adversary, dtype: type) -> None:
    x = adversarial(adversary, dtype)
    x = x[:: -(-len(x) // 200)]
    rng, ours, theirs = np.random.default_rng(1), CudaRows(x), ReferenceRows(x)
    for k in (1, 7, len(x)):
        assert_one_answer(ours, theirs, x[rng.permutation(len(x))[:k]].astype(np.float64))
    assert_one_start(ours, theirs, rng.permutation(len(x))[:5])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 3, 63, 64, 65, 130, 768])
def test_any_width(device: Device, d: int, dtype: type) -> None:
    n = 90 if d == 768 else 200
    x = embeddings(n, d, seed=3).astype(dtype)
    ours, theirs = CudaRows(x), ReferenceRows(x)
    assert_one_answer(ours, theirs, x[: max(1, n // 9)].astype(np.float64))
    assert_one_start(ours, theirs, np.arange(0, n, 97))


@pytest.mark.parametrize("n", [1, 2])
def test_one_row_and_two(device: Device, n: int) -> None:
    x = embeddings(n, 5, seed=n)
    assert_one_answer(CudaRows(x), ReferenceRows(x), x.astype(np.float64))


def test_ten_million_decisions(device: Device) -> None:
    """Every label of more than 10,000,000 comparisons, centroids that only float64 tells apart among them."""
    x = embeddings(12_000, 24, seed=5, groups=300)
    centroids = x[np.random.default_rng(6).permutation(len(x))[:900]].astype(np.float64)
    centroids[1::9] = centroids[::9] * (1 + 2.0**-52)
    np.testing.assert_array_equal(CudaRows(x).assign(centroids), ReferenceRows(x).assign(centroids))


def test_centroids_far_from_the_rows(device: Device) -> None:
    x = embeddings(140, 40, seed=8)
    ours, theirs = CudaRows(x), ReferenceRows(x)
    for factor in (1e-30, 1e6, 1e30, 1e140):
        assert_one_answer(ours, theirs, x[:20].astype(np.float64) * factor, steps=1)


def test_products_in_tiles(host: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "SCORES", 50 * 32)
    x = embeddings(180, 20, seed=4)
    assert_one_answer(CudaRows(x), ReferenceRows(x), x[:30].astype(np.float64))
    assert host.launched.count("assign.assign") == 2 * 4


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_largest_value(device: Device, dtype: type) -> None:
    x = embeddings(50, 70, seed=1).astype(dtype)
    assert prepared.largest(device.upload(x)) == np.abs(x.astype(np.float64)).max()
    for bad in (np.nan, np.inf, -np.inf):
        x[17, 33] = bad
        assert prepared.largest(device.upload(x)) == np.inf


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_lloyd_on_the_device(device: Device, dtype: type) -> None:
    """Iterations on the device, with repairs on the host between them; the same bytes as the definition's."""
    x = embeddings(300, 20, seed=4).astype(dtype)
    apart = x[:12].astype(np.float64)
    for start in (apart, np.concatenate([apart, apart[:3]]), np.concatenate([apart, 1e6 + apart])):
        for iterations in (1, 2, 30):
            ours, theirs = (lloyd(rows, start, iterations) for rows in (CudaRows(x), ReferenceRows(x)))
            assert [np.asarray(part).tobytes() for part in ours] == [np.asarray(part).tobytes() for part in theirs]


def test_rows_far_beyond_the_centroids(device: Device) -> None:
    """Distances that differ less than float64 sees: the tie goes to the lowest index, as in the reference."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=(40, 12)) * 1e9, rng.normal(size=(40, 12)) * 1e-9])
    centroids = rng.normal(size=(50, 12)) * 1e-8
    np.testing.assert_array_equal(CudaRows(x).assign(centroids), ReferenceRows(x).assign(centroids))


def test_sums_follow_weights_power_and_labels(device: Device) -> None:
    x, rng = embeddings(300, 20, seed=1), np.random.default_rng(0)
    ours, theirs = CudaRows(x), ReferenceRows(x)
    first, second = rng.integers(0, 9, 300).astype(np.int32), rng.integers(0, 9, 300).astype(np.int32)
    weights = rng.uniform(0, 2, 300) * (rng.random(300) < 0.8)
    for labels, p, heavy in (
        (first, 40, None), (second, 40, None), (second, 38, None), (first, 38, weights), (second, 38, weights),
        (second, 38, weights / 3), (first, 38, None),
    ):  # fmt: skip
        expected = np.zeros((9, 20), np.int64)
        rows = theirs.x if heavy is None else heavy[:, None] * theirs.x
        np.add.at(expected, labels, np.rint(rows * 2.0**p).astype(np.int64))
        np.testing.assert_array_equal(ours.sums(labels, 9, p, heavy), expected)


def test_subset_and_take(device: Device) -> None:
    x, rows = embeddings(300, 20, seed=1).astype(np.float16), np.random.default_rng(0).integers(0, 300, 150)
    ours = CudaRows(x)
    np.testing.assert_array_equal(ours.take(rows), x[rows].astype(np.float64))
    assert_one_answer(ours.subset(rows), ReferenceRows(x[rows]), x[:9].astype(np.float64))
    assert (
        ours.subset(rows).subset(rows[:7] // 2).take(np.arange(7)).tobytes()
        == x[rows][rows[:7] // 2].astype(np.float64).tobytes()
    )


def test_a_matrix_larger_than_the_memory_comes_in_blocks(host: HostDevice) -> None:
    x = embeddings(300, 70, seed=2)
    host.free = x.nbytes // 2
    ours, theirs = CudaRows(x), ReferenceRows(x)
    assert not ours.resident
    assert_one_answer(ours, theirs, x[:30].astype(np.float64))
    assert_one_start(ours, theirs, np.array([0, 299, 150]))
    assert_one_answer(ours.subset(np.arange(0, 300, 2)), ReferenceRows(x[::2]), x[:9].astype(np.float64))
    assert host.launched.count("assign.assign") > 4


def test_a_matrix_on_the_device_is_used_in_place(device: Device) -> None:
    x = embeddings(200, 20, seed=3)
    assert_one_answer(CudaRows(device.upload(x)), ReferenceRows(x), x[:9].astype(np.float64))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_of_the_threads_does_not_matter(host: HostDevice, order: int) -> None:
    host.order = order
    x = embeddings(200, 130, seed=order)
    ours, theirs = CudaRows(x), ReferenceRows(x)
    assert_one_answer(ours, theirs, x[:150].astype(np.float64))
    assert_one_start(ours, theirs, np.array([3, 100]))


@pytest.mark.parametrize("d", [*range(1, 18), 127, 128, 129, 136, 255, 256, 257, 500, 1000, 2049])
def test_exact_numbers_are_those_of_numpy_bit_for_bit(device: Device, d: int) -> None:
    rng = np.random.default_rng(d)
    x, centroids = rng.normal(size=(20, d)), rng.normal(size=(20, d))
    expected = np.square(x - centroids).sum(axis=1)
    assert CudaRows(x).squares(centroids, np.arange(20)).tobytes() == expected.tobytes()
