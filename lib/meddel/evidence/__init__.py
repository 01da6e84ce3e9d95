"""Conclusions from the scores of a study: intervals, paired differences, sensitivity, equivalence, verdicts.

Intervals are over seeds (`summary`, `paired_differences`, `equivalence`: Student's t), or over sets, seeds and test
images together (`hierarchical_intervals`). All pair an arm with its reference on the same seeds and images. The row
`MEAN_SET`, the mean over the sets, is the study's main result; rows of single sets describe.
"""

from meddel.evidence.bootstrap import hierarchical_intervals
from meddel.evidence.intervals import (
    between_trainings,
    interval,
    minimum_detectable_effect,
    p_value,
    paired_differences,
    seed_differences,
    sensitivity,
    summary,
)
from meddel.evidence.readings import ARM, MEAN_SET, METRICS, NO_SELECTION, final_scores, with_mean_of_sets
from meddel.evidence.testing import MARGIN, corrected_equivalence, equivalence, holm, simultaneous

__all__ = [
    "ARM",
    "MARGIN",
    "MEAN_SET",
    "METRICS",
    "NO_SELECTION",
    "between_trainings",
    "corrected_equivalence",
    "equivalence",
    "final_scores",
    "hierarchical_intervals",
    "holm",
    "interval",
    "minimum_detectable_effect",
    "p_value",
    "paired_differences",
    "seed_differences",
    "sensitivity",
    "simultaneous",
    "summary",
    "with_mean_of_sets",
]
