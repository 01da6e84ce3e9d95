"""Cosines inside the clusters of a ragged batch, all clusters in one call, whatever computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from meddel_kernels.backends import Backend, back_end
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.reference.pairs import matrix


class RowMax(NamedTuple):
    """Result of `row_max_cosine`, by row of `x`.

    Attributes
    ----------
    cosine : float64 [n]
        The greatest cosine to an earlier row of the same cluster, in [-1, 1]; -inf where there is none.
    partner : int64 [n]
        The row that it is reached with; -1 where there is none.
    """

    cosine: np.ndarray
    partner: np.ndarray


def row_max_cosine(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    *,
    callback: Callable[[int], None] | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
) -> RowMax:
    """Find, for each row, the greatest cosine to an earlier row of its cluster, and which row that is.

    One call takes all clusters (a ragged batch). Not greedy: every earlier row counts. Ties go to the earliest row.
    The cosine with a row of zeros is 0.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]
    order : int [m]
        Distinct rows of `x`, cluster after cluster, each cluster in its order. Rows left out get -inf and -1.
    offsets : int [c + 1]
        Cluster i is ``order[offsets[i]:offsets[i + 1]]``; from 0 up to m, never falling.
    callback : callable or None
        Called after each cluster with its number of rows.
    backend, threads
        As for `kmeans`.

    Raises
    ------
    ValueError
        `x` has another type or shape, or holds NaN, infinity or a value beyond 1e150; `order` repeats a row or leaves
        the range; `offsets` do not cut `order` into pieces.
    """
    x = matrix(x, "x")
    order, offsets = np.asarray(order, np.int64), np.asarray(offsets, np.int64)
    if order.ndim != 1 or (order.size and not 0 <= order.min() <= order.max() < len(x)):
        raise ValueError(f"order must be one-dimensional with rows from 0 to {len(x) - 1}")
    if order.size and np.bincount(order).max() > 1:
        raise ValueError("order names a row twice")
    if offsets.ndim != 1 or (np.diff(offsets) < 0).any() or [*offsets[:1], *offsets[-1:]] != [0, order.size]:
        raise ValueError(f"offsets must rise from 0 to {order.size}")
    result = RowMax(np.full(len(x), -np.inf), np.full(len(x), -1, np.int64))
    compute = back_end(backend).row_max
    compute(x, order, offsets, result.cosine, result.partner, thread_count(threads), callback)
    return result
