"""What is measured, on which data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import comparisons
import first_call
import hashes
import ladders
import numpy as np
from case import Case
from embeddings import made_up


def made_up_cases(threads: int) -> dict[str, Callable[[], Case]]:
    """Return the cases on made-up embeddings, by name."""

    def data(n: int, d: int) -> np.ndarray:
        return made_up(n, d, seed=1)

    def cluster(n: int) -> np.ndarray:
        return made_up(n, 768, seed=7, groups=1, concepts=3, twins=0.3)

    return {
        "K-means, n 100,000, d 768, k 1000": lambda: comparisons.kmeans(data(100_000, 768), 1000, threads),
        "K-means, n 100,000, d 768, k 100": lambda: comparisons.kmeans(data(100_000, 768), 100, threads),
        "K-means, n 1,000,000, d 64, k 1000": lambda: comparisons.kmeans(data(1_000_000, 64), 1000, threads),
        "dedup, one cluster of 30,000, d 768": lambda: comparisons.dedup(cluster(30_000), 1, threads),
        "dedup, 100,000 rows in 1000 clusters, d 768": lambda: comparisons.dedup(data(100_000, 768), 1000, threads),
        "row-max, one cluster of 30,000, d 768": lambda: comparisons.row_max(cluster(30_000), 1, threads),
        "row-max, 100,000 rows in 1000 clusters, d 768": lambda: comparisons.row_max(data(100_000, 768), 1000, threads),
        "near hashes, 100,000 of 64 bits, radius 8": lambda: hashes.near_hashes(100_000, 1, 8, threads),
        "near hashes, 30,000 of 256 bits, radius 40": lambda: hashes.near_hashes(30_000, 4, 40, threads),
        **{f"first call: {call}": partial(comparisons.first_call, call) for call in first_call.OURS},
        "ladder: assignment, n 10,000, d 768, k 1000": lambda: ladders.assignment(data(10_000, 768), 1000, threads),
        "ladder: dedup, one cluster of 15,000, d 768": lambda: ladders.dedup(cluster(15_000), threads),
        "ladder: seeding, n 30,000, d 768, k 1000": lambda: ladders.seeding(data(30_000, 768), 1000, threads),
        "ladder: update, n 100,000, d 768, k 1000": lambda: ladders.update(data(100_000, 768), 1000, threads),
        "ladder: distance to the centroid, n 100,000, d 768": lambda: ladders.to_centroids(
            data(100_000, 768), 1000, threads
        ),
        "ladder: ten neighbours, one cluster of 15,000, d 768": lambda: ladders.neighbours(
            cluster(15_000), 10, threads
        ),
        "ladder: gains, one cluster of 10,000, d 768, 100 chosen": lambda: ladders.gains(cluster(10_000), 100, threads),
    }


def cases_of(path: Path, threads: int) -> dict[str, Callable[[], Case]]:
    """Return the cases on embeddings from a file of NumPy, float [n, d]."""
    x = np.ascontiguousarray(np.load(path), np.float32)
    n, d = x.shape
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    few = np.ascontiguousarray(unit[:: -(-n // 30_000)])
    k = max(2, n // 100)
    of = f"{path.stem}, d {d}"
    return {
        f"K-means, {of}, n {n:,}, k {k}": lambda: comparisons.kmeans(x, k, threads),
        f"K-means, {of}, n {n:,}, k {max(2, k // 10)}": lambda: comparisons.kmeans(x, max(2, k // 10), threads),
        f"dedup, {of}, one cluster of {len(few):,}": lambda: comparisons.dedup(few, 1, threads),
        f"row-max, {of}, one cluster of {len(few):,}": lambda: comparisons.row_max(few, 1, threads),
        f"dedup, {of}, {n:,} rows in {k} clusters": lambda: comparisons.dedup(unit, k, threads),
    }
