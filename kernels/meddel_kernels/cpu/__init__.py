"""The same operations compiled for the processor by Numba: certified screens in int8, float64 where they can't tell."""

from meddel_kernels.cpu.clusters import row_max
from meddel_kernels.cpu.rows import CpuRows as rows

__all__ = ["row_max", "rows"]
