"""Near hashes against their definition: every pair, once, sorted, whatever the words, the radius and the threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from meddel_kernels import hamming, near_hashes

FEW = st.sampled_from([0, 1, 3, 2**63, 2**64 - 1, 0x5555555555555555])


WORDS = st.one_of(FEW, st.integers(0, 2**64 - 1))


def hashes(n: int, words: int, seed: int = 0, apart: float = 0.06) -> np.ndarray:
    """Hashes in ten groups, whose members differ from each other in some bits; in no order."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2**64, (10, words), dtype=np.uint64)
    flips = rng.random((n, words, 64)) < apart
    changed = np.packbits(flips, axis=2, bitorder="little").view(np.uint64)[..., 0]
    return centres[rng.integers(10, size=n)] ^ changed


def assert_defined(a: np.ndarray, b: np.ndarray | None, radius: int, threads: int = 2) -> int:
    """Check a result against the definition and return the number of pairs."""
    found = near_hashes(a, b, radius=radius, threads=threads)
    expected = hamming.near(a, a if b is None else b, radius, b is None)
    np.testing.assert_array_equal(np.stack(found, axis=1), expected)
    assert all(part.dtype == np.int64 and part.flags.c_contiguous for part in found)
    return len(expected)


@settings(deadline=None, max_examples=80)
@given(st.data(), st.integers(1, 4))
def test_pairs_are_those_of_the_definition(data: st.DataObject, words: int) -> None:
    a, b = (
        data.draw(hnp.arrays(np.uint64, st.tuples(st.integers(0, 9), st.just(words)), elements=WORDS)) for _ in range(2)
    )
    radius = data.draw(st.one_of(st.sampled_from([0, 64, 64 * words]), st.integers(0, 64 * words)))
    assert_defined(a, b, radius)
    assert_defined(a, None, radius)


def test_the_definition_counts_bits() -> None:
    a = np.array([[0b1011, 0], [0b0001, 7], [0b1011, 0]], np.uint64)
    by_hand = [(0, 1, 5), (0, 2, 0), (1, 2, 5)]
    assert hamming.near(a, a, 128, within=True).tolist() == [list(pair) for pair in by_hand]
    assert hamming.near(a, a, 4, within=True).tolist() == [[0, 2, 0]]
    assert hamming.near(a, a[:1], 0, within=False).tolist() == [[0, 0, 0], [2, 0, 0]]


@pytest.mark.parametrize("words", [1, 2, 3, 4])
@pytest.mark.parametrize("radius", [0, 8, 19, 20, 44, 45])
def test_many_hashes_across_chunks_and_tiles(words: int, radius: int) -> None:
    a, b = hashes(700, words), hashes(4700, words, seed=1)
    b[4300:4350] = a[600:650]
    assert assert_defined(a, b, radius) >= 50
    twice = np.concatenate([a, a[::-1]])
    assert assert_defined(twice, None, radius) >= 700


def test_the_number_of_threads_changes_nothing() -> None:
    a = hashes(3000, 2)
    one = near_hashes(a, radius=16, threads=1)
    for threads in (2, 3, 7):
        for ours, theirs in zip(near_hashes(a, radius=16, threads=threads), one, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len(one.first) > 1000


@pytest.mark.parametrize("n", [0, 1])
def test_no_pairs_and_no_rows(n: int) -> None:
    few, some = hashes(n, 1), hashes(5, 1)
    assert_defined(few, None, 64)
    assert assert_defined(few, some, 64) == assert_defined(some, few, 64) == 5 * n


def test_the_callback_counts_every_row() -> None:
    counted: list[int] = []
    near_hashes(hashes(900, 1), radius=3, callback=counted.append, threads=2)
    assert sum(counted) == 900


def test_strided_and_read_only_hashes_are_read_as_they_are() -> None:
    a = hashes(400, 3)
    a.flags.writeable = False
    assert_defined(a[::-2, 1:], a[5:90, :2], 30)


@pytest.mark.parametrize(
    ("a", "b", "radius", "said"),
    [
        (np.zeros((3, 1), np.int64), None, 3, r"a must be uint64 \[n, w\], not int64 of shape \(3, 1\)"),
        (np.zeros(3, np.uint64), None, 3, r"a must be uint64 \[n, w\], not uint64 of shape \(3,\)"),
        (np.zeros((3, 0), np.uint64), None, 0, r"a must be uint64 \[n, w\]"),
        (np.zeros((3, 1), np.uint64), np.zeros((3, 1)), 3, r"b must be uint64 \[n, w\], not float64"),
        (np.zeros((3, 1), np.uint64), np.zeros((3, 2), np.uint64), 3, "a has hashes of 1 words and b of 2"),
        (np.zeros((3, 2), np.uint64), None, 129, "radius 129 must lie between 0 and 128"),
        (np.zeros((3, 2), np.uint64), None, -1, "radius -1 must lie between 0 and 128"),
    ],
)
def test_what_is_refused(a: np.ndarray, b: np.ndarray | None, radius: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        near_hashes(a, b, radius=radius)
    with pytest.raises(TypeError):
        near_hashes(np.zeros((3, 1), np.uint64), radius=1.5)
