"""The data of a run: its index, decoded pixels, splits, pre-training pool and segmentation sets.

Everything is made once and kept under the run's folder, so that any notebook can ask for it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import endosim
from meddel import artefacts
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.images import index, pixels, splits
from meddel.segment import SegmentationSet


@dataclass(frozen=True)
class Pool:
    """What may be pre-trained on: `index` rows, and their positions `rows` (int64 [n]) in the run's pixels."""

    index: pa.Table
    rows: np.ndarray
    data_hash: str


@functools.lru_cache(maxsize=4)
def study_index(run: Run) -> pa.Table:
    """Return the index of the run's images: the user's folder, or the generated data (section 3.1).

    Only the sets that take part in the study are in it. Broken images are listed in ``quarantine.csv``. A folder whose
    only sets have masks will do where the profile pools their training images.

    Raises
    ------
    MedDELError
        The folder holds no image, or nothing to pre-train on, or no set with masks.
    """
    folder = run.data
    if folder is None:
        folder = endosim.generate(run.out / "data", run.profile.synthetic, seed=0)
    path = run.out / "index.parquet"
    key = artefacts.hash_of("index", artefacts.hash_of_listing(folder))
    if artefacts.is_finished(path, key):
        return index.read_index(path)
    with artefacts.recorded(path, key, parameters={"folder": str(folder)}):
        table = index.build_index(folder, quarantine=run.out / "quarantine.csv")
        pretraining, downstream = index.roles(table)
        if not pretraining and not run.profile.pool_downstream_train:
            fix = "add a folder of images, or take a profile that pools the training images"
            raise MedDELError("every image has a mask: nothing to pre-train on", folder, fix)
        if not downstream:
            raise MedDELError("no set with masks", folder, "add a folder with images/ and masks/ of the same names")
        chosen = pa.array([source in {*pretraining, *downstream} for source in table["source"].to_pylist()])
        artefacts.write_table(path, table.filter(chosen))
    return index.read_index(path)


def roles(run: Run) -> tuple[list[str], list[str]]:
    """Return the names of the run's pre-training sources and of its downstream sets."""
    return index.roles(study_index(run))


@functools.lru_cache(maxsize=4)
def study_pixels(run: Run) -> pixels.Pixels:
    """Return the run's images, decoded once at the encoder's size, in the order of `study_index`."""
    return pixels.decode(study_index(run), run.profile.encoder.image_size, run.out / "pixels")


@functools.lru_cache(maxsize=16)
def segmentation_set(run: Run, name: str, seed: int) -> SegmentationSet:
    """Return the downstream set `name`, split for `seed` by video or patient where known (section 4.1)."""
    table, decoded = study_index(run), study_pixels(run)
    rows, parts = labelled(run, table, name, seed)
    return SegmentationSet(
        name=name,
        images=decoded.images[rows],
        masks=decoded.masks[rows],
        splits=parts,
        ids=table["id"].take(rows).to_pylist(),
    )


@functools.lru_cache(maxsize=4)
def pool(run: Run, seed: int) -> Pool:
    """Return the pre-training pool of `seed`: the sources, and the unlabelled training images downstream if asked.

    No image of a validation or test split is in it, nor a copy of one in another set (FACTS: leakage makes 100 % see
    test images that 5 % mostly miss).

    Raises
    ------
    MedDELError
        No image is left.
    """
    table = study_index(run)
    pretraining, downstream = roles(run)
    content = np.array(table["sha256"].to_pylist())
    wanted = np.isin(table["source"].to_pylist(), pretraining)
    held_out = np.zeros(len(wanted), dtype=bool)
    for name in downstream:
        rows, parts = labelled(run, table, name, seed)
        wanted[rows] = run.profile.pool_downstream_train & (parts == "train")
        held_out[rows] = parts != "train"
    rows = np.flatnonzero(wanted & ~np.isin(content, content[held_out]))
    if not len(rows):
        fix = "add a folder of images, or take a profile that pools the training images"
        raise MedDELError("nothing to pre-train on", ", ".join([*pretraining, *downstream]), fix)
    part = table.take(rows)
    return Pool(index=part, rows=rows, data_hash=index.data_hash(part))


def labelled(run: Run, table: pa.Table, name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (int64) of a set that have masks, and the split that each falls into at `seed`."""
    here = pc.and_(pc.equal(table["source"], name), pc.is_valid(table["mask"]))
    rows = np.flatnonzero(here.to_numpy(zero_copy_only=False))
    return rows, splits.split(table.take(rows), seed, *run.profile.segment.shares)
