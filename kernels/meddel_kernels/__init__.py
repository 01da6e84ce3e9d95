"""K-means and in-cluster cosine similarity: what data selection costs, as a handful of functions on arrays."""

from meddel_kernels.backends import Backend
from meddel_kernels.clustering import KMeans
from meddel_kernels.operations.batched_cosine import RowMax, row_max_cosine
from meddel_kernels.operations.kmeans import assign, kmeans, kmeans_plus_plus
from meddel_kernels.reference.pairs import unit_rows

__all__ = ["Backend", "KMeans", "RowMax", "assign", "kmeans", "kmeans_plus_plus", "row_max_cosine", "unit_rows"]
