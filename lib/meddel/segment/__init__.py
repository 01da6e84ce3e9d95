"""Segmentation downstream (section 4.1): the paper's MLP head fine-tuned, or as a probe on the frozen encoder."""

from meddel.segment.data import SegmentationSet
from meddel.segment.score import IMAGES_SCHEMA, SCORES_SCHEMA, SplitScore, score
from meddel.segment.train import segment

__all__ = ["IMAGES_SCHEMA", "SCORES_SCHEMA", "SegmentationSet", "SplitScore", "score", "segment"]
