"""The same operations compiled for the processor by Numba: certified screens in int8, float64 where they can't tell."""

from meddel_kernels.cpu.clusters import first_above, gains, row_max, top
from meddel_kernels.cpu.rows import CpuRows as rows

__all__ = ["first_above", "gains", "row_max", "rows", "top"]
