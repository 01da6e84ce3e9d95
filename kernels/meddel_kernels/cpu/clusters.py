"""All clusters of a ragged batch: rows prepared once, then small clusters, or panels of large ones, shared out."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from meddel_kernels.cpu.cosine import Cluster, cluster_of, row_max_panels
from meddel_kernels.cpu.threads import share_out
from meddel_kernels.cpu.unit_rows import Prepared, prepare

LARGE = 2048  # rows: smaller clusters are one thread's work


def row_max(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    cosine: np.ndarray,
    partner: np.ndarray,
    threads: int,
    callback: Callable[[int], None] | None,
) -> None:
    """Fill `cosine` and `partner` as ``reference.cosine.row_max`` does."""
    prepared = prepare(x, threads)
    sizes = np.diff(offsets)
    small, large = np.flatnonzero(sizes <= LARGE), np.flatnonzero(sizes > LARGE)

    def tell(first: int, last: int) -> None:
        for size in sizes[small[first:last]].tolist() if callback is not None else ():
            callback(size)

    share_out(
        lambda first, last: _whole_clusters(prepared, order, offsets, small[first:last], cosine, partner),
        len(small), 1, threads, done=tell,
    )  # fmt: skip
    for number in large.tolist():
        cluster = cluster_of(order[offsets[number] : offsets[number + 1]], prepared)

        def work(first: int, last: int, cluster: Cluster = cluster) -> None:
            row_max_panels(prepared.unit, cluster, first, last, cosine, partner)

        share_out(work, len(cluster.panels), 1, threads)
        if callback is not None:
            callback(len(cluster.rows))


@numba.njit(cache=True, nogil=True)
def _whole_clusters(
    prepared: Prepared, order: np.ndarray, offsets: np.ndarray, numbers: np.ndarray, cosine: np.ndarray,
    partner: np.ndarray,
) -> None:  # fmt: skip
    for number in numbers:
        if offsets[number + 1] - offsets[number] > 1:
            cluster = cluster_of(order[offsets[number] : offsets[number + 1]], prepared)
            row_max_panels(prepared.unit, cluster, 0, len(cluster.panels), cosine, partner)
