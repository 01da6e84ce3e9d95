"""The definitions of the operations, in float64 NumPy.

Every decision compares numbers that belong to one pair of rows alone (see `pairs`): equal rows get equal values, ties
go to the lowest index, and the bytes do not depend on blocks or on the number of threads.
"""

from meddel_kernels.reference.clustering import ReferenceRows as rows
from meddel_kernels.reference.cosine import first_above, row_max, top
from meddel_kernels.reference.facility_location import gains

__all__ = ["first_above", "gains", "row_max", "rows", "top"]
