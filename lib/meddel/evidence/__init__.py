"""What the scores of a study allow to say: intervals, paired differences, sensitivity, equivalence, corrections.

Two questions are kept apart. *Over seeds* (`summary`, `paired_differences`, `equivalence`): one value per seed,
Student's t over the seeds; the intervals hold what varies with the seed (selection, initialisation, order of the data,
and the split where it is drawn anew). *Over sets, seeds and test images* (`hierarchical_intervals`, and
`image_intervals` for the images alone): resampled from the pixels of every test image, videos drawn as a whole.
`mixed_model` stands beside them. All pair an arm with its reference on the same seeds and images.

Two or three seeds give wide intervals, one seed gives none: then the interval is NaN and nothing can be concluded. The
row `MEAN_SET`, the mean over the sets, is the study's main result; rows of single sets describe. Where many arms are
compared, `corrected` says what may be said of all of them at once.
"""

from meddel.evidence.bootstrap import RESAMPLES
from meddel.evidence.correction import corrected, holm, simultaneous
from meddel.evidence.differences import between_trainings, paired_differences, seed_differences
from meddel.evidence.hierarchical import hierarchical_intervals
from meddel.evidence.intervals import interval, p_value, summary
from meddel.evidence.mixed import Mixed, mixed_differences, mixed_model
from meddel.evidence.over_images import image_intervals
from meddel.evidence.power import minimum_detectable_effect, sensitivity
from meddel.evidence.readings import final_scores, with_mean_of_sets
from meddel.evidence.tost import MARGIN, Equivalence, corrected_equivalence, equivalence
from meddel.evidence.vocabulary import ARM, MEAN_SET, METRICS, NO_SELECTION, Reading, Reference, Verdict

__all__ = [
    "ARM",
    "MARGIN",
    "MEAN_SET",
    "METRICS",
    "NO_SELECTION",
    "RESAMPLES",
    "Equivalence",
    "Mixed",
    "Reading",
    "Reference",
    "Verdict",
    "between_trainings",
    "corrected",
    "corrected_equivalence",
    "equivalence",
    "final_scores",
    "hierarchical_intervals",
    "holm",
    "image_intervals",
    "interval",
    "minimum_detectable_effect",
    "mixed_differences",
    "mixed_model",
    "p_value",
    "paired_differences",
    "seed_differences",
    "sensitivity",
    "simultaneous",
    "summary",
    "with_mean_of_sets",
]
