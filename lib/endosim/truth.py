"""The truth about generated frames: one row a frame, gathered over all sets."""

from __future__ import annotations

import pyarrow as pa

TRUTH_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("centre", pa.string(), nullable=False),
        pa.field("video", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("near_duplicate_group", pa.int32(), nullable=False),
        pa.field("disruption", pa.string()),
        pa.field("has_polyp", pa.bool_(), nullable=False),
        pa.field("has_instrument", pa.bool_(), nullable=False),
    ]
)


def gather_truth(videos: list[pa.Table]) -> pa.Table:
    """Return one table of all videos, sorted by id, whose near-duplicate groups are counted through from 0.

    Parameters
    ----------
    videos : list of Table
        TRUTH_SCHEMA, one video each, groups numbered from 0 inside it.
    """
    offset, shifted = 0, []
    for table in videos:
        groups = [group + offset for group in table["near_duplicate_group"].to_pylist()]
        position = table.schema.get_field_index("near_duplicate_group")
        shifted.append(table.set_column(position, TRUTH_SCHEMA.field(position), pa.array(groups, pa.int32())))
        offset = max(groups) + 1
    return pa.concat_tables(shifted).sort_by("id")
