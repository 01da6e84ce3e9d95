"""All clusters of a ragged batch: the rows prepared once, each cluster's panels shared out among threads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numba
import numpy as np

from meddel_kernels.cpu.cosine import cluster_of, row_max_panels
from meddel_kernels.cpu.lead import basis, lead, row_blocks
from meddel_kernels.cpu.threads import share_out
from meddel_kernels.cpu.unit_rows import read_units, unit_of


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
    u = unit_of(x, threads)

    def read(rows: slice) -> np.ndarray:
        return read_units(u, rows)

    chosen = basis(read, *x.shape, x.shape[1])
    leads = lead(read, len(x), chosen)
    offset = np.concatenate([read(part) @ chosen.centre for part in row_blocks(*x.shape)])
    offset -= 0.5 * (chosen.centre @ chosen.centre)
    equal = _hashes(u.x.view(np.uint32))
    for start, stop in pairwise(offsets):
        rows = order[start:stop]
        if len(rows) > 1:
            first = first_of_equals(u.x, rows, equal[rows])
            cluster = cluster_of(rows, first, chosen.factor, leads, offset)
            share_out(
                lambda a, b, c=cluster: row_max_panels(u, c, a, b, cosine, partner), len(cluster.panels), 1, threads
            )
        if callback is not None:
            callback(len(rows))


def first_of_equals(x: np.ndarray, rows: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the positions in `rows`, ascending, of those that equal no earlier one; `hashes` are theirs."""
    first, where = np.unique(hashes, return_index=True, return_inverse=True)[1:]
    later = np.flatnonzero(first[where] != np.arange(len(rows)))
    different = (x[rows[later]] != x[rows[first[where[later]]]]).any(axis=1)
    return np.sort(np.concatenate([first, later[different]]))


@numba.njit(cache=True, nogil=True)
def _hashes(words: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of each row of 32-bit words, uint64 [n]."""
    out = np.empty(words.shape[0], np.uint64)
    for i in range(words.shape[0]):
        value = np.uint64(14695981039346656037)
        for j in range(words.shape[1]):
            value = (value ^ np.uint64(words[i, j])) * np.uint64(1099511628211)
            value ^= value >> np.uint64(29)
        out[i] = value
    return out
