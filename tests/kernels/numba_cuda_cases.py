"""What every kernel of the back end numba-cuda must answer, in Numba's simulator or on a GPU.

``test_numba_cuda.py`` starts these in a process of their own, since Numba asks for the simulator on import.
The simulator takes a millisecond for what a GPU does in a nanosecond, so the matrices are small.
"""

from __future__ import annotations

import numpy as np
import pytest
from numba import cuda

from meddel_kernels import fixed_point, numba_cuda, reference, unit_rows
from meddel_kernels.cpu.exact import plan
from meddel_kernels.numba_cuda.assign import assign_plain
from meddel_kernels.numba_cuda.device import THREADS, blocks_for, on_device, rows_at
from meddel_kernels.numba_cuda.row_max import row_max_plain
from tests.kernels import cosines_by_hand as by_hand
from tests.kernels.kernel_cases import ADVERSARIES, Adversary, adversarial, embeddings, ragged

attacked = pytest.mark.parametrize("adversary", ADVERSARIES)


def few(adversary: Adversary, n: int) -> np.ndarray:
    """Some rows of an adversary, the first repeated at the end, at most 33 columns."""
    x = adversarial(adversary, np.float64)[:, :33]
    return np.concatenate([x[: n - 1], x[:1]])


def cosines(x: np.ndarray) -> np.ndarray:
    """All cosines by the definition, float64 [n, n]."""
    unit = unit_rows(x)
    return np.clip((unit[:, None] * unit[None]).sum(axis=2), -1.0, 1.0)


@pytest.mark.parametrize("d", [1, 3, 8, 15, 128, 129, 130, 137, 300, 1100])
def test_sums_have_the_order_of_numpy(d: int) -> None:
    rng = np.random.default_rng(d)
    x = rng.normal(size=(3, d)) * 10.0 ** rng.integers(-3, 3, size=(3, d))
    labels = np.array([1, 2, 0], np.int32)
    for centroids in (x, -x):
        squares = numba_cuda.rows(x).squares(centroids, labels)
        np.testing.assert_array_equal(squares, np.square(x - centroids[labels]).sum(axis=1))
    cosine, partner = np.full(3, -np.inf), np.full(3, -1)
    numba_cuda.row_max(x, np.arange(3), np.array([0, 3]), cosine, partner, 1, None)
    np.testing.assert_array_equal(cosine[1:], [cosines(x)[0, 1], cosines(x)[:2, 2].max()])


@attacked
def test_nearest_centroids_and_distances(adversary: Adversary) -> None:
    x = few(adversary, 18)
    ours, theirs = numba_cuda.rows(x), reference.rows(x)
    centroids = np.concatenate([x[:5], x[3:4], x[:1] + x[1:2]])  # ties among them
    expected = theirs.assign(centroids)
    np.testing.assert_array_equal(ours.assign(centroids, None), expected)
    plain = cuda.device_array(len(x), np.int32)
    assign_plain[blocks_for(len(x)), THREADS](x, centroids, plan(x.shape[1]), plain)
    np.testing.assert_array_equal(plain.copy_to_host(), expected)
    np.testing.assert_array_equal(ours.squares(centroids, expected), theirs.squares(centroids, expected))
    held, wanted = np.full(len(x), np.inf), np.full(len(x), np.inf)
    for row in (4, 0):
        ours.min_distance(held, row)
        theirs.min_distance(wanted, row)
        np.testing.assert_array_equal(held, wanted)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_whatever_type_comes_in(dtype: type) -> None:
    x = embeddings(14, 9, seed=0).astype(dtype)
    ours, theirs = numba_cuda.rows(x), reference.rows(x)
    assert ours.largest == theirs.largest
    np.testing.assert_array_equal(ours.take(np.array([3, 1])), theirs.take(np.array([3, 1])))
    centroids = x[:6].astype(np.float64)
    some = np.array([9, 2, 2, 13])
    np.testing.assert_array_equal(ours.subset(some).assign(centroids), theirs.subset(some).assign(centroids))


@attacked
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_labels_in_any_order(adversary: Adversary, weighted: bool) -> None:
    x = few(adversary, 12)
    rng = np.random.default_rng(1)
    weights = rng.choice([0.0, 1e-9, 1 / 3, 1.0], size=len(x)) if weighted else None
    labels = rng.integers(4, size=len(x)).astype(np.int32) * 2  # 1, 3, 5 and 7 stay empty
    ours, theirs = numba_cuda.rows(x), reference.rows(x)
    p = fixed_point.power(ours.n, ours.largest)
    sums = ours.sums(labels, 8, p, weights)
    assert sums.dtype == np.int64
    np.testing.assert_array_equal(sums, theirs.sums(labels, 8, p, weights))


def test_halves_are_rounded_to_even() -> None:
    x = np.array([[0.5, 1.5, -0.5, -1.5, 2.5]])
    np.testing.assert_array_equal(numba_cuda.rows(x).sums(np.zeros(1, np.int32), 1, 0), [[0, 2, 0, -2, 2]])


@attacked
def test_greatest_cosines(adversary: Adversary) -> None:
    x = few(adversary, 20)
    order, offsets = ragged(len(x), 4, 2)
    order, offsets = order[:-2], np.minimum(offsets, len(x) - 2)  # two rows are in no cluster
    results, counted = [], []
    for back_end in (numba_cuda, reference):
        results.append((np.full(len(x), -np.inf), np.full(len(x), -1)))
        back_end.row_max(x, order, offsets, *results[-1], 1, counted.append)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert counted == 2 * list(np.diff(offsets))
    clusters, m = on_device(x, order, offsets), len(order)
    best, position = cuda.device_array(m, np.float64), cuda.device_array(m, np.int64)
    row_max_plain[blocks_for(m), THREADS](clusters.unit, clusters.start, clusters.cuts, best, position)
    np.testing.assert_array_equal(best.copy_to_host(), results[1][0][order])
    np.testing.assert_array_equal(rows_at(order, position.copy_to_host()), results[1][1][order])


@attacked
@pytest.mark.parametrize("greedy", [False, True])
def test_near_duplicates(adversary: Adversary, greedy: bool) -> None:
    x = few(adversary, 16)
    order, offsets = ragged(len(x), 3, 3)
    # The threshold is one of the cosines: strictly greater is another answer than at least.
    for above in (np.quantile(cosines(x), 0.6, method="lower"), -1.0):
        partner = np.full(len(x), -1)
        numba_cuda.near_duplicates(x, order, offsets, above, greedy, partner, 1, None)
        np.testing.assert_array_equal(partner, by_hand.near_duplicates((x, order, offsets), float(above), greedy))


def test_a_chain_is_removed_whole_or_every_second() -> None:
    """Rows on a circle, each like its neighbours only: greedy, a row that is out removes nobody."""
    angle = 0.1 * np.arange(12)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for greedy in (False, True):
        partner = np.full(12, -1)
        numba_cuda.near_duplicates(x, np.arange(12), np.array([0, 12]), np.cos(0.15), greedy, partner, 1, None)
        expected = np.arange(12) - 1
        expected[:: 2 if greedy else 12] = -1
        np.testing.assert_array_equal(partner, expected)


@attacked
@pytest.mark.parametrize("m", [1, 5])
def test_most_alike_rows(adversary: Adversary, m: int) -> None:
    x = few(adversary, 14)
    order, offsets = ragged(len(x), 3, 4)
    expected = by_hand.top_neighbours((x, order, offsets), m)
    found = np.full((len(x), m), -np.inf), np.full((len(x), m), -1)
    numba_cuda.top_neighbours(x, order, offsets, *found, 1, None)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_rows_in_clusters() -> None:
    x, order, offsets = np.eye(3), np.zeros(0, np.int64), np.zeros(3, np.int64)
    cosine, partner, counted = np.full(3, -np.inf), np.full(3, -1), []
    numba_cuda.row_max(x, order, offsets, cosine, partner, 1, counted.append)
    numba_cuda.near_duplicates(x, order, offsets, 0.5, True, partner, 1, counted.append)
    numba_cuda.top_neighbours(x, order, offsets, cosine[:, None], partner[:, None], 1, counted.append)
    assert counted == [0] * 6
    assert (partner == -1).all() and (cosine == -np.inf).all()
