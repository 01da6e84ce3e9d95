"""NormDEL, what ties, and the net benefit (exercise `break_normdel`)."""

from __future__ import annotations

from compendium.metrics.net_benefit import net_benefit
from compendium.workshop.checks import Check
from meddel import normdel

CHECKS = (
    Check(
        "NormDEL",
        normdel.normdel,
        lambda: [(0.7095, 0.05), (0.7202, 1.0), (0.0, 0.3)],
        "DEL = mIoU exp(-R), then 1 / (1 + exp(-DEL)); both inputs are fractions",
    ),
    Check(
        "what ties",
        normdel.tie,
        lambda: [(0.7202, 1.0, 0.05), (0.6, 0.2, 0.5)],
        "the logistic function keeps order, so that equal NormDEL means equal DEL: solve that for the other mIoU",
    ),
    Check(
        "net benefit",
        net_benefit,
        lambda: [(0.68, 0.2, 0.6, 0.7, 0.5), (0.55, 0.05, 0.6, 0.7, 0.5)],
        "first the share of the gain from none to all that is kept, then minus price times ratio",
    ),
)
