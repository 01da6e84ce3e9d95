"""The rows of a store brought together cluster by cluster, once, in a file of their own.

Where each row goes is known beforehand (a counting sort), so shards can be written in any order and again: the bytes
are the same. Within a cluster the rows stay in the store's order, which makes each shard's part of it one write; only
clusters that don't fit a block are laid out in the order in which they are compared, so that they can be read in
blocks.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meddel import artefacts
from meddel.progress import progress
from meddel.scale.streaming import Stream


class Layout(NamedTuple):
    """Where the rows of the clusters lie in the sorted file.

    Attributes
    ----------
    inside : int64 [m]
        Places of the rows that are compared, cluster after cluster, the first to keep of each first.
    offsets : int64 [k + 1]
        Cluster i is ``inside[offsets[i]:offsets[i + 1]]``, and those lines of the file.
    line : int64 [n]
        The file's line of each of the store's rows; -1 for none.
    """

    inside: np.ndarray
    offsets: np.ndarray
    line: np.ndarray


def lay_out(stream: Stream, inside: np.ndarray, offsets: np.ndarray) -> Layout:
    """Return where rows go; `inside` and `offsets` as `Layout` has them."""
    sizes = np.diff(offsets)
    rows = stream.rows_at(inside)
    line = np.full(stream.store.rows, -1, np.int64)
    cluster = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    by_row = np.lexsort((rows, cluster))  # within each cluster the store's order
    line[rows[by_row]] = np.arange(len(rows))
    for number in np.flatnonzero(sizes > stream.block_rows).tolist():
        first, last = offsets[number], offsets[number + 1]
        line[rows[first:last]] = np.arange(first, last)
    return Layout(inside, offsets, line)


def scatter_shard(shard: np.ndarray, lines: np.ndarray, file: int) -> None:
    """Write a shard's rows to their lines of the sorted file; doing it again changes nothing.

    Parameters
    ----------
    shard : float16 [m, d]
    lines : int64 [m]
        -1 for rows that go nowhere.
    file : int
        Descriptor of the file, open for writing.
    """
    order = np.argsort(lines, kind="stable")
    order = order[np.searchsorted(lines[order], 0) :]
    rows, lines = shard[order], lines[order]
    memory, wide = memoryview(rows).cast("B"), rows.shape[1] * rows.itemsize
    breaks = np.flatnonzero(np.diff(lines) != 1) + 1
    firsts = [0, *breaks.tolist()] if len(lines) else []
    for first, last in zip(firsts, [*breaks.tolist(), len(lines)], strict=False):
        _write(file, memory[first * wide : last * wide], int(lines[first]) * wide)


def sort(stream: Stream, layout: Layout, path: Path, key: str) -> None:
    """Write the sorted file, float16 [m, d] without a header, and ``<path>.json``, which says how far it is.

    A run that was cut off goes on behind the last block before which all are written.

    Raises
    ------
    MedDELError
        A shard is damaged, or the folder can't be written.
    """
    state = path.with_name(path.name + ".json")
    size = len(layout.inside) * stream.store.dim * 2
    done = _done(path, state, key, size)
    try:
        with open(path, "r+b" if done else "wb") as file:
            file.truncate(size)
    except OSError as error:
        raise artefacts.unwritable(path, error) from error
    with progress(what="sort", total=stream.store.rows, unit="row", done=done) as bar:
        written: dict[int, int] = {}  # blocks behind one that is not written yet
        blocks = stream.each(_scattered, path, own=lambda part: (layout.line[part],), unit=False, start=done)
        for part, _ in blocks:
            written[part.start] = part.stop
            while done in written:
                done = written.pop(done)
            artefacts.write_json(state, {"key": key, "done": done})
            bar.update(part.stop - part.start)


def read_lines(path: Path, first: int, last: int, dim: int) -> np.ndarray:
    """Return lines of the sorted file: float16 [last - first, dim]."""
    return np.fromfile(path, np.float16, (last - first) * dim, offset=first * dim * 2).reshape(-1, dim)


def _done(path: Path, state: Path, key: str, size: int) -> int:
    """Return how many of the store's rows have been written under this key."""
    try:
        said = json.loads(state.read_bytes())
        if said["key"] == key and path.stat().st_size == size:
            return int(said["done"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing was written yet, or by another run
    return 0


def _scattered(block: np.ndarray, path: Path, lines: np.ndarray, **_: Any) -> None:
    """Write a block's rows to their lines of the sorted file, which is there."""
    try:
        with open(path, "r+b") as file:
            scatter_shard(block, lines, file.fileno())
            os.fsync(file.fileno())
    except OSError as error:
        raise artefacts.unwritable(path, error) from error


def _write(file: int, memory: memoryview, offset: int) -> None:
    while memory:
        written = os.pwrite(file, memory, offset)
        memory, offset = memory[written:], offset + written
