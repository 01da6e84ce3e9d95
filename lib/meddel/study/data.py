"""The data of a run: its index, and what each seed makes of it, the pre-training pool and the downstream splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from meddel import artefacts
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.images import index, splits

_FIX = "add a folder of images, or take a profile that pools the training images"


@dataclass(frozen=True)
class Pool:
    """The images to pre-train on: rows of the index, and their positions `rows` (int64 [n]) in the index and pixels."""

    index: pa.Table
    rows: np.ndarray
    data_hash: str


@dataclass(frozen=True)
class Labelled:
    """A downstream set: its images with masks (`rows` of the index, `ids`) and their `splits` (str [n])."""

    rows: np.ndarray
    ids: np.ndarray
    splits: np.ndarray
    data_hash: str


@dataclass(frozen=True)
class Split:
    """The data of one seed."""

    seed: int
    pool: Pool
    sets: dict[str, Labelled]


def study_index(run: Run) -> pa.Table:
    """Return the index of the run's images (section 3.1), of the sets that take part in the study.

    Broken images are listed in ``quarantine.csv``. A folder without an image, anything to pre-train on or a set with
    masks is refused; sets with masks alone will do where the profile pools their training images.
    """
    path = run.out / "index.parquet"
    key = artefacts.hash_of("index", artefacts.hash_of_listing(run.data))
    if not artefacts.is_finished(path, key):
        with artefacts.recorded(path, key, parameters={"folder": str(run.data)}):
            table = index.build_index(run.data, quarantine=run.out / "quarantine.csv")
            pretraining, downstream = index.roles(table)
            if not pretraining and not run.profile.pool_downstream_train:
                raise MedDELError("every image has a mask: nothing to pre-train on", run.data, _FIX)
            if not downstream:
                fix = "add a folder with images/ and masks/ of the same names"
                raise MedDELError("no set with masks", run.data, fix)
            chosen = pc.is_in(table["source"], pa.array([*pretraining, *downstream]))
            artefacts.write_table(path, table.filter(chosen))
    return index.read_index(path)


def split(run: Run, table: pa.Table, seed: int) -> Split:
    """Split the downstream sets of an index for `seed`, by video or patient, and gather the pre-training pool.

    The pool holds the sources and, if the profile pools them, the training images downstream without their masks. No
    image with the content of a validation or test image is in it. An empty pool is refused.
    """
    pretraining, downstream = index.roles(table)
    sets = {name: _labelled(run, table, name, seed) for name in downstream}
    content = np.array(table["sha256"].to_pylist())
    wanted = np.isin(table["source"].to_pylist(), pretraining)
    held_out = np.zeros(len(wanted), dtype=bool)
    for labelled in sets.values():
        training = labelled.splits == "train"
        wanted[labelled.rows] = run.profile.pool_downstream_train & training
        held_out[labelled.rows] = ~training
    rows = np.flatnonzero(wanted & ~np.isin(content, content[held_out]))
    if not len(rows):
        raise MedDELError("nothing to pre-train on", ", ".join([*pretraining, *downstream]), _FIX)
    part = table.take(rows)
    return Split(seed, Pool(part, rows, index.data_hash(part)), sets)


def pool(run: Run, seed: int) -> Pool:
    """Return the pre-training pool of `seed`."""
    return split(run, study_index(run), seed).pool


def _labelled(run: Run, table: pa.Table, name: str, seed: int) -> Labelled:
    here = pc.and_(pc.equal(table["source"], name), pc.is_valid(table["mask"]))
    rows = np.flatnonzero(here.to_numpy(zero_copy_only=False))
    part = table.take(rows)
    parts = splits.split(part, seed, *run.profile.segment.shares)
    data_hash = artefacts.hash_of(name, index.data_hash(part), parts.tolist())
    return Labelled(rows, np.array(part["id"].to_pylist()), parts, data_hash)
