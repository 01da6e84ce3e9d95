"""Foreground IoU and two-class mean IoU over a whole split, and the pixels of each image that they come from.

The paper prints "mIoU"; its values at the first epoch suggest the foreground IoU (section 4.2), so both are given. Both
add up intersections and unions over the split and divide once (torchmetrics), not image by image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassJaccardIndex


@dataclass(frozen=True)
class SplitScore:
    """Scores of a split as fractions, and int64 [n] pixel counts of the foreground per image.

    `intersection` is predicted and true, `union` predicted or true, `foreground` true.
    """

    foreground_iou: float
    two_class_miou: float
    intersection: np.ndarray
    union: np.ndarray
    foreground: np.ndarray


def score(predicted: Tensor, masks: Tensor) -> SplitScore:
    """Return the scores of a split.

    Parameters
    ----------
    predicted : Tensor
        bool [n, s, s], true where the foreground is predicted.
    masks : Tensor
        uint8 [n, s, s] on the same device, 1 where the foreground is. Both classes occur, or the IoU of the absent one
        counts as 0 (`SegmentationSet` makes sure that they do).
    """
    metric = MulticlassJaccardIndex(num_classes=2, average=None, validate_args=False).to(masks.device)
    metric.update(predicted.long(), masks.long())
    background, foreground = metric.compute().tolist()
    truth = masks.bool()
    counts = torch.stack(
        [pixels.flatten(1).sum(dim=1) for pixels in (predicted & truth, predicted | truth, truth)]
    ).cpu()
    return SplitScore(foreground, (background + foreground) / 2, *counts.numpy())
