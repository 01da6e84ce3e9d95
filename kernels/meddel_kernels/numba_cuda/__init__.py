"""The operations once more, as plainly as a GPU allows: CUDA kernels written in Python, for reading and for teaching.

Every number that decides is a float64 sum in NumPy's order (``exact``), so the answers are the reference's to the last
bit. There is no screen in low precision here: that is what the back end ``cuda`` is for. Read in this order:

1. ``distances``: one thread a row, the simplest kernels there are;
2. ``exact``: how a thread adds up as NumPy does, and what must be forbidden to the compiler;
3. ``assign``: a thread a row again, then tiles in shared memory, which read less;
4. ``sums``: many threads add to one place, and their order does not matter;
5. ``row_max``: all clusters in one launch, plain and tiled;
6. ``near_duplicates``: a chain of decisions, each waiting for the one before;
7. ``top_neighbours``: lists of m.

Without a GPU they run in Numba's simulator: ``NUMBA_ENABLE_CUDASIM=1 python ...`` makes every CUDA thread a Python
thread, which is a million times slower, and in which ``print`` and a debugger work.
"""

from meddel_kernels.numba_cuda.near_duplicates import near_duplicates
from meddel_kernels.numba_cuda.row_max import row_max
from meddel_kernels.numba_cuda.rows import NumbaCudaRows as rows
from meddel_kernels.numba_cuda.top_neighbours import top_neighbours

__all__ = ["near_duplicates", "row_max", "rows", "top_neighbours"]
