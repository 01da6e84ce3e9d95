"""The same operations in CUDA C++ on NVIDIA GPUs: certified screens on tensor cores, float64 where they can't tell.

Each ``.cu`` is one operation; its head comment says what it computes and how. To read one, begin with ``warp.cuh``,
which says what a block, a thread and a warp are, then ``exact.cuh`` and ``scores.cuh``. They are compiled by CuPy when
first called (see ``device``); importing this package needs neither CuPy nor a GPU. What the comments say of bytes is
counted, not measured. The tests run the kernels on a CPU, thread by thread.
"""

from meddel_kernels.cuda.cosine import near_duplicates, row_max, top_neighbours
from meddel_kernels.cuda.device import available
from meddel_kernels.cuda.rows import CudaRows as rows
from meddel_kernels.cuda.rows import largest

__all__ = ["available", "largest", "near_duplicates", "row_max", "rows", "top_neighbours"]
