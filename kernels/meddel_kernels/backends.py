"""Which back end computes: NumPy (the definition) or compiled code for the processor. They give the same answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np

from meddel_kernels.clustering import Rows
from meddel_kernels.cpu.clusters import row_max as cpu_row_max
from meddel_kernels.cpu.rows import CpuRows
from meddel_kernels.reference.clustering import ReferenceRows
from meddel_kernels.reference.cosine import row_max as reference_row_max

Backend = Literal["auto", "cpu", "reference"]


class Operations(NamedTuple):
    """What a back end offers: ``rows(x, threads)``, and ``row_max`` with the arguments of the reference's."""

    rows: Callable[[np.ndarray, int], Rows]
    row_max: Callable[..., None]


def operations_of(backend: str) -> Operations:
    """Return what the back end offers; ``auto`` is the fastest one here.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"unknown back end {backend!r}: choose one of {', '.join(get_args(Backend))}")
    if backend == "reference":
        return Operations(ReferenceRows, reference_row_max)
    return Operations(CpuRows, cpu_row_max)
