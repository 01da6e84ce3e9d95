"""Pixels per test image of every cell of a grid: what is resampled where the test images are to count as a sample."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from meddel import artefacts
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.images import splits
from meddel.progress import progress
from meddel.study.cell import folder
from meddel.study.data import roles, study_index
from meddel.study.grid import Cell
from meddel.study.run import jobs

COLUMNS = ["set", "head", "selector", "ratio", "seed", "id", "group", "intersection", "union"]


def image_counts(run: Run, grid: Sequence[Cell], *, transfer: bool = False, split: str = "test") -> pd.DataFrame:
    """Gather the foreground pixels of every evaluated image at the last epoch.

    Parameters
    ----------
    run : Run
        Whose study has been computed for the grid.
    grid : sequence of Cell
        Its encoders.
    transfer : bool
        Take the test images of the sets that were not trained on; `set` then reads ``"trained>tested"``.
    split : {"test", "val"}
        Which images.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row per set, head, cell and image: `intersection` and `union` of prediction and truth in pixels.
        `group` tells images apart that are not independent: rows of one video (sequence, patient) or of equal content
        have the same (`meddel.images.splits.group`).

    Raises
    ------
    MedDELError
        A cell has not been computed, or its counts are of images that the index does not hold.
    """
    parts = []
    for cell, name, head in progress(jobs(run, list(grid)), what="gather the test images", unit="score"):
        table = _read(run, cell, name, head)
        own = pc.equal(table["set"], name)
        rows = table.filter(pc.and_(pc.invert(own) if transfer else own, pc.equal(table["split"], split)))
        part = rows.select(["set", "id", "intersection", "union"]).to_pandas()
        parts.append(part.assign(head=head, selector=cell.selector, ratio=cell.ratio, seed=cell.seed))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    counts = pd.concat(parts, ignore_index=True)
    groups = _groups(run)
    counts["group"] = counts.id.map(groups)
    if counts.group.isna().any():
        raise MedDELError("an image of the study is not in the index", counts.id[counts.group.isna()].iloc[0], _FIX)
    return counts[COLUMNS]


_FIX = "run the study first (meddel run)"


def _read(run: Run, cell: Cell, name: str, head: str) -> pa.Table:
    scores = folder(run, cell) / f"{name}-{head}" / "scores.parquet"
    path = scores.with_name("images.parquet")
    # The provenance of the scores is written last, after both tables.
    if artefacts.read_provenance(scores) is None:
        raise MedDELError("no counts of test images yet", path, _FIX)
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise MedDELError("the counts of test images can't be read", path, "remove the folder and run again") from error


@functools.lru_cache(maxsize=4)
def _groups(run: Run) -> dict[str, str]:
    """From every image's id to the name of its group."""
    table = study_index(run)
    named = {}
    for name in roles(run)[1]:
        rows = table.filter(pc.equal(table["source"], name))
        numbers = splits.group(rows)
        first = np.unique(numbers, return_index=True)[1]
        ids = rows["id"].to_pylist()
        named.update({id_: ids[first[number]] for id_, number in zip(ids, numbers, strict=True)})
    return named
