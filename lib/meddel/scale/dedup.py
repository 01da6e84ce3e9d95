"""The greatest cosine of each row to an earlier one of its cluster, pack by pack of clusters of the sorted file.

A pack holds as many whole clusters as fit a block. A cluster that is larger is done in halves of a block: each half
with every half before it, at twice the arithmetic that it would take at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import meddel_kernels as kernels
from meddel.progress import progress
from meddel.scale import checkpoint
from meddel.scale.sorting import Layout, read_lines
from meddel.scale.streaming import Stream, unit_rows


class Pack(NamedTuple):
    """Lines `first` to `last` of the sorted file: whole clusters, or a part of one that begins at `begin`.

    Attributes
    ----------
    clusters : range
    first, last : int
    begin : int
        Where the cluster begins; `first` for whole clusters.
    """

    clusters: range
    first: int
    last: int
    begin: int


def packs(offsets: np.ndarray, block_rows: int) -> list[Pack]:
    """Cut the sorted file into packs of at most `block_rows` lines; parts of a larger cluster have half of that."""
    found, first, half = [], 0, max(1, block_rows // 2)
    edges = offsets.tolist()
    for number in range(len(edges) - 1):
        begin, last = edges[number], edges[number + 1]
        if last - edges[first] > block_rows and first < number:
            found.append(Pack(range(first, number), edges[first], begin, edges[first]))
            first = number
        if last - begin > block_rows:
            parts = range(begin, last, half)
            found += [Pack(range(number, number + 1), part, min(part + half, last), begin) for part in parts]
            first = number + 1
    if first < len(edges) - 1:
        found.append(Pack(range(first, len(edges) - 1), edges[first], edges[-1], edges[first]))
    return [pack for pack in found if pack.first < pack.last]


def dedup_pack(
    rows: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    *,
    backend: kernels.Backend = "auto",
    threads: int | None = None,
) -> kernels.RowMax:
    """Find each row's greatest cosine to an earlier row of its cluster: ``meddel_kernels.row_max_cosine`` of unit rows.

    Parameters
    ----------
    rows : float [m, d]
        Of whole clusters.
    order : int64 [m]
        Rows, cluster after cluster, each in its order.
    offsets : int64 [c + 1]
        Cluster i is ``order[offsets[i]:offsets[i + 1]]``.
    backend, threads
        As for `meddel_kernels.kmeans`; they change nothing.
    """
    return kernels.row_max_cosine(unit_rows(rows, threads), order, offsets, backend=backend, threads=threads)


def dedup_parts(
    earlier: np.ndarray, rows: np.ndarray, *, backend: kernels.Backend = "auto", threads: int | None = None
) -> kernels.RowMax:
    """Find, for each of `rows`, the greatest cosine to a row of `earlier` or to an earlier one of `rows`.

    Parameters
    ----------
    earlier, rows : float [m, d], [q, d]
        Two parts of one cluster, each in its order.
    backend, threads
        As for `dedup_pack`.

    Returns
    -------
    RowMax of q rows; a partner is numbered in `earlier`, and from m on in `rows`.
    """
    both = np.concatenate([earlier, rows])
    found = dedup_pack(both, np.arange(len(both)), np.array([0, len(both)]), backend=backend, threads=threads)
    return kernels.RowMax(found.cosine[len(earlier) :], found.partner[len(earlier) :])


def dedup(stream: Stream, layout: Layout, path: Path, folder: Path, key: str) -> kernels.RowMax:
    """Find the greatest cosines of all rows, by place; each finished pack leaves a file in `folder`.

    Parameters
    ----------
    stream, layout
        As for `meddel.scale.sorting.sort`, which has written `path`.
    folder : Path
    key : str

    Returns
    -------
    RowMax of n rows: -inf and -1 for the first of a cluster and for rows that are in none.
    """
    n = stream.store.rows
    place = np.full(len(layout.inside), -1, np.int64)  # of each line
    place[layout.line[stream.rows_at(layout.inside)]] = layout.inside
    result = kernels.RowMax(np.full(n, -np.inf), np.full(n, -1, np.int64))
    found = packs(layout.offsets, stream.block_rows)
    with progress(what="compare within clusters", total=len(layout.inside), unit="image") as bar:
        for number, (cosine, partner) in _each(stream, layout, path, folder, key, found):
            pack = found[number]
            mine = place[pack.first : pack.last]
            result.cosine[mine] = cosine
            result.partner[mine] = np.where(partner < 0, -1, place[pack.begin + partner])
            bar.update(len(mine))
    return result


def _each(
    stream: Stream, layout: Layout, path: Path, folder: Path, key: str, found: list[Pack]
) -> Iterator[tuple[int, kernels.RowMax]]:
    """Yield the cosines of each pack: of those that a run before has finished, then of the others as they come."""
    todo = []
    for number in range(len(found)):
        kept = checkpoint.load(_file(folder, number), key)
        if kept is None:
            todo.append(number)
        else:
            yield number, kernels.RowMax(kept["cosine"], kept["partner"])

    def arguments(number: int) -> tuple:
        pack = found[number]
        order = layout.line[stream.rows_at(layout.inside[pack.first : pack.last])]
        offsets = layout.offsets[pack.clusters.start : pack.clusters.stop + 1]
        return path, stream.store.dim, stream.block_rows, pack, order, offsets

    # The dearest first, so that workers who share them are done at the same time.
    todo.sort(key=lambda number: _cost(found[number], layout.offsets), reverse=True)
    for number, (cosine, partner) in stream.map(_compared, todo, arguments):
        checkpoint.save(_file(folder, number), key, cosine=cosine, partner=partner)
        yield number, kernels.RowMax(cosine, partner)


def _file(folder: Path, number: int) -> Path:
    return folder / f"pack-{number:06d}.npz"


def _cost(pack: Pack, offsets: np.ndarray) -> int:
    """Return how many pairs of lines a pack compares."""
    if pack.last - pack.begin > pack.last - pack.first:
        return (pack.last - pack.first) * (pack.last - pack.begin)
    edges = np.minimum(offsets[pack.clusters.start : pack.clusters.stop + 1], pack.last)
    return int(np.square(np.diff(edges)).sum()) // 2


def _compared(
    path: Path, dim: int, block_rows: int, pack: Pack, order: np.ndarray, offsets: np.ndarray, **work_on: Any
) -> kernels.RowMax:
    """Return the cosines of a pack's lines; partners are numbered from the line where the pack's cluster begins.

    `order` are the pack's lines, the first to keep of each cluster first; `offsets` where its clusters begin and end.
    """
    rows = read_lines(path, pack.first, pack.last, dim)
    if offsets[-1] - offsets[0] <= block_rows:
        return dedup_pack(rows, order - pack.first, offsets - pack.first, **work_on)
    best = kernels.RowMax(np.full(len(rows), -np.inf), np.full(len(rows), -1, np.int64))
    half = max(1, block_rows // 2)
    for first in range(pack.begin, max(pack.first, pack.begin + 1), half):
        earlier = read_lines(path, first, min(first + half, pack.first), dim)
        cosine, partner = dedup_parts(earlier, rows, **work_on)
        begins = np.where(partner < len(earlier), first, pack.first - len(earlier)) - pack.begin
        partner = np.where(partner < 0, -1, begins + partner)
        better = (cosine > best.cosine) | ((cosine == best.cosine) & (partner < best.partner))
        best.cosine[better], best.partner[better] = cosine[better], partner[better]
    return best
