"""The CUDA back end's cosines inside clusters, against the definition by hand: equal to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from meddel_kernels import cuda
from meddel_kernels.cuda import cosine as tiles
from meddel_kernels.cuda import groups
from meddel_kernels.cuda.device import Device
from tests.kernels import cosines_by_hand as by_hand
from tests.kernels.cosines_by_hand import Batch
from tests.kernels.cuda_host.emulation import HostDevice
from tests.kernels.kernel_cases import ADVERSARIES, Adversary, adversarial, embeddings, ragged


def assert_one_row_max(batch: Batch) -> None:
    n, done = len(batch[0]), []
    cosine, partner = np.full(n, -np.inf), np.full(n, -1, np.int64)
    cuda.row_max(*batch, cosine, partner, 1, done.append)
    expected = by_hand.row_max(batch)
    assert cosine.tobytes() == expected[0].tobytes()
    np.testing.assert_array_equal(partner, expected[1])
    assert done == np.diff(batch[2]).tolist()


def assert_one_first_above(batch: Batch, threshold: float) -> None:
    for greedy in (False, True):
        partner = np.full(len(batch[0]), -1, np.int64)
        cuda.near_duplicates(*batch, threshold, greedy, partner, 1, None)
        np.testing.assert_array_equal(partner, by_hand.near_duplicates(batch, threshold, greedy))


def assert_one_top(batch: Batch, m: int) -> None:
    cosine, neighbour = np.full((len(batch[0]), m), -np.inf), np.full((len(batch[0]), m), -1, np.int64)
    cuda.top_neighbours(*batch, cosine, neighbour, 1, None)
    expected = by_hand.top_neighbours(batch, m)
    assert cosine.tobytes() == expected[0].tobytes()
    np.testing.assert_array_equal(neighbour, expected[1])


def assert_all(batch: Batch, m: int = 7) -> None:
    assert_one_row_max(batch)
    occurring = by_hand.row_max(batch)[0]
    for threshold in (float(np.sort(occurring)[-len(occurring) // 3]), 0.95):
        assert_one_first_above(batch, threshold)
    assert_one_top(batch, m)


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adversaries(device: Device, adversary: Adversary, dtype: type) -> None:
    x = adversarial(adversary, dtype)
    x = x[:: -(-len(x) // 200)]
    n = len(x)
    assert_all((x, np.random.default_rng(1).permutation(n), np.array([0, 1, n // 3, n // 3, n])))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 3, 63, 64, 65, 130, 768])
def test_any_width(device: Device, d: int, dtype: type) -> None:
    n = 90 if d == 768 else 180
    x = embeddings(n, d, seed=3).astype(dtype)
    assert_all((x, *ragged(n, 4, seed=d)))


@pytest.mark.parametrize("shuffled", [False, True])
def test_greedy_chains(device: Device, shuffled: bool) -> None:
    """Rows on a circle: each is above the threshold with the next alone, so that what stays decides what goes."""
    angle = np.arange(700) * 0.004
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    order = np.random.default_rng(0).permutation(700) if shuffled else np.arange(700)
    for reach in (1, 3):
        assert_one_first_above((x, order, np.array([0, 400, 700])), float(np.cos(0.004 * (reach + 0.5))))


def test_thresholds_at_the_ends(device: Device) -> None:
    x = np.concatenate([embeddings(120, 9, seed=1), np.zeros((3, 9), np.float32)])
    for threshold in (-2.0, -1.0, 0.0, 1.0, 2.0):
        assert_one_first_above((x, *ragged(len(x), 3, seed=2)), threshold)


@pytest.mark.parametrize("m", [1, 33, 130])
def test_neighbours_few_and_more_than_there_are(device: Device, m: int) -> None:
    assert_one_top((embeddings(420, 12, seed=4, groups=3), *ragged(420, 3, seed=5)), m)


def test_large_clusters_in_pieces(host: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "HEIGHT", 90)
    monkeypatch.setattr(tiles, "PANEL", 40)
    monkeypatch.setattr(tiles, "SCORES", 90 * 64)
    assert_all((embeddings(400, 20, seed=6), np.arange(400), np.array([0, 350, 400])))


def test_clusters_in_groups_that_fit_the_memory(host: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    x = embeddings(500, 20, seed=7)
    host.free = int(220 * 2 * (x[:1].nbytes + 10 * 84 + groups.NUMBERS))
    assert_all((x, *ragged(500, 9, seed=8)))
    assert host.launched.count("top_neighbours.top_neighbours") > 1


def test_a_matrix_on_the_device_is_used_in_place(device: Device) -> None:
    x = embeddings(300, 20, seed=9)
    batch, there = (x, *ragged(300, 4, seed=1)), device.upload(x)
    partner = np.full(300, -1, np.int64)
    cuda.near_duplicates(there, *batch[1:], 0.9, True, partner, 1, None)
    np.testing.assert_array_equal(partner, by_hand.near_duplicates(batch, 0.9, True))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_of_the_threads_does_not_matter(host: HostDevice, order: int) -> None:
    host.order = order
    assert_all((embeddings(330, 70, seed=order), *ragged(330, 3, seed=order)), m=3)


def test_no_rows(device: Device) -> None:
    x, nothing = embeddings(5, 4, seed=0), np.zeros(0, np.int64)
    for offsets in (np.array([0]), np.array([0, 0, 0])):
        assert_one_row_max((x, nothing, offsets))
        assert_one_first_above((x, nothing, offsets), 0.5)
        assert_one_top((x, nothing, offsets), 2)
