"""The operations beside their peers."""

from __future__ import annotations

from functools import partial

import first_call as first
import numpy as np
import peers
from case import OURS, THRESHOLD, Case

import meddel_kernels

ITERATIONS = 12


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


def first_call(call: str) -> Case:
    """A call in a process of its own, until its answer is there."""
    jobs = {
        OURS: partial(first.warm, call),
        "meddel_kernels, nothing compiled yet": partial(first.cold, call),
        **{name: partial(first.peer, statement) for name, statement in first.PEERS.get(call, {}).items()},
    }
    return Case(jobs, 0.0, 1.0)
