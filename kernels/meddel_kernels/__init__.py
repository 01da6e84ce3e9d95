"""K-means, in-cluster cosines and near hashes: what data selection costs, as a handful of functions on arrays."""

from meddel_kernels.assign import assign
from meddel_kernels.backends import Backend
from meddel_kernels.cosine import RowMax, TopNeighbours, near_duplicates, row_max_cosine, top_neighbours
from meddel_kernels.coverage import FarthestPoint, NearestKept, farthest_point, nearest_kept
from meddel_kernels.hamming import NearHashes, near_hashes
from meddel_kernels.kmeans import KMeans, kmeans, update
from meddel_kernels.seeding import kmeans_parallel, kmeans_plus_plus
from meddel_kernels.unit_rows import unit_rows

__all__ = [
    "Backend",
    "FarthestPoint",
    "KMeans",
    "NearHashes",
    "NearestKept",
    "RowMax",
    "TopNeighbours",
    "assign",
    "farthest_point",
    "kmeans",
    "kmeans_parallel",
    "kmeans_plus_plus",
    "near_duplicates",
    "near_hashes",
    "nearest_kept",
    "row_max_cosine",
    "top_neighbours",
    "unit_rows",
    "update",
]
