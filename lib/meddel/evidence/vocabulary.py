"""The words that all parts of the evidence share: names of columns and scores, readings, references and verdicts."""

from __future__ import annotations

from typing import Literal

from meddel.errors import MedDELError

Reading = Literal["last", "best_on_val", "paper"]
Reference = Literal["random", "none", "all"]
Verdict = Literal["reproduced", "not reproduced", "not testable here", "not testable at this scale"]

ARM = ["set", "head", "selector", "ratio"]
METRICS = ("foreground_iou", "two_class_miou")
MEAN_SET = "mean of sets"
NO_SELECTION = ("none", "all", "random")
"""The references: no pre-training, all images, random images. Every other selector is under test."""


def check_metric(metric: str) -> None:
    """Refuse a score that is not one of `METRICS`."""
    if metric not in METRICS:
        raise MedDELError(f"unknown score {metric!r}", fix=f"choose one of {', '.join(METRICS)}")
