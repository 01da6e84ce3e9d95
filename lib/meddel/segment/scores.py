"""The two tables that segmentation leaves: a row per epoch and split, and a row per image at the last epoch."""

from __future__ import annotations

import pyarrow as pa

SCORES_SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("selector", pa.string()),
        ("ratio", pa.float64()),
        ("seed", pa.int32()),
        ("head", pa.string()),
        ("epoch", pa.int32()),
        ("split", pa.string()),
        ("foreground_iou", pa.float64()),
        ("two_class_miou", pa.float64()),
        ("seconds", pa.float64()),
    ]
)
"""Scores are fractions; `epoch` counts from 1; `seconds` is the training time so far, evaluation left out."""

IMAGES_SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("id", pa.string()),
        ("split", pa.string()),
        ("intersection", pa.int64()),
        ("union", pa.int64()),
        ("foreground", pa.int64()),
    ]
)
"""Pixels of the foreground per evaluated image: predicted and true, predicted or true, true."""
