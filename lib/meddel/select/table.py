"""What every selector returns: a ranking of all images as a table, and the two CSV files that are made of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from meddel import artefacts
from meddel.errors import MedDELError

_ROWS_AT_A_TIME = 65_536
SELECTION_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("partner", pa.string()),
        pa.field("cosine", pa.float32()),
        pa.field("distance", pa.float32()),
        pa.field("cluster", pa.int32()),
    ]
)
"""`rank` 0 is the first to keep. `reason` is one of

- ``kept``
- ``outlier``: farther from its centroid than eps, namely at `distance`
- ``duplicate``: its greatest cosine to an earlier image of its cluster is `cosine`, reached with image `partner`
- ``prototypical``: too near its centroid, namely at `distance`, where the farther ones stay
- ``atypical``: too far from its centroid, namely at `distance`, where the nearer ones stay
- ``not drawn``: the budget was spent on others, for no fault of its own

or, from a person's own selector, what that says. `partner`, `cosine`, `distance` and `cluster` are given for kept
images too, where the method knows them."""


def selection(
    index: pa.Table,
    order: np.ndarray,
    budget: int,
    *,
    reason: np.ndarray,
    partner: np.ndarray | None = None,
    cosine: np.ndarray | None = None,
    distance: np.ndarray | None = None,
    cluster: np.ndarray | None = None,
) -> pa.Table:
    """Build a selection from a ranking.

    Parameters
    ----------
    index : pyarrow.Table
        n rows with ``id``.
    order : int [n]
        The rows of `index`, first to keep first.
    budget : int
        How many of them are kept, from 0.
    reason : str [n]
        Why a row goes, if it goes (by row, as all that follow).
    partner : int [n] or None
        A row of `index`; negative for none.
    cosine, distance : float [n] or None
        What is not finite becomes null.
    cluster : int [n] or None

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`, in the row order of `index`.
    """
    n = index.num_rows
    rank = np.empty(n, np.int32)
    rank[order] = np.arange(n, dtype=np.int32)
    kept = rank < budget
    ids = index["id"].combine_chunks()
    nulls = pa.nulls(n)
    columns = {
        "id": ids,
        "kept": pa.array(kept),
        "rank": pa.array(rank),
        "reason": pa.array(np.where(kept, "kept", reason)),
        "partner": nulls if partner is None else ids.take(pa.array(partner, mask=partner < 0)),
        "cosine": nulls if cosine is None else pa.array(cosine, mask=~np.isfinite(cosine)),
        "distance": nulls if distance is None else pa.array(distance, mask=~np.isfinite(distance)),
        "cluster": nulls if cluster is None else pa.array(cluster),
    }
    arrays = [pc.cast(columns[field.name], field.type, safe=False) for field in SELECTION_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SELECTION_SCHEMA)


def write_kept_csv(selection: pa.Table, index: pa.Table, kept_path: Path, reasons_path: Path) -> None:
    """Write the images to keep, in order, and the reasons for the rest, as two CSV files (UTF-8, with a header).

    Parameters
    ----------
    selection : pyarrow.Table of `SELECTION_SCHEMA`
    index : pyarrow.Table
        The index that it was made from: ``id`` and ``path`` in the same row order.
    kept_path : Path
        Gets ``rank,id,path``, by rank. Written last: where it stands, both are whole.
    reasons_path : Path
        Gets ``id,path,reason,partner,cosine,distance``, by rank; an empty cell where there is no value.

    Raises
    ------
    MedDELError
        The two tables are not of the same images, or a file can't be written.
    """
    if not selection["id"].equals(index["id"]):
        raise MedDELError("selection and index are not of the same images", fix="select again from this store")
    table = selection.append_column("path", index["path"]).sort_by("rank")
    gone = table.filter(pc.invert(table["kept"])).select(["id", "path", "reason", "partner", "cosine", "distance"])
    kept = table.filter(table["kept"]).select(["rank", "id", "path"])
    _write_csv(reasons_path, gone)
    _write_csv(kept_path, kept)


def _write_csv(path: Path, table: pa.Table) -> None:
    with artefacts.atomic_write(path, "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table.column_names)
        for part in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
            writer.writerows(_cells(row) for row in zip(*(column.to_pylist() for column in part.columns), strict=True))


def _cells(row: Iterable[Any]) -> list[Any]:
    return [f"{value:.6f}" if isinstance(value, float) else value for value in row]
