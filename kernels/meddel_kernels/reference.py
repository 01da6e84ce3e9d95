"""The back end ``reference``: the definitions in float64 NumPy, which are beside the contracts."""

from meddel_kernels.assign import ReferenceRows as rows
from meddel_kernels.cosine import near_duplicates_defined as near_duplicates
from meddel_kernels.cosine import row_max
from meddel_kernels.cosine import top_neighbours_defined as top_neighbours

__all__ = ["near_duplicates", "row_max", "rows", "top_neighbours"]
