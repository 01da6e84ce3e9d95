"""Remove from a pre-training pool what stands in a test split, and tell pair by pair why (beyond the paper).

Two images are *twins* if their files or their decoded pixels are equal, or if they are near duplicates: of the whole
images, or of what is left without black borders, the hashes differ in at most `RADIUS` of 256 bits and the looks have a
cosine of at least `COSINE` (see `datadel.fingerprint`).

The rule was set on, and only on, 963 images of six real sets (colonoscopy, capsule endoscopy, skin, ultrasound; up to
256 pixels a side) and on the pairs of all 7,495:

| copy of an image | found |
| --- | ---: |
| JPEG of quality 30, 50 or 95; half the size and quality 30; five times the size and quality 85 | 963 of 963 each |
| half or twice the size, 48 x 40 pixels, squeezed to a square or to 0.6 of its height | 963 of 963 each |
| 15 % brighter | 962 of 963 |
| a hundredth cut off at each side | 946 of 963 |
| its black border cut off | 213 of 213 |
| a black border added, which the picture's own dark rim may hide | 758 of 963 |
| three hundredths cut off at each side | 182 of 963 |

Between any two of the six sets no pair of looks has a cosine above 0.84, and no hashes are nearer than 52 bits. Between
the sequences of a colonoscopy set, whose frames share their black rim, the greatest cosine is 0.952. Mirrored and
turned copies are not looked for; embeddings may find them (`by_embedding`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from compendium.figures import style
from compendium.figures.twins import twin_pictures
from datadel.compare import EMBEDDING, as_table, compare
from datadel.fingerprint import fingerprints
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images.index import data_hash, write_index
from meddel.progress import progress
from meddel.store import Store
from meddel_kernels import assign, unit_rows

RADIUS, COSINE = 44, 0.96
_VERSION, _AT_ONCE = 1, 1 << 16


class Decontaminated(NamedTuple):
    """Result of `decontaminate`: the pool's index without the images that have a twin, and the twins."""

    clean: pa.Table
    twins: pa.Table


def decontaminate(
    pool: pa.Table, test: pa.Table, out: Path, *, radius: int = RADIUS, cosine: float = COSINE
) -> Decontaminated:
    """Remove from a pool every image that has a twin in a test split.

    Parameters
    ----------
    pool, test, out, radius, cosine
        As for `twins`. ``index.parquet`` in `out` is the clean pool's.

    Returns
    -------
    Decontaminated

    Raises
    ------
    MedDELError
        As for `twins`.
    """
    found = twins(pool, test, out, radius=radius, cosine=cosine)
    clean = without(pool, found)
    write_index(Path(out) / "index.parquet", clean)
    return Decontaminated(clean, found)


def test_split(index: pa.Table) -> pa.Table:
    """Return the rows of an index that are tested on: its test split, or all of them where no split is known."""
    tested = index.filter(pc.equal(index["split"], "test"))
    return tested if tested.num_rows else index


def without(index: pa.Table, twins: pa.Table) -> pa.Table:
    """Return the rows of an index whose ids have no twin; of `within`, that leaves the first of equal images."""
    gone = set(twins["id"].to_pylist())
    return index.filter(pa.array([name not in gone for name in index["id"].to_pylist()], pa.bool_()))


def twins(
    pool: pa.Table, test: pa.Table, out: Path | None = None, *, radius: int = RADIUS, cosine: float = COSINE
) -> pa.Table:
    """Find the images of a pool that stand in a test split, as they are or as near duplicates.

    Parameters
    ----------
    pool, test : pa.Table
        `meddel.images.index.INDEX_SCHEMA`; of a set that is divided, give the rows of the test split.
    out : Path or None
        Folder for ``twins.parquet``, ``twins.csv``, ``twins.png`` and ``twins.svg`` (the least alike pairs, which a
        person should look at), and for the fingerprints. What was made of the same images before is read.
    radius : int
        Bits, of 256, in which the hashes of near duplicates differ at most.
    cosine : float
        Of the looks of near duplicates, at least.

    Returns
    -------
    pa.Table
        `datadel.compare.TWINS_SCHEMA`, sorted by id and twin: `id` of the pool, `twin` of the test split,
        `kind`, and of near duplicates the `distance` in bits, the `cosine`, and whether both are those of the images
        without borders (`trimmed`). Of several test images that are equal, the first is named.

    Raises
    ------
    MedDELError
        A radius or a cosine that makes no sense, an image that is gone or has changed, a folder that can't be written.
    """
    return _found(pool, test, out, radius, cosine)


def within(index: pa.Table, out: Path | None = None, *, radius: int = RADIUS, cosine: float = COSINE) -> pa.Table:
    """Find the twins inside one set: `id` is the later image in the index's order, `twin` the earlier.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`.
    out, radius, cosine
        As for `twins`.

    Returns
    -------
    pa.Table
        `datadel.compare.TWINS_SCHEMA`. Images that equal an earlier one are reported with that one alone, as
        ``same file`` or ``same pixels``; near duplicates pair by pair.

    Raises
    ------
    MedDELError
        As for `twins`.
    """
    return _found(index, None, out, radius, cosine)


def by_embedding(pool: Store, test: Store, threshold: float) -> pa.Table:
    """Find the images of a pool whose embedding is as near to one of a test split as a threshold says.

    That finds what fingerprints can't, such as other frames of the same scene; which cosine means that depends on the
    encoder.

    Parameters
    ----------
    pool, test : Store
        Of the same encoder.
    threshold : float
        Cosine of embeddings, at least; above -1, at most 1.

    Returns
    -------
    pa.Table
        `datadel.compare.TWINS_SCHEMA`, one row an image of the pool that has one, with the nearest image of the
        test split.

    Raises
    ------
    MedDELError
        The stores are of different encoders, or the threshold is no cosine.
    """
    if not -1 < threshold <= 1:
        raise MedDELError(f"threshold {threshold} is no cosine", fix="give one above -1 and at most 1, such as 0.95")
    encoders = [{name: fact for name, fact in of.encoder.items() if name != "embeddings"} for of in (pool, test)]
    if encoders[0] != encoders[1]:
        raise MedDELError("the two stores are of different encoders", test.folder, "embed both with the same weights")
    others, rows = unit_rows(np.asarray(test.embeddings, np.float32)), []
    ids, names = pool.index["id"].to_pylist(), test.index["id"].to_pylist()
    with progress(what="compare", total=len(ids), unit="image") as bar:
        for start in range(0, len(ids), _AT_ONCE):
            mine = unit_rows(np.asarray(pool.embeddings[start : start + _AT_ONCE], np.float32))
            nearest, _ = assign(mine, others)
            cosines = np.einsum("ij,ij->i", mine, others[nearest]).clip(-1, 1)
            rows += [
                (ids[start + i], names[nearest[i]], EMBEDDING, None, float(cosines[i]), False)
                for i in np.flatnonzero(cosines >= threshold)
            ]
            bar.update(len(mine))
    return as_table(rows)


def _found(pool: pa.Table, test: pa.Table | None, out: Path | None, radius: int, cosine: float) -> pa.Table:
    if not 0 <= radius <= 256 or not 0 < cosine <= 1:
        raise MedDELError(
            f"radius {radius} or cosine {cosine} makes no sense", fix="a radius is 0 to 256 bits, a cosine 0 to 1"
        )
    others = pool if test is None else test
    parameters = {"radius": radius, "cosine": cosine, "within": test is None}
    data = artefacts.hash_of(data_hash(pool), data_hash(others))
    key = artefacts.hash_of("twins", _VERSION, data, parameters)
    path = None if out is None else Path(out) / "twins.parquet"
    if path is not None and artefacts.is_finished(path, key):
        return pq.read_table(path)
    if path is None:
        return compare(fingerprints(pool), None if test is None else fingerprints(test), radius, cosine)
    with artefacts.recorded(path, key, parameters=parameters, data_hash=data):
        ours = fingerprints(pool, path.with_name("fingerprints.parquet"))
        theirs = None if test is None else fingerprints(test, path.with_name("fingerprints_test.parquet"))
        table = compare(ours, theirs, radius, cosine)
        with artefacts.atomic_write(path.with_suffix(".csv")) as stream:
            pacsv.write_csv(table, stream)
        style.save(twin_pictures(table, pool, others), path.parent, "twins")
        artefacts.write_table(path, table)
    return table
