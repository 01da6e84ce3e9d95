"""Foreground IoU and two-class mean IoU over a whole split, and the pixels of each image that they come from.

The paper prints "mIoU"; its values at the first epoch suggest the foreground IoU (section 4.2), so both are given. Both
add up intersections and unions over the split and divide once, not image by image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassJaccardIndex

_TEXT, _REAL, _INT, _COUNT = pa.string(), pa.float64(), pa.int32(), pa.int64()
_ARM = {"set": _TEXT, "selector": _TEXT, "ratio": _REAL, "seed": _INT, "head": _TEXT, "epoch": _INT, "split": _TEXT}
SCORES_SCHEMA = pa.schema({**_ARM, "foreground_iou": _REAL, "two_class_miou": _REAL, "seconds": _REAL})
"""A row per epoch and split. Scores are fractions; `epoch` counts from 1; `seconds` is the training time so far."""

_PIXELS = {"intersection": _COUNT, "union": _COUNT, "foreground": _COUNT}
IMAGES_SCHEMA = pa.schema({"set": _TEXT, "id": _TEXT, "split": _TEXT, **_PIXELS})
"""A row per evaluated image at the last epoch, in pixels: predicted and true, predicted or true, true."""


@dataclass(frozen=True)
class SplitScore:
    """Scores of a split as fractions, and int64 [n] pixel counts of the foreground per image."""

    foreground_iou: float
    two_class_miou: float
    intersection: np.ndarray
    union: np.ndarray
    foreground: np.ndarray


def score(predicted: Tensor, masks: Tensor) -> SplitScore:
    """Return the scores of a split from bool and uint8 [n, s, s]: where the foreground is predicted, and where it is.

    Both classes have to occur in `masks`.
    """
    metric = MulticlassJaccardIndex(num_classes=2, average=None, validate_args=False).to(masks.device)
    metric.update(predicted.long(), masks.long())
    background, foreground = metric.compute().tolist()
    truth = masks.bool()
    counts = [pixels.flatten(1).sum(dim=1) for pixels in (predicted & truth, predicted | truth, truth)]
    return SplitScore(foreground, (background + foreground) / 2, *torch.stack(counts).cpu().numpy())
