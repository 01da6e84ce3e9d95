"""Segmentation downstream (section 4.1): the paper's MLP head fine-tuned, a frozen probe, a DPT decoder."""

from meddel.segment.data import SegmentationSet
from meddel.segment.finetune import dpt, finetune
from meddel.segment.metrics import SplitScore, score
from meddel.segment.probe import probe
from meddel.segment.scores import IMAGES_SCHEMA, SCORES_SCHEMA

HEADS = {"mlp": finetune, "probe": probe, "dpt": dpt}
"""The ways to segment by the name of their head; all take and return the same."""

__all__ = [
    "HEADS",
    "IMAGES_SCHEMA",
    "SCORES_SCHEMA",
    "SegmentationSet",
    "SplitScore",
    "dpt",
    "finetune",
    "probe",
    "score",
]
