"""All pairs of near hashes, beside NumPy and FAISS."""

from __future__ import annotations

from functools import partial

import faiss
import numpy as np
from case import OURS, Case

import meddel_kernels
from meddel_kernels.reference import hamming


def near_hashes(n: int, words: int, radius: int, threads: int) -> Case:
    """The pairs inside `n` hashes, a tenth of which have a near one; an operation is one bit compared."""
    a = made_up(n, words)
    jobs = {
        OURS: partial(meddel_kernels.near_hashes, a, radius=radius, threads=threads),
        "meddel_kernels, one thread": partial(meddel_kernels.near_hashes, a, radius=radius, threads=1),
        "NumPy (the reference)": partial(hamming.near, a, a, radius, True),
        "FAISS": partial(faiss_range, a, radius),
    }
    return Case(jobs, 32.0 * words * n * (n - 1), 8.0 * a.size)


def made_up(n: int, words: int) -> np.ndarray:
    """Return random hashes, uint64 [n, words]; every tenth is another with up to four bits changed."""
    rng = np.random.default_rng(3)
    a = rng.integers(0, 2**64, (n, words), dtype=np.uint64)
    copies = np.arange(0, n, 10)
    a[copies] = a[rng.integers(n, size=len(copies))]
    for _ in range(4):
        a[copies, rng.integers(words, size=len(copies))] ^= np.uint64(1) << rng.integers(
            64, size=len(copies), dtype=np.uint64
        )
    return a


def faiss_range(a: np.ndarray, radius: int) -> np.ndarray:
    """FAISS's exhaustive range search, which meets every pair twice; returns the pairs, int64 [p, 3]."""
    index = faiss.IndexBinaryFlat(64 * a.shape[1])
    codes = a.view(np.uint8)
    index.add(codes)
    limits, distances, second = index.range_search(codes, radius + 1)
    first = np.repeat(np.arange(len(a)), np.diff(limits).astype(np.int64))
    pairs = np.stack([first, second, distances.astype(np.int64)], axis=1)[first < second]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
