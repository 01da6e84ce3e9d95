"""What others do for the same end, called as their users call it."""

from __future__ import annotations

import itertools

import faiss
import numpy as np
import torch
from sklearn.cluster import KMeans, kmeans_plusplus


def faiss_kmeans(x: np.ndarray, start: np.ndarray, iterations: int) -> np.ndarray:
    """FAISS, Lloyd in float32; returns the centroids."""
    index = faiss.Kmeans(
        x.shape[1], len(start), niter=iterations, max_points_per_centroid=len(x), min_points_per_centroid=1
    )
    index.train(x, init_centroids=start)
    return index.centroids


def faiss_super_kmeans(x: np.ndarray, start: np.ndarray, iterations: int) -> np.ndarray:
    """FAISS's SuperKMeans: approximate, and with a start of its own, as it takes none."""
    index = faiss.SuperKmeans(
        x.shape[1], len(start), niter=iterations, max_points_per_centroid=len(x), min_points_per_centroid=1
    )
    index.train(x)
    return index.centroids


def sklearn_kmeans(x: np.ndarray, start: np.ndarray, iterations: int) -> np.ndarray:
    """scikit-learn, Lloyd in float32."""
    model = KMeans(len(start), init=start, n_init=1, algorithm="lloyd", tol=0, max_iter=iterations)
    return model.fit(x).cluster_centers_


def torch_kmeans(x: np.ndarray, start: np.ndarray, iterations: int) -> np.ndarray:
    """Lloyd in float32 as one writes it in torch, rows in blocks of 8,192."""
    rows, centroids = torch.from_numpy(x), torch.from_numpy(start).clone()
    for _ in range(iterations):
        half = centroids.square().sum(dim=1) / 2
        labels = torch.cat([(part @ centroids.T - half).argmax(dim=1) for part in rows.split(8192)])
        sums = torch.zeros_like(centroids).index_add_(0, labels, rows)
        sizes = torch.bincount(labels, minlength=len(centroids)).clamp(min=1)
        centroids = sums / sizes[:, None]
    return centroids.numpy()


def semdedup(x: np.ndarray, order: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """SemDeDup's way: the whole matrix of a cluster, its upper triangle, the maximum of each column."""
    rows, greatest = torch.from_numpy(x), torch.zeros(len(x))
    for start, stop in itertools.pairwise(offsets):
        cluster = rows[torch.from_numpy(order[start:stop])]
        greatest[torch.from_numpy(order[start:stop])] = torch.triu(cluster @ cluster.T, diagonal=1).max(dim=0)[0]
    return greatest.numpy()


def nemo_curator(x: np.ndarray, order: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """NeMo Curator's way: the whole square in tiles of 1,024 columns, the triangle masked in each."""
    rows, greatest = torch.from_numpy(x), torch.zeros(len(x))
    for start, stop in itertools.pairwise(offsets):
        cluster = rows[torch.from_numpy(order[start:stop])]
        best = torch.zeros(len(cluster))
        for tile in range(0, len(cluster), 1024):
            products = cluster @ cluster[tile : tile + 1024].T
            best[tile : tile + 1024] = torch.triu(products, diagonal=1 - tile).max(dim=0)[0]
        greatest[torch.from_numpy(order[start:stop])] = best
    return greatest.numpy()


def sklearn_seeding(x: np.ndarray, k: int) -> np.ndarray:
    """scikit-learn's k-means++, one trial a step as ours, so that as much is computed."""
    return kmeans_plusplus(x, k, n_local_trials=1, random_state=0)[1]


def faiss_flat(x: np.ndarray, m: int) -> np.ndarray:
    """FAISS's exhaustive search in float32; the row itself is among what it finds."""
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    return index.search(x, m + 1)[1]
