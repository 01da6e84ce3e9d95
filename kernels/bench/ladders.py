"""The ladders: each operation from the plain way to write it to ours, on the same data."""

from __future__ import annotations

from functools import partial

import numpy as np
import peers
import rungs
from case import THRESHOLD, Case

import meddel_kernels
from meddel_kernels.cpu.rows import CpuRows


def assignment(x: np.ndarray, k: int, threads: int) -> Case:
    """The nearest of k centroids, from three lines of NumPy to bounds that are carried on."""
    centroids = x[np.random.default_rng(123).permutation(len(x))[:k]].astype(np.float64)
    settled = meddel_kernels.kmeans(x, k, start=centroids, iterations=8, threads=threads)
    nudged = settled.centroids + 1e-4 * np.random.default_rng(0).normal(size=(k, x.shape[1])) / np.sqrt(x.shape[1])
    jobs = {
        "three lines of NumPy": partial(rungs.three_lines, x, settled.centroids),
        "float64 product and exact check (the reference)": partial(
            meddel_kernels.assign, x, settled.centroids, backend="reference"
        ),
        "float32 product (inexact)": partial(rungs.float32_product, x, settled.centroids),
        "int8 screen in all columns": partial(rungs.afresh, CpuRows(x, threads), settled.centroids),
        "int8 screen in leading columns": partial(rungs.leading, CpuRows(x, threads), settled.centroids),
        "bounds from before": partial(rungs.carried, CpuRows(x, threads), (settled.centroids, nudged), settled.labels),
    }
    return Case(jobs, 2.0 * x.size * k, 4.0 * x.size, "bounds from before")


def dedup(x: np.ndarray, threads: int) -> Case:
    """Rows of one cluster above `THRESHOLD`, from the whole matrix to few directions."""
    order = np.argsort(x @ x.mean(axis=0), kind="stable")
    batch = (x, order, np.array([0, len(x)]))
    duplicates = partial(meddel_kernels.near_duplicates, *batch, THRESHOLD, threads=threads)
    jobs = {
        "whole matrix, float32 (SemDeDup)": partial(peers.semdedup, *batch),
        "tiles of the square, float32 (NeMo Curator)": partial(peers.nemo_curator, *batch),
        "tiles of the triangle, float32": partial(rungs.triangle, *batch),
        "int8 screen, greatest cosine": partial(meddel_kernels.row_max_cosine, *batch, threads=threads),
        "int8 screen, thresholded": partial(rungs.all_columns, duplicates),
        "leading directions": duplicates,
    }
    return Case(jobs, float(len(x)) * (len(x) - 1) * x.shape[1], 4.0 * x.size, "leading directions")


def seeding(x: np.ndarray, k: int, threads: int) -> Case:
    """The rows that k-means++ draws: each lowers the distances of all others."""
    ours = partial(meddel_kernels.kmeans_plus_plus, x, k, seed=0, threads=threads)
    jobs = {
        "float64 product and exact check (the reference)": partial(
            meddel_kernels.kmeans_plus_plus, x, k, seed=0, backend="reference"
        ),
        "float32 product (inexact)": partial(rungs.product_seeding, x, k),
        "scikit-learn (inexact)": partial(peers.sklearn_seeding, x, k),
        "differences, compiled": partial(rungs.without_bound, ours),
        "int8 bound": ours,
    }
    return Case(jobs, 3.0 * x.size * k, 4.0 * x.size * k, "int8 bound")


def update(x: np.ndarray, k: int, threads: int) -> Case:
    """The sum of each cluster's rows; in the twelfth iteration of Lloyd's some 0.3 % of them have moved."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, k, len(x)).astype(np.int32)
    later = labels.copy()
    later[rng.permutation(len(x))[: len(x) * 3 // 1000]] = 0
    ours = "rows that moved"
    jobs = {
        "np.add.at, float64": partial(rungs.add_at, x, labels, k),
        "one-hot product, SciPy, float32": partial(rungs.one_hot, x, labels, k),
        "index_add_ of torch, float32": partial(rungs.index_add, x, labels, k),
        "fixed point, all rows": partial(rungs.summed_anew, CpuRows(x, threads), labels, k),
        ours: partial(rungs.summed_again, CpuRows(x, threads), (labels, later), k),
    }
    return Case(jobs, float(x.size), 4.0 * x.size, ours)


def to_centroids(x: np.ndarray, k: int, threads: int) -> Case:
    """Each row's squared distance to its centroid."""
    centroids = x[np.random.default_rng(123).permutation(len(x))[:k]].astype(np.float64)
    labels = np.random.default_rng(0).integers(0, k, len(x)).astype(np.int32)
    rows = CpuRows(x, threads)
    jobs = {
        "NumPy, float64": partial(rungs.squares, x, centroids, labels),
        "in NumPy's order, eight sums at a time": partial(rows.squares, centroids, labels),
    }
    return Case(jobs, 3.0 * x.size, 4.0 * x.size, "in NumPy's order, eight sums at a time")


def neighbours(x: np.ndarray, m: int, threads: int) -> Case:
    """The m greatest cosines of each row of one cluster."""
    batch = (x, np.arange(len(x)), np.array([0, len(x)]))
    jobs = {
        "whole matrix, float32, argpartition": partial(rungs.partitioned, x, m),
        "tiles of the square, float32, topk of torch": partial(rungs.tiles_topk, x, m),
        "FAISS, flat index (inexact)": partial(peers.faiss_flat, x, m),
        "int8 screen": partial(meddel_kernels.top_neighbours, *batch, m, threads=threads),
    }
    return Case(jobs, 2.0 * len(x) * (len(x) - 1) * x.shape[1], 4.0 * x.size, "int8 screen")


def gains(x: np.ndarray, chosen: int, threads: int) -> Case:
    """What each row of one cluster would add, when some have been chosen."""
    batch = (x, np.arange(len(x)), np.array([0, len(x)]))
    best = (x.astype(np.float64) @ x[:: len(x) // chosen].T.astype(np.float64)).max(axis=1).clip(-1, 1)
    nothing = np.zeros(len(x))
    jobs = {
        "whole matrix, float64": partial(rungs.matrix_gains, x, best),
        "tiles, float32 (inexact)": partial(rungs.tiles_gains, x, best),
        "every cosine exact: nothing is chosen yet": partial(
            meddel_kernels.facility_location_gains, *batch, nothing, threads=threads
        ),
        "int8 screen": partial(meddel_kernels.facility_location_gains, *batch, best, threads=threads),
    }
    return Case(jobs, 2.0 * len(x) * len(x) * x.shape[1], 4.0 * x.size, "int8 screen")
