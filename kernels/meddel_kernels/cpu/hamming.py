"""All pairs of hashes that differ in few bits.

Formula. ``distance(i, j) = sum_k popcount(a[i, k] ^ b[j, k])`` over w words of 64 bits; kept where it is at most the
radius.

The columns are stored word by word, so that LLVM turns the loop over them into vectors of words (``vpopcntq`` with
AVX-512, table look-ups of nibbles with less). A row meets 256 columns at a time, of which only the least distance is
computed: three instructions for eight pairs. Where that is above the radius, as nearly everywhere, nothing is written.
The distance over one or two words is at most that over all, so that of longer hashes the first word or two are computed
alone, unless the radius is so large that they would settle little. Whole numbers: exact, whatever the order.

Contract. `a` uint64 [n, w] and `b` uint64 [w, m], contiguous. Bytes read: 8 w a row and, in tiles of 4,096 columns that
stay in the first-level cache, 8 w m for each range of rows. Extra memory: 8 w m bytes for the columns, and about 100
bytes for a pair that is found.

Ladder, hashes against themselves, two cores of a Zen 5:

| version | 100,000 of 64 bits, radius 8 | 30,000 of 256 bits, radius 40 |
| --- | ---: | ---: |
| NumPy, all pairs twice (the reference) | 34 s | 18 s |
| FAISS, range search of a flat index, all pairs twice | 1.64 s | 0.26 s |
| this, one thread | 0.43 s | 0.11 s |
| this, two threads | 0.21 s | 0.063 s |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meddel_kernels.cpu.llvm import njit, njit_raw, ones
from meddel_kernels.cpu.threads import share_out

_CHUNK, _TILE = 256, 4096
_ONE, _TWO = 20, 45  # radii below which random hashes rarely pass for near by their first word, or first two words
_AT_ONCE = 1 << 34  # pairs between two looks at the keyboard: seconds


@njit_raw()
def _least(word: np.uint64, others: np.ndarray) -> np.uint64:
    """Return the least distance of a word to others."""
    least = np.uint64(64)
    for j in range(len(others)):
        least = min(least, ones(word ^ others[j]))
    return least


@njit_raw()
def _least_of_two(word: np.uint64, others: np.ndarray, word2: np.uint64, others2: np.ndarray) -> np.uint64:
    """Return the least distance of two words to others."""
    least = np.uint64(128)
    for j in range(len(others)):
        least = min(least, ones(word ^ others[j]) + ones(word2 ^ others2[j]))
    return least


@njit_raw()
def _screen(a: np.ndarray, i: int, b: np.ndarray, first: int, last: int, words: int) -> np.uint64:
    """Return a bound of the least distance of row i to columns `first` to `last`, from 0 to 2 words."""
    if words == 0:
        return np.uint64(0)
    if words == 1:
        return _least(a[i, 0], b[0, first:last])
    return _least_of_two(a[i, 0], b[0, first:last], a[i, 1], b[1, first:last])


@njit_raw()
def _add(word: np.uint64, others: np.ndarray, distances: np.ndarray) -> np.uint64:
    """Add a word's distances to others to `distances` (uint64); return the least sum."""
    least = np.uint64(2**63)
    for j in range(len(others)):
        distances[j] += ones(word ^ others[j])
        least = min(least, distances[j])
    return least


@njit()
def _pairs(a: np.ndarray, b: np.ndarray, radius: int, within: bool, start: int, stop: int) -> np.ndarray:
    """Return the pairs of rows `start` to `stop`, int64 [p, 3], tile after tile; `within`: those with i < j."""
    (words, columns), limit = b.shape, np.uint64(radius)
    found, count = np.empty((64, 3), np.int64), 0
    distances = np.empty(_CHUNK, np.uint64)
    screen = 1 if words == 1 or radius < _ONE else 2 if words == 2 or radius < _TWO else 0
    for tile in range(start // _TILE * _TILE if within else 0, columns, _TILE):
        for i in range(start, stop):
            for first in range(tile, min(tile + _TILE, columns), _CHUNK):
                last = min(first + _CHUNK, columns)
                if (within and last <= i + 1) or _screen(a, i, b, first, last, screen) > limit:
                    continue
                distances[:], least = 0, np.uint64(0)
                for word in range(words):
                    least = _add(a[i, word], b[word, first:last], distances)
                if least > limit:
                    continue
                for j in range(max(first, i + 1) if within else first, last):
                    if distances[j - first] <= limit:
                        if count == len(found):
                            longer = np.empty((2 * count, 3), np.int64)
                            longer[:count] = found
                            found = longer
                        found[count, 0], found[count, 1], found[count, 2] = i, j, distances[j - first]
                        count += 1
    return found[:count].copy()


def near(
    a: np.ndarray, b: np.ndarray, radius: int, within: bool, threads: int, callback: Callable[[int], None] | None
) -> np.ndarray:
    """Return all pairs as ``hamming.near`` does; `callback` is called with numbers of rows that are done."""
    a, columns = np.ascontiguousarray(a), np.ascontiguousarray(b.T)
    parts: dict[int, np.ndarray] = {-1: np.empty((0, 3), np.int64)}
    span = max(8 * threads, _AT_ONCE // max(1, len(b)))

    for first in range(0, len(a), span):
        last = min(first + span, len(a))

        def work(start: int, stop: int, first: int = first) -> None:
            parts[first + start] = _pairs(a, columns, radius, within, first + start, first + stop)

        share_out(work, last - first, 1, threads)
        if callback is not None:
            callback(last - first)
    pairs = np.concatenate([parts[start] for start in sorted(parts)])
    return pairs[np.argsort(pairs[:, 0] * len(b) + pairs[:, 1], kind="stable")]
