"""One way to compile the renderer's inner loops: cached on disk, single-threaded, numbers that may be reordered."""

from __future__ import annotations

import functools

from numba import njit

compiled = functools.partial(njit, cache=True, fastmath=True, error_model="numpy")
inlined = functools.partial(njit, cache=True, fastmath=True, error_model="numpy", inline="always")
