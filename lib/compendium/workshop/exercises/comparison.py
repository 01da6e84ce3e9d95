"""Intervals over seeds, the reference without pre-training, and luck (exercise `compare_fairly`)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from compendium.workshop.checks import Check
from meddel import evidence, manifests

RECORD = "results/laptop/scores.csv"


def recorded() -> pd.DataFrame:
    """Return the recorded scores of the project's study on two cores.

    Returns
    -------
    DataFrame
        set, head, selector, ratio, seed, epoch, foreground_iou, two_class_miou, seconds; one row a run.
    """
    return pd.read_csv(manifests.path(RECORD))


def _scores(selector: str, ratio: float) -> np.ndarray:
    """Return one recorded arm's foreground IoU by seed, of the first set and head: float64 [seeds]."""
    table = recorded()
    arm = table[(table.selector == selector) & (table.ratio == ratio)]
    arm = arm[(arm["set"] == arm["set"].min()) & (arm["head"] == arm["head"].min())]
    return arm.sort_values("seed").foreground_iou.to_numpy()


def _paired(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    return float(np.mean(ours - theirs)), *evidence.interval(ours - theirs)


def _arms() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(7)
    return [(_scores("all", 1.0), _scores("none", 0.0)), (rng.normal(0.6, 0.1, 8), rng.normal(0.3, 0.1, 8))]


def _luck() -> tuple[np.ndarray, np.ndarray, float]:
    """Return scores of five selectors that are no better than the baseline, 400 times: [400, 5] and [400]."""
    rng = np.random.default_rng(8)
    return rng.normal(0.5, 0.02, size=(400, 5)), rng.normal(0.5, 0.02, size=400), 0.02


CHECKS = (
    Check(
        "paired difference",
        _paired,
        _arms,
        "subtract seed by seed first; half the interval is t (n - 1 degrees of freedom) times sd / sqrt(n), ddof=1",
    ),
    Check(
        "sensitive",
        lambda everything, none: bool(_paired(everything, none)[1] > 0),
        _arms,
        "the study sees what pre-training does if all of the interval of all minus none lies above 0",
    ),
    Check(
        "lucky winners",
        lambda scores, baseline, margin: float((scores.max(axis=1) - baseline > margin).mean()),
        lambda: [_luck()],
        "take the best of the selectors in each repetition; in what share is it ahead of the baseline by the margin?",
    ),
)
