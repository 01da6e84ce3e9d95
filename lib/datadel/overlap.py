"""Find the images of a pre-training pool that are also tested on, pair by pair, and remove them (beyond the paper).

Two images are duplicates if their files or their decoded pixels are equal, or near duplicates: of the whole images, or
of what is left without black borders, the hashes differ in at most `RADIUS` of 256 bits and the looks have a cosine of
at least `COSINE` (see `datadel.fingerprint`). Flat images, such as black frames, are duplicates only where equal.

The rule was set on 963 images of six real sets. Every copy is found of another JPEG quality (30 to 95), size (48 pixels
to five times) or aspect, of 15 % more brightness 962, with a hundredth cut off at each side 946, with a black border
added 758, with three hundredths cut off 182. Between two sets no cosine exceeds 0.84 and no hashes are nearer than 52
bits. Mirrored and turned copies are not looked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from datadel.fingerprint import fingerprints, hashes, looks
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images import pixels
from meddel.images.index import data_hash, write_index
from meddel.progress import progress
from meddel_kernels import near_hashes

RADIUS, COSINE = 44, 0.96
SAME_FILE, SAME_PIXELS, NEAR = "same file", "same pixels", "near duplicate"
PAIRS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("duplicate_of", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("distance", pa.int32()),
        pa.field("cosine", pa.float64()),
        pa.field("trimmed", pa.bool_()),
    ]
)
_VERSION, _AT_ONCE = 2, 1 << 16
_TILE, _CAPTION, _ACROSS, _SHOWN = 160, 28, 6, 12


def decontaminate(pool: pa.Table, test: pa.Table, out: Path) -> tuple[pa.Table, pa.Table]:
    """Return a pool's index without the images that `find_duplicates` finds in a test split, and the pairs.

    ``index.parquet`` in `out` is the clean index.
    """
    pairs = find_duplicates(pool, test, out)
    clean = without(pool, pairs)
    write_index(Path(out) / "index.parquet", clean)
    return clean, pairs


def test_split(index: pa.Table) -> pa.Table:
    """Return the rows of an index that are tested on: its test split, or all of them where no split is known."""
    tested = index.filter(pc.equal(index["split"], "test"))
    return tested if tested.num_rows else index


def without(index: pa.Table, pairs: pa.Table) -> pa.Table:
    """Return the rows of an index that are no duplicate; inside one set that keeps the first of equal images."""
    gone = set(pairs["id"].to_pylist())
    return index.filter(pa.array([name not in gone for name in index["id"].to_pylist()], pa.bool_()))


def find_duplicates(
    pool: pa.Table,
    test: pa.Table | None = None,
    out: Path | None = None,
    *,
    radius: int = RADIUS,
    cosine: float = COSINE,
) -> pa.Table:
    """Find the images of a pool that repeat one of a test split, or without one an earlier image of the pool.

    Parameters
    ----------
    pool, test : pa.Table
        `meddel.images.index.INDEX_SCHEMA`; of a set that is divided, give the rows of the test split.
    out : Path or None
        Folder for ``duplicates.parquet``, ``.csv`` and ``.png`` (the least alike pairs, for a person to look at), and
        for the fingerprints. What was made of the same images before is read.
    radius : int
        Bits, of 256, in which the hashes of near duplicates differ at most.
    cosine : float
        Of the looks of near duplicates, at least.

    Returns
    -------
    pa.Table
        `PAIRS_SCHEMA`, sorted by `id` and `duplicate_of`, with the `kind`, and of near duplicates the `distance` in
        bits, the `cosine`, and whether both are those of the images without borders (`trimmed`). Of several equal
        images the first is named.
    """
    if not 0 <= radius <= 256 or not 0 < cosine <= 1:
        what = f"radius {radius} or cosine {cosine} makes no sense"
        raise MedDELError(what, fix="a radius is 0 to 256 bits, a cosine 0 to 1")
    if out is None:
        return _compare(fingerprints(pool), None if test is None else fingerprints(test), radius, cosine)
    others = pool if test is None else test
    parameters = {"radius": radius, "cosine": cosine, "within": test is None}
    data = artefacts.hash_of(data_hash(pool), data_hash(others))
    key, path = artefacts.hash_of("duplicates", _VERSION, data, parameters), Path(out) / "duplicates.parquet"
    if artefacts.is_finished(path, key):
        return pq.read_table(path)
    with artefacts.recorded(path, key, parameters=parameters, data_hash=data):
        ours = fingerprints(pool, path.with_name("fingerprints.parquet"))
        theirs = None if test is None else fingerprints(test, path.with_name("fingerprints_test.parquet"))
        pairs = _compare(ours, theirs, radius, cosine)
        with artefacts.atomic_write(path.with_suffix(".csv")) as stream:
            pacsv.write_csv(pairs, stream)
        with artefacts.atomic_write(path.with_suffix(".png")) as stream:
            contact_sheet(pairs, pool, others).save(stream, "PNG")
        artefacts.write_table(path, pairs)
    return pairs


def _compare(pool: pa.Table, test: pa.Table | None, radius: int, cosine: float) -> pa.Table:
    """Return the duplicates among fingerprints; equal images are compared once."""
    others = pool if test is None else test
    mine, theirs = pool["pixels"].to_pylist(), others["pixels"].to_pylist()
    rows = _equal(pool, others, mine, theirs, within=test is None)
    first, second = _first_rows(mine), _first_rows(theirs)
    ids, names = pool["id"].to_pylist(), others["id"].to_pylist()
    members: dict[str, list[int]] = {}
    for row, content in enumerate(mine):
        members.setdefault(content, []).append(row)
    compared = None if test is None else test.take(second)
    for i, j, distance, value, trimmed in _near(pool.take(first), compared, radius, cosine):
        one, other = int(first[i]), int(second[j])
        if test is None:  # copies are reported with what they are copies of
            one, other = max(one, other), min(one, other)
        if mine[one] != theirs[other]:
            copies = [one] if test is None else members[mine[one]]
            rows += [(ids[row], names[other], NEAR, distance, value, trimmed) for row in copies]
    columns = list(zip(*sorted(rows, key=lambda row: row[:2]), strict=True)) or [()] * len(PAIRS_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, PAIRS_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=PAIRS_SCHEMA)


def _first_rows(contents: list[str]) -> np.ndarray:
    """Return the rows whose content has not come before, rising."""
    return np.array(sorted({content: row for row, content in reversed(list(enumerate(contents)))}.values()), np.int64)


def _equal(pool: pa.Table, others: pa.Table, mine: list[str], theirs: list[str], *, within: bool) -> list[tuple]:
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


def _near(a: pa.Table, b: pa.Table | None, radius: int, cosine: float) -> list[tuple[int, int, int, float, bool]]:
    """Return near duplicates of whole and of trimmed images: rows, distance and cosine, each pair with its greatest."""
    best: dict[tuple[int, int], tuple[int, float, bool]] = {}
    for trimmed in (False, True):
        rows, mine = _visible(a, trimmed)
        others, theirs = (rows, mine) if b is None else _visible(b, trimmed)
        prints = None if b is None else hashes(b, trimmed)[others]
        with progress(what="compare", total=len(rows), unit="image") as bar:
            found = near_hashes(hashes(a, trimmed)[rows], prints, radius=radius, callback=bar.update)
        values = _cosines(mine, theirs, found.first, found.second)
        for i in np.flatnonzero(values >= cosine):
            pair = int(rows[found.first[i]]), int(others[found.second[i]])
            if pair not in best or values[i] > best[pair][1]:
                best[pair] = int(found.distance[i]), float(values[i]), trimmed
    return [(*pair, *facts) for pair, facts in sorted(best.items())]


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
        cosines[part] = np.einsum("ij,ij->i", x, y) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
    return cosines.clip(-1, 1)


def contact_sheet(pairs: pa.Table, index: pa.Table, others: pa.Table) -> Image.Image:
    """Draw the least alike pairs, each image above the one that it repeats; of an image only its most alike pair."""
    best: dict[str, dict[str, Any]] = {}
    for row in pairs.to_pylist():
        if row["id"] not in best or row["cosine"] > best[row["id"]]["cosine"]:
            best[row["id"]] = row
    shown = sorted(best.values(), key=lambda row: (row["cosine"], row["id"]))[:_SHOWN]
    lines = -(-len(shown) // _ACROSS) or 1
    sheet = Image.new("RGB", (_ACROSS * (_TILE + 8), lines * (2 * _TILE + _CAPTION + 8)), "white")
    pen = ImageDraw.Draw(sheet)
    places = [{row["id"]: (row["path"], row["sha256"]) for row in table.to_pylist()} for table in (index, others)]
    for number, row in enumerate(shown):
        left, top = number % _ACROSS * (_TILE + 8), number // _ACROSS * (2 * _TILE + _CAPTION + 8)
        near = f"cosine {row['cosine']:.3f}, {row['distance']} bits" if row["kind"] == NEAR else row["kind"]
        pen.text((left, top), f"{row['id'][-26:]}\n{near}", "black")
        for step, name in enumerate(("id", "duplicate_of")):
            path, sha256 = places[step][row[name]]
            tile = pixels.square(Path(path), sha256, _TILE)
            sheet.paste(Image.fromarray(tile), (left, top + _CAPTION + step * _TILE))
    return sheet
