"""Hashes that differ in few bits: which pairs of images may be near duplicates."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.cpu import hamming as compiled
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.inputs import array

_AT_ONCE = 1 << 22


class NearHashes(NamedTuple):
    """Result of `near_hashes`, by pair, sorted by `first`, then `second`.

    Attributes
    ----------
    first : int64 [p]
        Row of `a`.
    second : int64 [p]
        Row of `b`, or of `a` where there is no `b`.
    distance : int64 [p]
        Number of bits in which they differ.
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray


def near_hashes(
    a: ArrayLike,
    b: ArrayLike | None = None,
    *,
    radius: int,
    callback: Callable[[int], None] | None = None,
    threads: int | None = None,
) -> NearHashes:
    """Find all pairs of hashes that differ in at most `radius` bits.

    Every pair is compared, so that none is missed; what is found has to fit in memory, at about 100 bytes a pair.

    Parameters
    ----------
    a : uint64 [n, w]
        Hashes of 64 w bits; n may be 0.
    b : uint64 [m, w] or None
        Hashes to compare them with. None: those of `a` with each other, each pair once, ``first < second``.
    radius : int
        From 0 (equal hashes) to 64 w (all pairs).
    callback : callable or None
        Called with a number of rows of `a` that are done, some seconds apart.
    threads : int or None
        Threads to work with; None for as many as Numba has. They change nothing but speed.

    Raises
    ------
    ValueError
        `a` or `b` is no matrix of uint64, they have different numbers of words, or `radius` is out of range.
    """
    rows = _hashes(a, "a")
    others = rows if b is None else _hashes(b, "b")
    if others.shape[1] != rows.shape[1]:
        raise ValueError(f"a has hashes of {rows.shape[1]} words and b of {others.shape[1]}: they must be equally long")
    radius, bits = operator.index(radius), 64 * rows.shape[1]
    if not 0 <= radius <= bits:
        raise ValueError(f"radius {radius} must lie between 0 and {bits}, the hashes' bits")
    pairs = compiled.near(rows, others, radius, b is None, thread_count(threads), callback)
    return NearHashes(*np.ascontiguousarray(pairs.T))


def near(a: np.ndarray, b: np.ndarray, radius: int, within: bool) -> np.ndarray:
    """Return all near pairs of rows and their distances by the definition, int64 [p, 3], sorted.

    `a` is uint64 [n, w], `b` uint64 [m, w]; `within`: `b` is `a`, and only pairs with i < j count.
    """
    step = max(1, _AT_ONCE // max(1, b.size))
    parts = [np.empty((0, 3), np.int64)]
    for start in range(0, len(a), step):
        distances = np.bitwise_count(a[start : start + step, None] ^ b[None]).sum(axis=2, dtype=np.int64)
        i, j = np.nonzero(distances <= radius)
        kept = start + i < j if within else slice(None)
        parts.append(np.stack([start + i, j, distances[i, j]], axis=1)[kept])
    return np.concatenate(parts)


def _hashes(values: ArrayLike, name: str) -> np.ndarray:
    hashes = array(values, name)
    if hashes.dtype != np.uint64 or hashes.ndim != 2 or hashes.shape[1] < 1:
        raise ValueError(f"{name} must be uint64 [n, w], not {hashes.dtype} of shape {hashes.shape}")
    return hashes
