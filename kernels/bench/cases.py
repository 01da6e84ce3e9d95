"""What is measured: the operations beside their peers, and the ladders from the plain loop to ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import ladder
import numpy as np
import peers
from embeddings import made_up

import meddel_kernels
from meddel_kernels.cpu.rows import CpuRows

OURS = "meddel_kernels"
ITERATIONS = 12
THRESHOLD = 0.95

Job = Callable[[], object]


class Case(NamedTuple):
    """Jobs that do the same, by name; one of them is `ours`, the others are compared with it.

    `operations` are the useful ones (multiplications and additions of the definition, whatever a job computes),
    `traffic` the bytes that must be read at least: the rows once an iteration.
    """

    jobs: dict[str, Job]
    operations: float
    traffic: float
    ours: str = OURS


def kmeans(x: np.ndarray, k: int, threads: int) -> Case:
    """Twelve iterations of Lloyd's from the same start."""
    start = x[np.random.default_rng(123).permutation(len(x))[:k]].copy()
    ours = partial(meddel_kernels.kmeans, x, k, start=start, iterations=ITERATIONS, threads=threads)
    others = {
        "FAISS": peers.faiss_kmeans,
        "FAISS SuperKMeans (approximate)": peers.faiss_super_kmeans,
        "scikit-learn": peers.sklearn_kmeans,
        "torch": peers.torch_kmeans,
    }
    jobs = {OURS: ours, **{name: partial(peer, x, start, ITERATIONS) for name, peer in others.items()}}
    # The labels of the last centroids are an assignment more.
    return Case(jobs, 2.0 * (ITERATIONS + 1) * x.size * k, 4.0 * (ITERATIONS + 1) * x.size)


def dedup(x: np.ndarray, clusters: int, threads: int) -> Case:
    """Which rows go at a cosine above `THRESHOLD`, in clusters of equal size."""
    jobs, operations = _in_clusters(x, clusters)
    batch = jobs.pop("batch")
    ours = {OURS: partial(meddel_kernels.near_duplicates, *batch, THRESHOLD, threads=threads)}
    greedy = partial(meddel_kernels.near_duplicates, *batch, THRESHOLD, greedy=True, threads=threads)
    return Case({**ours, **jobs, "meddel_kernels, greedy": greedy}, operations, 4.0 * x.size)


def row_max(x: np.ndarray, clusters: int, threads: int) -> Case:
    """The greatest cosine to an earlier row, of all rows, in clusters of equal size."""
    jobs, operations = _in_clusters(x, clusters)
    batch = jobs.pop("batch")
    return Case(
        {OURS: partial(meddel_kernels.row_max_cosine, *batch, threads=threads), **jobs}, operations, 4.0 * x.size
    )


def _in_clusters(x: np.ndarray, clusters: int) -> tuple[dict, float]:
    """Return the peers' jobs on clusters of equal size, the batch itself, and the useful operations."""
    order, offsets = np.argsort(x @ x.mean(axis=0), kind="stable"), np.linspace(0, len(x), clusters + 1)
    batch = (x, order, offsets.astype(np.int64))
    sizes = np.diff(batch[2]).astype(float)
    jobs = {
        "SemDeDup's way": partial(peers.semdedup, *batch),
        "NeMo Curator's way": partial(peers.nemo_curator, *batch),
    }
    return {**jobs, "batch": batch}, float((sizes * (sizes - 1)).sum() * x.shape[1])


def assignment_ladder(x: np.ndarray, k: int, threads: int) -> Case:
    """The nearest of k centroids, from three lines of NumPy to bounds that are carried on."""
    centroids = x[np.random.default_rng(123).permutation(len(x))[:k]].astype(np.float64)
    settled = meddel_kernels.kmeans(x, k, start=centroids, iterations=8, threads=threads)
    nudged = settled.centroids + 1e-4 * np.random.default_rng(0).normal(size=(k, x.shape[1])) / np.sqrt(x.shape[1])
    jobs = {
        "three lines of NumPy": partial(ladder.three_lines, x, settled.centroids),
        "float64 product and exact check (the reference)": partial(
            meddel_kernels.assign, x, settled.centroids, backend="reference"
        ),
        "float32 product (inexact)": partial(ladder.float32_product, x, settled.centroids),
        "int8 screen in all columns": partial(ladder.afresh, CpuRows(x, threads), settled.centroids),
        "int8 screen in leading columns": partial(ladder.leading, CpuRows(x, threads), settled.centroids),
        "bounds from before": partial(ladder.carried, CpuRows(x, threads), (settled.centroids, nudged), settled.labels),
    }
    return Case(jobs, 2.0 * x.size * k, 4.0 * x.size, "bounds from before")


def dedup_ladder(x: np.ndarray, threads: int) -> Case:
    """Rows of one cluster above `THRESHOLD`, from the whole matrix to few directions."""
    order = np.argsort(x @ x.mean(axis=0), kind="stable")
    batch = (x, order, np.array([0, len(x)]))
    duplicates = partial(meddel_kernels.near_duplicates, *batch, THRESHOLD, threads=threads)
    jobs = {
        "whole matrix, float32 (SemDeDup)": partial(peers.semdedup, *batch),
        "tiles of the square, float32 (NeMo Curator)": partial(peers.nemo_curator, *batch),
        "tiles of the triangle, float32": partial(ladder.triangle, *batch),
        "int8 screen, greatest cosine": partial(meddel_kernels.row_max_cosine, *batch, threads=threads),
        "int8 screen, thresholded": partial(ladder.all_columns, duplicates),
        "leading directions": duplicates,
    }
    return Case(jobs, float(len(x)) * (len(x) - 1) * x.shape[1], 4.0 * x.size, "leading directions")


def made_up_cases(threads: int) -> dict[str, Callable[[], Case]]:
    """Return the cases on made-up embeddings, by name."""

    def data(n: int, d: int) -> np.ndarray:
        return made_up(n, d, seed=1)

    def cluster(n: int) -> np.ndarray:
        return made_up(n, 768, seed=7, groups=1, concepts=3, twins=0.3)

    return {
        "K-means, n 100,000, d 768, k 1000": lambda: kmeans(data(100_000, 768), 1000, threads),
        "K-means, n 100,000, d 768, k 100": lambda: kmeans(data(100_000, 768), 100, threads),
        "K-means, n 1,000,000, d 64, k 1000": lambda: kmeans(data(1_000_000, 64), 1000, threads),
        "dedup, one cluster of 30,000, d 768": lambda: dedup(cluster(30_000), 1, threads),
        "dedup, 100,000 rows in 1000 clusters, d 768": lambda: dedup(data(100_000, 768), 1000, threads),
        "row-max, one cluster of 30,000, d 768": lambda: row_max(cluster(30_000), 1, threads),
        "row-max, 100,000 rows in 1000 clusters, d 768": lambda: row_max(data(100_000, 768), 1000, threads),
        "ladder: assignment, n 10,000, d 768, k 1000": lambda: assignment_ladder(data(10_000, 768), 1000, threads),
        "ladder: dedup, one cluster of 15,000, d 768": lambda: dedup_ladder(cluster(15_000), threads),
    }


def cases_of(path: Path, threads: int) -> dict[str, Callable[[], Case]]:
    """Return the cases on embeddings from a file of NumPy, float [n, d]."""
    x = np.ascontiguousarray(np.load(path), np.float32)
    n, d = x.shape
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    few = unit[:: -(-n // 30_000)]
    k = max(2, n // 100)
    of = f"{path.stem}, d {d}"
    return {
        f"K-means, {of}, n {n:,}, k {k}": lambda: kmeans(x, k, threads),
        f"K-means, {of}, n {n:,}, k {max(2, k // 10)}": lambda: kmeans(x, max(2, k // 10), threads),
        f"dedup, {of}, one cluster of {len(few):,}": lambda: dedup(few, 1, threads),
        f"row-max, {of}, one cluster of {len(few):,}": lambda: row_max(few, 1, threads),
        f"dedup, {of}, {n:,} rows in {k} clusters": lambda: dedup(unit, k, threads),
    }
