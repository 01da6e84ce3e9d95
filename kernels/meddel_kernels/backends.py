"""Which back end computes: packages with the same functions, which all give the same answer.

``reference`` is the definition, in float64 NumPy, beside each contract; ``cpu`` is compiled for the processor; ``cuda``
and ``numba-cuda`` run on NVIDIA's GPUs, the one fast, the other simple. A back end is imported when first asked for, so
that none is in the way where it can't run. ``auto`` is ``cpu``.

Each has ``rows(x, threads)``, which prepares a checked matrix as `Rows`, and three functions on clusters:
``row_max``, ``near_duplicates`` and ``top_neighbours``, whose definitions are in ``cosine``.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal, Protocol, get_args

import numpy as np

Backend = Literal["auto", "cpu", "cuda", "numba-cuda", "reference"]


class Rows(Protocol):
    """A matrix [n, d] that a back end has prepared: what K-means, its starts and the coverage ask of it.

    Every answer is exact, so that no choice that depends on one (a draw, a repair, the end) differs between back ends.
    """

    n: int
    d: int
    largest: float

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        ...

    def subset(self, rows: np.ndarray) -> Rows:
        """Return some rows (int64 [m]), prepared."""
        ...

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None) -> np.ndarray:
        """Return the nearest of the centroids (float64 [k, d]) for each row, int32 [n]; a good guess saves work."""
        ...

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return each row's squared distance to its centroid, float64 [n]."""
        ...

    def min_distance(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances (float64 [n]) by that to row `index` where that is less."""
        ...

    def sums(self, labels: np.ndarray, k: int, p: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the fixed-point sum of each label's rows, each times its weight (float64 [n]): int64 [k, d]."""
        ...


def back_end(name: str) -> ModuleType:
    """Return the back end of that name.

    Raises
    ------
    ValueError
        There is none.
    """
    if name not in get_args(Backend):
        raise ValueError(f"unknown back end {name!r}: choose one of {', '.join(get_args(Backend))}")
    return importlib.import_module(f"meddel_kernels.{'cpu' if name == 'auto' else name.replace('-', '_')}")
