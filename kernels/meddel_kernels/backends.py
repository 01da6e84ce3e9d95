"""Which back end computes. Each is a package with the same functions, and all give the same answer.

``reference`` is the definition, in float64 NumPy; ``cpu`` is compiled for the processor; ``cuda`` and ``numba-cuda``
run on NVIDIA's GPUs, the one fast, the other simple. A back end is imported when first asked for, so that none is in
the way where it can't run. ``auto`` is ``cpu``: the tests run the CUDA sources on a CPU and compile them for three
generations of GPUs, but no card has confirmed them yet, so that nobody gets them without asking.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Literal, Protocol, get_args

import numpy as np

from meddel_kernels.clustering import Rows

Backend = Literal["auto", "cpu", "cuda", "numba-cuda", "reference"]
Told = Callable[[int], None] | None
"""Called after each cluster with its number of rows."""


class BackEnd(Protocol):
    """What a back end offers.

    Of those on clusters, `x` is a checked matrix [n, d], `order` int64 [m] names distinct rows of it, cluster after
    cluster, and cluster i is ``order[offsets[i]:offsets[i + 1]]`` (int64 [c + 1]). What they fill in comes filled with
    what holds for rows that are in no cluster. "cos" is the exact product of two unit rows, clipped to [-1, 1].
    """

    def rows(self, x: np.ndarray, threads: int) -> Rows:
        """Prepare a matrix for K-means."""
        ...

    def row_max(
        self, x: np.ndarray, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, partner: np.ndarray,
        threads: int, callback: Told,
    ) -> None:  # fmt: skip
        """Fill `cosine` (float64 [n], -inf) with each row's greatest cos to an earlier row of its cluster, `partner`
        (int64 [n], -1) with that row; ties to the earliest."""
        ...

    def first_above(
        self, x: np.ndarray, order: np.ndarray, offsets: np.ndarray, threshold: float, greedy: bool,
        partner: np.ndarray, threads: int, callback: Told,
    ) -> None:  # fmt: skip
        """Fill `partner` (int64 [n], -1) with the earliest row before each in its cluster whose cos to it is greater
        than `threshold`; `greedy`: among those without a partner."""
        ...

    def top(
        self, x: np.ndarray, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, neighbour: np.ndarray,
        threads: int, callback: Told,
    ) -> None:  # fmt: skip
        """Fill `cosine` (float64 [n, m], -inf) with each row's greatest cos to other rows of its cluster, falling,
        `neighbour` (int64 [n, m], -1) with those rows; ties to the one that is earlier in the cluster's order."""
        ...

    def gains(
        self, x: np.ndarray, order: np.ndarray, offsets: np.ndarray, best: np.ndarray, p: int, gains: np.ndarray,
        threads: int, callback: Told,
    ) -> None:  # fmt: skip
        """Fill `gains` (int64 [n], 0) with the sum of ``rint(2^p max(0, cos(i, j) - best[i]))`` over the rows i of
        each row j's cluster, j included; `best` is float64 [n], from -1 to 1."""
        ...


def back_end(name: str) -> BackEnd:
    """Return what the back end offers.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    if name not in get_args(Backend):
        raise ValueError(f"unknown back end {name!r}: choose one of {', '.join(get_args(Backend))}")
    module = "cpu" if name == "auto" else name.replace("-", "_")
    return importlib.import_module(f"meddel_kernels.{module}")
