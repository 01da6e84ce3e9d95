"""What each row would add to a facility location, in all clusters of a ragged batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels import fixed_point
from meddel_kernels.backends import Backend, back_end
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.operations.batched_cosine import batch


class FacilityGains(NamedTuple):
    """Result of `facility_location_gains`, by row of `x`.

    Attributes
    ----------
    gains : float64 [n]
        What the objective would rise by if the row were chosen next; 0 for rows that are in no cluster.
    whole : int64 [n]
        The same before it was rounded to float64, in multiples of a power of two: what to choose by.
    """

    gains: np.ndarray
    whole: np.ndarray


def facility_location_gains(
    x: ArrayLike,
    order: np.ndarray,
    offsets: np.ndarray,
    best: np.ndarray,
    *,
    callback: Callable[[int], None] | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> FacilityGains:
    """Compute what each row would add to ``f(S) = sum_i max_{s in S} cos(i, s)`` within its cluster.

    With ``b_i = max_{s in S} cos(i, s)`` over the rows S that are chosen, the gain of j is ``sum_i max(0, cos(i, j) -
    b_i)`` over all rows i of its cluster, j itself included (the facility location of Wei, Iyer and Bilmes 2015). It is
    a fixed-point sum (see ``fixed_point``), the same whatever the order of the rows.

    Parameters
    ----------
    x, order, offsets, callback, backend, threads
        As for `row_max_cosine`.
    best : float [n]
        b, from -1 to 1: of rows whose cluster has none chosen yet, the least cosine that is to count, such as 0.

    Raises
    ------
    ValueError
        `best` has another shape or leaves the range, or as for `row_max_cosine`.
    """
    x, order, offsets = batch(x, order, offsets, backend, threads)
    best = np.ascontiguousarray(best, np.float64)
    if best.shape != (len(x),) or not (np.abs(best) <= 1).all():
        raise ValueError(f"best must be {len(x)} numbers from -1 to 1")
    p, whole = fixed_point.power(len(x), 2.0), np.zeros(len(x), np.int64)
    back_end(backend).gains(x, order, offsets, best, p, whole, thread_count(threads), callback)
    return FacilityGains(np.ldexp(whole.astype(np.float64), -p), whole)
