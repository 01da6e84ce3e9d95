"""All clusters of a ragged batch: rows prepared once, then small clusters, or panels of large ones, shared out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from meddel_kernels.cpu.cosine import cluster_of, row_max_panels
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
    clusters = [order[start:stop] for start, stop in pairwise(offsets)]
    small = [rows for rows in clusters if len(rows) <= LARGE]

    def several(first: int, last: int) -> None:
        for rows in small[first:last]:
            _cluster(prepared, rows, cosine, partner, 1)

    def tell(first: int, last: int) -> None:
        for rows in small[first:last]:
            if callback is not None:
                callback(len(rows))

    share_out(several, len(small), 1, threads, done=tell)
    for rows in clusters:
        if len(rows) > LARGE:
            _cluster(prepared, rows, cosine, partner, threads)
            if callback is not None:
                callback(len(rows))


def _cluster(prepared: Prepared, rows: np.ndarray, cosine: np.ndarray, partner: np.ndarray, threads: int) -> None:
    if len(rows) < 2:
        return
    first = first_of_equals(prepared.unit.x, rows, prepared.hashes[rows])
    cluster = cluster_of(rows, first, prepared.leads, prepared.offset)

    def work(start: int, stop: int) -> None:
        row_max_panels(prepared.unit, cluster, start, stop, cosine, partner)

    share_out(work, len(cluster.panels), 1, threads)


def first_of_equals(x: np.ndarray, rows: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the positions in `rows`, ascending, of those that equal no earlier one; `hashes` are theirs."""
    first, where = np.unique(hashes, return_index=True, return_inverse=True)[1:]
    if len(first) == len(rows):
        return np.arange(len(rows))
    later = np.flatnonzero(first[where] != np.arange(len(rows)))
    different = (x[rows[later]] != x[rows[first[where[later]]]]).any(axis=1)
    return np.sort(np.concatenate([first, later[different]]))
