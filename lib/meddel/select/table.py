"""A selection as a table: one row an image, whether it is kept, and why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from meddel import artefacts
from meddel.errors import MedDELError

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
- ``outlier``: its `distance` to its centroid is greater than eps
- ``duplicate``: `cosine` is its greatest to an earlier image of its cluster, namely to `partner`
- ``prototypical``, ``atypical``: its `distance` to its centroid is too small, too great
- ``not drawn``: the budget was spent on others

or what a selector of one's own gives. `partner`, `cosine`, `distance` and `cluster` are given for kept images too."""


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
    """Return the selection which keeps the first `budget` rows of `order`; columns are by row, a partner is a row."""
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
    """Write the images to keep and the reasons for the others as two CSV files, both by rank.

    Parameters
    ----------
    selection, index : pyarrow.Table
        A selection and the index from which it was made, with ``id`` and ``path``, in the same row order.
    kept_path : Path
        Gets ``rank,id,path``. It is written last: where it exists, both files are whole.
    reasons_path : Path
        Gets ``id,path,reason,partner,cosine,distance``.
    """
    if not selection["id"].equals(index["id"]):
        raise MedDELError("selection and index are not of the same images", fix="select again from this store")
    table = selection.append_column("path", index["path"]).sort_by("rank")
    deleted = table.filter(pc.invert(table["kept"])).select(["id", "path", "reason", "partner", "cosine", "distance"])
    for path, part in (
        (reasons_path, deleted),
        (kept_path, table.filter(table["kept"]).select(["rank", "id", "path"])),
    ):
        with artefacts.atomic_write(path, "w") as stream:
            part.to_pandas().to_csv(stream, index=False, float_format="%.6f", lineterminator="\n")
