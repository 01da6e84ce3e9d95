"""Compare fingerprints: which images are equal, and which are near duplicates.

Equal images are brought together first, so that a frame that occurs a thousand times is compared once. All hashes meet
all others, whole and without borders; the looks of the pairs that are near by hash confirm them. Flat images, such as
black frames, have no look and are twins only where they are equal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from datadel.fingerprint import hashes, looks
from meddel.progress import progress
from meddel_kernels import near_hashes

SAME_FILE, SAME_PIXELS, NEAR, EMBEDDING = "same file", "same pixels", "near duplicate", "embedding"
TWINS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("twin", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("distance", pa.int32()),
        pa.field("cosine", pa.float64()),
        pa.field("trimmed", pa.bool_()),
    ]
)
_AT_ONCE = 1 << 16


class _Near(NamedTuple):
    """Pairs of rows, confirmed: int64 [p] twice, int64 [p], float64 [p], bool [p]."""

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    cosine: np.ndarray
    trimmed: np.ndarray


def compare(pool: pa.Table, test: pa.Table | None, radius: int, cosine: float) -> pa.Table:
    """Return the twins among fingerprints.

    Parameters
    ----------
    pool, test : pa.Table
        `datadel.fingerprint.FINGERPRINT_SCHEMA`; `test` None: twins inside the pool.
    radius : int
        Bits, of 256, in which the hashes of near duplicates differ at most.
    cosine : float
        Of the looks of near duplicates, at least; above 0.

    Returns
    -------
    pa.Table
        `TWINS_SCHEMA`, as `datadel.decontaminate.twins` and `within` describe it.
    """
    others = pool if test is None else test
    mine, theirs = _contents(pool), _contents(others)
    rows = _equal(pool, others, mine, theirs, within=test is None)
    first, second = _first_rows(mine), _first_rows(theirs)
    near = _near(pool.take(first), None if test is None else others.take(second), radius, cosine)
    ids, names = pool["id"].to_pylist(), others["id"].to_pylist()
    members: dict[str, list[int]] = {}
    for row, content in enumerate(mine):
        members.setdefault(content, []).append(row)
    for i, j, distance, value, trimmed in zip(*(part.tolist() for part in near), strict=True):
        one, other = int(first[i]), int(second[j])
        if test is None:  # copies are reported with what they are copies of
            one, other = max(one, other), min(one, other)
        if mine[one] == theirs[other]:
            continue
        copies = [one] if test is None else members[mine[one]]
        rows += [(ids[row], names[other], NEAR, distance, value, trimmed) for row in copies]
    return as_table(rows)


def _contents(prints: pa.Table) -> list[str]:
    """Return what tells equal images: the hash of their pixels, or of their file where that is not known."""
    columns = (prints["pixels"].to_pylist(), prints["sha256"].to_pylist())
    return [pixels or sha256 for pixels, sha256 in zip(*columns, strict=True)]


def _first_rows(contents: list[str]) -> np.ndarray:
    """Return the rows whose content has not come before, rising."""
    return np.array(sorted({content: row for row, content in reversed(list(enumerate(contents)))}.values()), np.int64)


def _equal(
    pool: pa.Table, others: pa.Table, mine: list[str], theirs: list[str], within: bool
) -> list[tuple[str, str, str, int, float, bool]]:
    """Return each image of the pool that equals one of the others, with the first such, of equal files if there is."""
    files, other_files = pool["sha256"].to_pylist(), others["sha256"].to_pylist()
    ids, names = pool["id"].to_pylist(), others["id"].to_pylist()
    by_file = {sha256: row for row, sha256 in reversed(list(enumerate(other_files)))}
    by_content = {content: row for row, content in reversed(list(enumerate(theirs)))}
    rows = []
    for row, (sha256, content) in enumerate(zip(files, mine, strict=True)):
        for found, kind in ((by_file.get(sha256), SAME_FILE), (by_content.get(content), SAME_PIXELS)):
            if found is not None and (not within or found < row):
                rows.append((ids[row], names[found], kind, 0, 1.0, False))
                break
    return rows


def _near(a: pa.Table, b: pa.Table | None, radius: int, cosine: float) -> _Near:
    """Return near duplicates of whole images and of trimmed ones, each pair once, with its greater cosine."""
    parts = []
    for trimmed in (False, True):
        some, kept = _visible(a, trimmed)
        others, others_kept = (some, kept) if b is None else _visible(b, trimmed)
        prints = None if b is None else hashes(b, trimmed)[others]
        with progress(what="compare", total=len(some), unit="image") as bar:
            found = near_hashes(hashes(a, trimmed)[some], prints, radius=radius, callback=bar.update)
        cosines = _cosines(kept, others_kept, found.first, found.second)
        good = cosines >= cosine
        where = some[found.first[good]], others[found.second[good]]
        parts.append(_Near(*where, found.distance[good], cosines[good], np.full(good.sum(), trimmed)))
    both = _Near(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    order = np.lexsort((both.trimmed, -both.cosine, both.second, both.first))
    both = _Near(*(column[order] for column in both))
    fresh = np.ones(len(order), bool)
    fresh[1:] = (np.diff(both.first) != 0) | (np.diff(both.second) != 0)
    return _Near(*(column[fresh] for column in both))


def _visible(prints: pa.Table, trimmed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are not flat, and their looks."""
    seen = looks(prints, trimmed)
    rows = np.flatnonzero(seen.any(axis=1))
    return rows, seen[rows]


def _cosines(a: np.ndarray, b: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosines of pairs of looks: float64 [p]."""
    cosines = np.empty(len(first))
    for start in range(0, len(first), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        x, y = a[first[part]].astype(np.float64), b[second[part]].astype(np.float64)
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        cosines[part] = np.einsum("ij,ij->i", x, y) / lengths
    return cosines.clip(-1, 1)


def as_table(rows: list[tuple[str, str, str, int | None, float, bool]]) -> pa.Table:
    """Return rows (the columns of `TWINS_SCHEMA`) as a table sorted by id and twin."""
    columns = list(zip(*sorted(rows, key=lambda row: row[:2]), strict=True)) or [()] * len(TWINS_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, TWINS_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=TWINS_SCHEMA)
