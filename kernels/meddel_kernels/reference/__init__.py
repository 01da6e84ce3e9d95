"""The definitions of the operations, in float64 NumPy.

Every decision compares numbers that belong to one pair of rows alone (see `pairs`): equal rows get equal values, ties
go to the lowest index, and the bytes do not depend on blocks or on the number of threads.
"""

from meddel_kernels.reference.clustering import KMeans, assign, kmeans, kmeans_plus_plus
from meddel_kernels.reference.cosine import RowMax, row_max_cosine
from meddel_kernels.reference.pairs import unit_rows

__all__ = ["KMeans", "RowMax", "assign", "kmeans", "kmeans_plus_plus", "row_max_cosine", "unit_rows"]
