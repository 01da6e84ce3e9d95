"""The same operations in CUDA C++ on NVIDIA GPUs: certified screens on tensor cores, float64 where they can't tell.

Each ``.cu`` is one operation; its head comment says what it computes and how. To read one, begin with ``warp.cuh``,
which says what a block, a thread and a warp are, then ``exact.cuh`` and ``tile.cuh``, which most of them include. They
are compiled by CuPy when first called (see ``device``); importing this package needs neither CuPy nor a GPU. What the
comments say of bytes and instructions is counted, not measured: these kernels have not run on a card yet. The tests run
them on a CPU, thread by thread.
"""

from meddel_kernels.cuda.cosine import first_above, gains, row_max, top
from meddel_kernels.cuda.device import available
from meddel_kernels.cuda.rows import CudaRows as rows

__all__ = ["available", "first_above", "gains", "row_max", "rows", "top"]
