"""The operations compiled for the processor by Numba: certified screens in int8, float64 where they can't decide."""

from meddel_kernels.cpu.near_duplicates import near_duplicates
from meddel_kernels.cpu.row_max import row_max
from meddel_kernels.cpu.rows import CpuRows as rows
from meddel_kernels.cpu.top_neighbours import top_neighbours

__all__ = ["near_duplicates", "row_max", "rows", "top_neighbours"]
