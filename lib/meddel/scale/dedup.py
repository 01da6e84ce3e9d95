"""The greatest cosine of each row to an earlier one of its cluster (M of Algorithm 1), for rows larger than memory.

The rows are written once more, cluster by cluster, to a file of their own. Where each goes is known beforehand, so
blocks can be written in any order, and again. Within a cluster the rows keep the store's order, so that each block's
part of it is one write; only clusters larger than a block are in the order in which they are compared.

The cosines come by packs: as many whole clusters as fit a block, or a half of a block of a larger cluster, which is
compared with every half before it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import meddel_kernels as kernels
from meddel import artefacts
from meddel.progress import progress
from meddel.scale.stream import Stream, load_checkpoint, save_checkpoint, unit_rows


class Layout(NamedTuple):
    """Where rows are in the sorted file: `line` (int64 [n]) of each of the store's rows, -1 for none.

    Cluster i is the places ``inside[offsets[i]:offsets[i + 1]]``, the first to keep first, and these lines.
    """

    inside: np.ndarray
    offsets: np.ndarray
    line: np.ndarray


class Pack(NamedTuple):
    """Lines `first` to `last`: whole clusters, or a part of one that begins at `begin` (`first` for whole ones)."""

    clusters: range
    first: int
    last: int
    begin: int


def lay_out(stream: Stream, inside: np.ndarray, offsets: np.ndarray) -> Layout:
    """Return where rows go; `inside` and `offsets` as `Layout` has them."""
    sizes, rows = np.diff(offsets), stream.by_id[inside]
    line = np.full(stream.store.rows, -1, np.int64)
    cluster = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    line[rows[np.lexsort((rows, cluster))]] = np.arange(len(rows))
    for number in np.flatnonzero(sizes > stream.block_rows).tolist():
        first, last = offsets[number], offsets[number + 1]
        line[rows[first:last]] = np.arange(first, last)
    return Layout(inside, offsets, line)


def sort(stream: Stream, layout: Layout, path: Path, key: str) -> None:
    """Write the sorted file, float16 [m, d] without a header; ``<path>.npz`` says which blocks are written."""
    state, size = path.with_name(path.name + ".npz"), len(layout.inside) * stream.store.dim * 2
    parts, known = stream.parts, load_checkpoint(state, key)
    fresh = known is None or not path.is_file() or path.stat().st_size != size
    done = np.zeros(len(parts), bool) if fresh else known["done"]
    try:
        path.parent.mkdir(exist_ok=True)
        with open(path, "wb" if fresh else "r+b") as file:
            file.truncate(size)
    except OSError as error:
        raise artefacts.unwritable(path, error) from error
    todo = [part for part, written in zip(parts, done, strict=True) if not written]
    before = stream.store.rows - sum(part.stop - part.start for part in todo)
    with progress(what="sort", total=stream.store.rows, unit="row", done=before) as bar:
        for part, _ in stream.each(scatter_block, path, own=layout.line, unit=False, parts=todo):
            done[part.start // stream.block_rows] = True
            save_checkpoint(state, key, done=done)
            bar.update(part.stop - part.start)


def scatter_block(block: np.ndarray, path: Path, lines: np.ndarray, **_: Any) -> None:
    """Write a block's rows to their lines of the sorted file (a task); again changes nothing."""
    order = np.argsort(lines, kind="stable")
    order = order[np.searchsorted(lines[order], 0) :]
    rows, lines = block[order], lines[order]
    memory, wide = memoryview(rows).cast("B"), rows.shape[1] * rows.itemsize
    edges = [0, *(np.flatnonzero(np.diff(lines) != 1) + 1).tolist(), len(lines)] if len(lines) else []
    try:
        with open(path, "r+b") as file:
            for first, last in pairwise(edges):
                file.seek(int(lines[first]) * wide)
                file.write(memory[first * wide : last * wide])
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise artefacts.unwritable(path, error) from error


def packs(offsets: np.ndarray, block_rows: int) -> list[Pack]:
    """Cut the sorted file into packs of at most `block_rows` lines; parts of a larger cluster have half of that."""
    found, first, half = [], 0, max(1, block_rows // 2)
    edges = offsets.tolist()
    for number, (begin, last) in enumerate(pairwise(edges)):
        if last - edges[first] > block_rows and first < number:
            found.append(Pack(range(first, number), edges[first], begin, edges[first]))
            first = number
        if last - begin > block_rows:
            parts = range(begin, last, half)
            found += [Pack(range(number, number + 1), part, min(part + half, last), begin) for part in parts]
            first = number + 1
    found.append(Pack(range(first, len(edges) - 1), edges[first], edges[-1], edges[first]))
    return [pack for pack in found if pack.first < pack.last]


def dedup(stream: Stream, layout: Layout, path: Path, folder: Path, key: str) -> kernels.RowMax:
    """Find the greatest cosines by place, from the sorted file at `path`; each finished pack leaves a file in `folder`.

    They are -inf, and partners -1, for the first of a cluster and for rows that are in none.
    """
    n, place = stream.store.rows, np.empty(len(layout.inside), np.int64)
    place[layout.line[stream.by_id[layout.inside]]] = layout.inside
    result = kernels.RowMax(np.full(n, -np.inf), np.full(n, -1, np.int64))
    with progress(what="compare within clusters", total=len(place), unit="image") as bar:
        for pack, found in _each(stream, layout, path, folder, key):
            mine = place[pack.first : pack.last]
            result.cosine[mine] = found.cosine
            result.partner[mine] = np.where(found.partner < 0, -1, place[found.partner])
            bar.update(len(mine))
    return result


def _each(stream: Stream, layout: Layout, path: Path, folder: Path, key: str) -> Iterator[tuple[Pack, kernels.RowMax]]:
    """Yield each pack and its cosines: those that an earlier run has finished, then the others as they come."""
    found = packs(layout.offsets, stream.block_rows)
    todo = []
    for number, pack in enumerate(found):
        kept = load_checkpoint(folder / f"pack-{number:06d}.npz", key)
        if kept is None:
            todo.append(number)
        else:
            yield pack, kernels.RowMax(**kept)

    def edges(pack: Pack) -> np.ndarray:
        return layout.offsets[pack.clusters.start : pack.clusters.stop + 1]

    def pairs(number: int) -> int:
        pack = found[number]
        return (pack.last - pack.first) * int(np.diff(np.minimum(edges(pack), pack.last)).max())

    def arguments(number: int) -> tuple:
        pack = found[number]
        order = layout.line[stream.by_id[layout.inside[pack.first : pack.last]]]
        return path, stream.store.dim, max(1, stream.block_rows // 2), pack, order, edges(pack)

    todo.sort(key=pairs, reverse=True)  # the dearest first, so that workers are done at the same time
    for number, best in stream.map(compare_pack, todo, arguments):
        save_checkpoint(folder / f"pack-{number:06d}.npz", key, **best._asdict())
        yield found[number], best


def compare_pack(
    path: Path, dim: int, half: int, pack: Pack, order: np.ndarray, offsets: np.ndarray, **work_on: Any
) -> kernels.RowMax:
    """Return the greatest cosines of a pack's lines, partners as lines (a task).

    `order` are the pack's lines, the first to keep of each cluster first; `offsets` are those of its clusters.
    """
    rows = read_lines(path, pack.first, pack.last, dim)
    if pack.last - pack.first == offsets[-1] - offsets[0]:
        unit = unit_rows(rows, work_on["threads"])
        best = kernels.row_max_cosine(unit, order - pack.first, offsets - pack.first, **work_on)
        return kernels.RowMax(best.cosine, np.where(best.partner < 0, -1, best.partner + pack.first))
    best = kernels.RowMax(np.full(len(rows), -np.inf), np.full(len(rows), -1, np.int64))
    for first in range(pack.begin, max(pack.first, pack.begin + 1), half):
        earlier = read_lines(path, first, min(first + half, pack.first), dim)
        lines = np.concatenate([np.arange(first, first + len(earlier)), np.arange(pack.first, pack.last)])
        unit = unit_rows(np.concatenate([earlier, rows]), work_on["threads"])
        found = kernels.row_max_cosine(unit, np.arange(len(lines)), np.array([0, len(lines)]), **work_on)
        cosine, partner = found.cosine[len(earlier) :], found.partner[len(earlier) :]
        partner = np.where(partner < 0, -1, lines[partner])
        better = (cosine > best.cosine) | ((cosine == best.cosine) & (partner < best.partner))
        best.cosine[better], best.partner[better] = cosine[better], partner[better]
    return best


def read_lines(path: Path, first: int, last: int, dim: int) -> np.ndarray:
    """Return lines of the sorted file: float16 [last - first, dim]."""
    return np.fromfile(path, np.float16, (last - first) * dim, offset=first * dim * 2).reshape(-1, dim)
