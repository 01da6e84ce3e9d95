"""K-means, in-cluster cosines and near hashes: what data selection costs, as a handful of functions on arrays."""

from meddel_kernels.backends import Backend
from meddel_kernels.clustering import KMeans
from meddel_kernels.operations.batched_cosine import (
    RowMax,
    TopNeighbours,
    near_duplicates,
    row_max_cosine,
    top_neighbours,
)
from meddel_kernels.operations.centroids import assign, update
from meddel_kernels.operations.coverage import FarthestPoint, NearestKept, farthest_point, nearest_kept
from meddel_kernels.operations.facility_location import FacilityGains, facility_location_gains
from meddel_kernels.operations.hamming import NearHashes, near_hashes
from meddel_kernels.operations.inputs import unit_rows
from meddel_kernels.operations.kmeans import kmeans
from meddel_kernels.operations.seeds import kmeans_parallel, kmeans_plus_plus

__all__ = [
    "Backend",
    "FacilityGains",
    "FarthestPoint",
    "KMeans",
    "NearHashes",
    "NearestKept",
    "RowMax",
    "TopNeighbours",
    "assign",
    "facility_location_gains",
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
