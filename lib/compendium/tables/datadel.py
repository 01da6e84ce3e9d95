"""Table 1: the data sets, those of the paper and those of a run (section 3.1)."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from compendium import published
from compendium.tables.rendered import DASH, Rendered, render

_COLUMNS = ["division", "data set", "task", "centres", "videos", "frames", "with mask"]


def table1(index: pa.Table | None = None) -> Rendered:
    """Render Table 1 with the paper's sets, or with the sets of a run.

    Parameters
    ----------
    index : pa.Table, optional
        INDEX table of a run: its sources are counted. Without it the published table is shown.

    Returns
    -------
    Rendered
        Counts; a dash where a number is not known.
    """
    if index is None:
        table = published.table1()
        rows = [
            (
                {"pretraining": "pre-training", "downstream": "downstream test"}[row.division], row.dataset, row.task,
                _count(row.medical_centers), _count(row.videos), _count(row.frames), DASH,
            )
            for row in table.itertuples()
        ]  # fmt: skip
        note = f"Transcribed from Table 1. Frames in total: {table.frames.sum():,}."
        frame = pd.DataFrame(rows, columns=_COLUMNS).drop(columns="with mask")
    else:
        frame = pd.DataFrame(_of_index(index), columns=_COLUMNS)
        note = f"Counted in the index of this run. Frames in total: {index.num_rows:,}."
    return render(frame, name="table1", title="Table 1. Data sets", note=note, group="division")


def _of_index(index: pa.Table) -> list[tuple[str, ...]]:
    table = index.select(["source", "centre", "video", "mask"]).to_pandas()
    rows = []
    for source, images in table.groupby("source", sort=True):
        masks = int(images["mask"].notna().sum())
        use, task = ("downstream", "segmentation") if masks else ("pre-training only", "pre-training")
        counts = [_count(images[column].nunique() or None) for column in ("centre", "video")]
        rows.append((use, str(source), task, *counts, _count(len(images)), _count(masks)))
    return sorted(rows, key=lambda row: (row[0] == "downstream", row[1]))


def _count(value: int | None) -> str:
    return DASH if value is None or pd.isna(value) else f"{int(value):,}"
