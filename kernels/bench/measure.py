"""Times and extra memory of functions, and what others do for the same end, called as their users call it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus

Job = Callable[[], object]

PAUSE = 0.1  # seconds, after which the threads of the job before have stopped spinning
ROUNDS, LONG = 3, 3.0  # a job that takes this many seconds is not repeated


def interleaved(jobs: dict[str, Job]) -> dict[str, dict[str, float]]:
    """Return for each job its median seconds and its extra memory in MB, in up to three rounds of all jobs."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    memory: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            if seconds[name] and max(seconds[name]) > LONG:
                continue
            gc.collect()
            with contextlib.suppress(OSError, AttributeError):  # glibc's: freed memory that is used again then counts
                ctypes.CDLL(None).malloc_trim(0)
            time.sleep(PAUSE)
            with _Peak() as peak:
                start = time.perf_counter()
                job()
                seconds[name].append(time.perf_counter() - start)
            memory[name].append(peak.extra)
    return {name: {"seconds": float(np.median(seconds[name])), "extra_mb": max(memory[name])} for name in jobs}


def machine() -> str:
    """Return the processor's name and how many cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores"


class _Peak:
    """The resident memory that a block of code adds, sampled every 2 ms, in MB."""

    def __enter__(self) -> _Peak:
        self._done = threading.Event()
        self._before = self._most = self._resident()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self.extra = self._most - self._before

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self._most = max(self._most, self._resident())

    @staticmethod
    def _resident() -> float:
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096 / 1e6


def faiss_kmeans(x: np.ndarray, start: np.ndarray, iterations: int) -> np.ndarray:
    """Return FAISS's centroids: Lloyd in float32."""
    index = faiss.Kmeans(
        x.shape[1], len(start), niter=iterations, max_points_per_centroid=len(x), min_points_per_centroid=1
    )
    index.train(x, init_centroids=start)
    return index.centroids


def sklearn_kmeans(x: np.ndarray, start: np.ndarray, iterations: int) -> np.ndarray:
    """Return scikit-learn's centroids: Lloyd in float32."""
    model = KMeans(len(start), init=start, n_init=1, algorithm="lloyd", tol=0, max_iter=iterations)
    return model.fit(x).cluster_centers_


def sklearn_seeding(x: np.ndarray, k: int) -> np.ndarray:
    """Return the rows that scikit-learn's k-means++ draws, with one trial a step, as ours has."""
    return kmeans_plusplus(x, k, n_local_trials=1, random_state=0)[1]


def faiss_nearest(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the nearest centroids by FAISS's exhaustive search in float32."""
    index = faiss.IndexFlatL2(x.shape[1])
    index.add(centroids)
    return index.search(x, 1)[1][:, 0]


def faiss_neighbours(x: np.ndarray, m: int) -> np.ndarray:
    """Return m + 1 neighbours by FAISS's exhaustive search in float32; the row itself is among them."""
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    return index.search(x, m + 1)[1]


def faiss_hashes(a: np.ndarray, radius: int) -> np.ndarray:
    """Return the pairs, int64 [p, 3], by FAISS's exhaustive range search, which compares every pair twice."""
    index, codes = faiss.IndexBinaryFlat(64 * a.shape[1]), a.view(np.uint8)
    index.add(codes)
    limits, distances, second = index.range_search(codes, radius + 1)
    first = np.repeat(np.arange(len(a)), np.diff(limits).astype(np.int64))
    pairs = np.stack([first, second, distances.astype(np.int64)], axis=1)[first < second]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def whole_matrix(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return each row's greatest cosine to an earlier one, SemDeDup's way: the whole matrix of a cluster."""
    greatest = np.zeros(len(x), np.float32)
    for start, stop in itertools.pairwise(offsets):
        cosines = x[start:stop] @ x[start:stop].T
        greatest[start:stop] = np.triu(cosines, 1).max(axis=0)
    return greatest


def triangular(x: np.ndarray, offsets: np.ndarray, block: int = 1024) -> np.ndarray:
    """Return the same from the tiles of the triangle, as anybody would write it in twelve lines of NumPy."""
    greatest = np.zeros(len(x), np.float32)
    for start, stop in itertools.pairwise(offsets):
        for i in range(start, stop, block):
            rows = x[i : min(i + block, stop)]
            cosines = rows @ x[start : i + len(rows)].T
            cosines[:, i - start :][np.triu_indices(len(rows))] = 0
            greatest[i : i + len(rows)] = cosines.max(axis=1)
    return greatest


def in_a_process(statement: str, compiled: bool = True) -> None:
    """Run a statement on 13,000 made-up rows x in a process of its own; not `compiled`: without Numba's cache."""
    data = "import numpy as np; x = np.random.default_rng(0).standard_normal((13000, 128), dtype=np.float32)"
    with tempfile.TemporaryDirectory() as folder:
        cache = {} if compiled else {"NUMBA_CACHE_DIR": folder}
        subprocess.run([sys.executable, "-c", f"{data}; {statement}"], env={**os.environ, **cache}, check=True)
