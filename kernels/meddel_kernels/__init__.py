"""K-means and in-cluster cosine similarity: what data selection costs, as a handful of functions on arrays."""

from meddel_kernels.reference import KMeans, RowMax, assign, kmeans, kmeans_plus_plus, row_max_cosine, unit_rows

__all__ = ["KMeans", "RowMax", "assign", "kmeans", "kmeans_plus_plus", "row_max_cosine", "unit_rows"]
