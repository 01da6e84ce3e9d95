"""Cosines inside the clusters of a ragged batch, on the device: tile after tile of products, and what decides them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from meddel_kernels.cuda.device import Array, grid
from meddel_kernels.cuda.groups import FACTOR, LEAST, Group, Told, groups
from meddel_kernels.cuda.leads import SCORES

HEIGHT = 4096  # rows of a tile
PANEL = 1024  # rows that are settled together, if greedy: 32 words of 32 bits


def row_max(
    x: Array, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, partner: np.ndarray, threads: int,
    callback: Told,
) -> None:  # fmt: skip
    """Fill `cosine` and `partner` as the definition does; see ``top_neighbours.cu``."""
    for group in groups(x, order, offsets, callback):
        values, winners = _best(group, 1, earlier=True)
        cosine[group.rows], partner[group.rows] = values[:, 0], winners[:, 0]


def top_neighbours(
    x: Array, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, neighbour: np.ndarray, threads: int,
    callback: Told,
) -> None:  # fmt: skip
    """Fill `cosine` and `neighbour` as the definition does; see ``top_neighbours.cu``."""
    m = cosine.shape[1]
    for group in groups(x, order, offsets, callback, 12 * m):
        cosine[group.rows], neighbour[group.rows] = _best(group, m, earlier=False)


def near_duplicates(
    x: Array, order: np.ndarray, offsets: np.ndarray, threshold: float, greedy: bool, partner: np.ndarray, threads: int,
    callback: Told,
) -> None:  # fmt: skip
    """Fill `partner` as the definition does; see ``near_duplicates.cu``."""
    for group in groups(x, order, offsets, callback):
        winners = group.device.full(group.m, -1, np.int32)
        limits = (threshold, FACTOR**2, LEAST)
        for rows, begin, _ in panels(group.offsets, HEIGHT):
            _search(group, rows, begin, rows.start if greedy else rows.stop, limits, greedy, winners)
            for first in range(rows.start, rows.stop, PANEL) if greedy else ():
                panel = slice(first, min(first + PANEL, rows.stop))
                _search(group, panel, rows.start, first, limits, greedy, winners)
                _settle(group, panel, limits, winners)
        partner[group.rows] = group.named(group.device.download(winners))


def _search(
    group: Group, rows: slice, begin: int, end: int, limits: tuple[float, float, float], greedy: bool, winners: Array
) -> None:
    """Find the partners of some rows among the rows from `begin` to `end`."""
    n = rows.stop - rows.start
    for columns in pieces(n, begin, end):
        group.device.launch(
            "near_duplicates.search", grid(n), group.unit, *group.products(rows, columns), group.lead.terms, group.twin,
            group.start, *limits, greedy, *group.plan, rows.start, n, columns.start, columns.stop - columns.start,
            group.d, winners,
        )  # fmt: skip


def _settle(group: Group, rows: slice, limits: tuple[float, float, float], winners: Array) -> None:
    """Find the greedy partners of a panel of rows among themselves."""
    n, above = rows.stop - rows.start, group.device.empty((rows.stop - rows.start, 32), np.int32)
    group.device.launch(
        "near_duplicates.within", grid(n), group.unit, *group.products(rows, rows), group.lead.terms, group.twin,
        group.start, *limits, *group.plan, rows.start, n, group.d, winners, above,
    )  # fmt: skip
    group.device.launch("near_duplicates.settle", 1, above, rows.start, n, winners)


def _best(group: Group, m: int, earlier: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the m greatest cosines of each row of a group, float64 [rows, m], and the matrix's rows, int64."""
    device = group.device
    values, winners = device.full((group.m, m), -np.inf, np.float64), device.full((group.m, m), -1, np.int32)
    tiles = _triangles(group.offsets) if earlier else _squares(group.offsets)
    marks = (group.twin, group.start, None) if earlier else (None, group.start, group.stop)
    for rows, columns in tiles:
        n = rows.stop - rows.start
        device.launch(
            "top_neighbours.top_neighbours", grid(n), group.unit, *group.products(rows, columns), group.lead.terms,
            *marks, FACTOR**2, LEAST, *group.plan, rows.start, n, columns.start, columns.stop - columns.start, group.d,
            m, values, winners,
        )  # fmt: skip
    return device.download(values), group.named(device.download(winners))


def panels(offsets: np.ndarray, height: int) -> Iterator[tuple[slice, int, int]]:
    """Cut the rows of clusters into panels of at most `height`: whole clusters, or a part of one.

    Yields the rows, where their first cluster begins, and where their last one ends.
    """
    cluster, last = 0, len(offsets) - 1
    while cluster < last:
        after = int(np.searchsorted(offsets, offsets[cluster] + height, side="right")) - 1
        after = min(max(after, cluster + 1), last)
        begin, end = int(offsets[cluster]), int(offsets[after])
        for start in range(begin, end, height):
            yield slice(start, min(start + height, end)), begin, end
        cluster = after


def pieces(rows: int, start: int, stop: int) -> Iterator[slice]:
    """Cut columns so that the products with so many rows fit the memory for them."""
    width = max(1, SCORES // rows)
    for first in range(start, stop, width):
        yield slice(first, min(first + width, stop))


def _triangles(offsets: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Yield tiles, rows and columns, in which each row meets the earlier rows of its cluster."""
    for rows, begin, _ in panels(offsets, HEIGHT):
        for columns in pieces(rows.stop - rows.start, begin, rows.stop):
            yield rows, columns


def _squares(offsets: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Yield tiles, rows and columns, in which each row meets all rows of its cluster."""
    for rows, begin, end in panels(offsets, HEIGHT):
        for columns in pieces(rows.stop - rows.start, begin, end):
            yield rows, columns
