"""Measure the kernels beside their peers: ``python kernels/bench`` prints ratios and writes a CSV file.

Everything runs in one process, job after job and round after round. A ratio is a peer's median over ours.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import peers
import torch
from embeddings import made_up
from measure import interleaved, machine
from threadpoolctl import threadpool_limits

import meddel_kernels

ITERATIONS = 12
OURS = "meddel_kernels"


def kmeans_case(n: int, d: int, k: int, threads: int) -> dict[str, Callable[[], object]]:
    """Twelve iterations of Lloyd's from the same start."""
    x = made_up(n, d, seed=1)
    start = x[np.random.default_rng(123).permutation(n)[:k]].copy()
    ours = partial(meddel_kernels.kmeans, x, k, start=start, iterations=ITERATIONS, threads=threads)
    others = {
        "FAISS": peers.faiss_kmeans,
        "FAISS SuperKMeans (approximate)": peers.faiss_super_kmeans,
        "scikit-learn": peers.sklearn_kmeans,
        "torch": peers.torch_kmeans,
    }
    return {OURS: ours, **{name: partial(peer, x, start, ITERATIONS) for name, peer in others.items()}}


def row_max_case(n: int, d: int, clusters: int, threads: int) -> dict[str, Callable[[], object]]:
    """The greatest cosine to an earlier row, of all rows, in clusters of equal size."""
    few = {"groups": 1, "concepts": 3, "twins": 0.3} if clusters == 1 else {}
    x = made_up(n, d, seed=7, **few)
    order, offsets = np.argsort(x @ x.mean(axis=0), kind="stable"), np.linspace(0, n, clusters + 1).astype(np.int64)
    return {
        OURS: partial(meddel_kernels.row_max_cosine, x, order, offsets, threads=threads),
        "SemDeDup's way": partial(peers.semdedup, x, order, offsets),
        "NeMo Curator's way": partial(peers.nemo_curator, x, order, offsets),
    }


CASES: dict[str, Callable[[int], dict[str, Callable[[], object]]]] = {
    "K-means, n 100,000, d 768, k 1000": partial(kmeans_case, 100_000, 768, 1000),
    "K-means, n 100,000, d 768, k 100": partial(kmeans_case, 100_000, 768, 100),
    "K-means, n 1,000,000, d 64, k 1000": partial(kmeans_case, 1_000_000, 64, 1000),
    "row-max, one cluster of 30,000, d 768": partial(row_max_case, 30_000, 768, 1),
    "row-max, 100,000 rows in 1000 clusters, d 768": partial(row_max_case, 100_000, 768, 1000),
}


def main() -> None:
    """Run the asked cases and write what they gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "cpu.csv")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    rows = []
    for case, build in CASES.items():
        if options.only not in case:
            continue
        print(case, flush=True)
        jobs = build(options.threads)
        with threadpool_limits(options.threads):
            jobs[OURS]()  # compiled and loaded before it is measured, as its peers are
            results = interleaved(jobs, options.rounds)
        for name, result in results.items():
            ratio = result["seconds"] / results[OURS]["seconds"]
            print(f"{name:<36} {result['seconds']:9.3f} s {ratio:7.2f} x {result['extra_mb']:8.0f} MB", flush=True)
            row = {"case": case, "name": name, "seconds": f"{result['seconds']:.4f}", "ratio": f"{ratio:.3f}"}
            rows.append({**row, "extra_mb": f"{result['extra_mb']:.0f}", "threads": options.threads, "on": machine()})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
