"""Names of selectors, and differences, intervals and durations as text, for notebooks, tables and figures."""

from __future__ import annotations

import math

NAMES = {
    "none": "no pre-training",
    "all": "all images",
    "random": "random",
    "meddel": "MedDEL",
    "meddel-far": "MedDEL, keep far",
    "meddel-random": "MedDEL, keep random",
    "random-per-video": "random per video",
    "uniform-in-time": "uniform in time",
    "k-center": "k-center",
    "herding": "herding",
    "facility-location": "facility location",
    "facility-location-stochastic": "facility location, stochastic",
    "semdedup": "SemDeDup",
    "prototypes-easy": "prototypes, easy",
    "prototypes-hard": "prototypes, hard",
    "d4": "D4",
    "density-pruning": "density pruning",
    "hierarchical": "hierarchical k-means",
    "hardness": "hardness",
}
"""The name that tables and figures show for each selector, in their order."""


def name(selector: str) -> str:
    """Return the name to show; a selector that is not known here keeps its own."""
    return NAMES.get(selector, selector)


def place(selector: str) -> tuple[int, str]:
    """Return a key that sorts selectors in the order of `NAMES`, unknown ones last and by name."""
    return (list(NAMES).index(selector) if selector in NAMES else len(NAMES), selector)


def points(mean: float, low: float, high: float) -> str:
    """Write a difference of two qualities (fractions) in points, such as ``"+1.2 points (-0.3 to +2.7)"``.

    NaN bounds, of a single seed, are written ``(no interval)``.
    """
    interval = "no interval" if math.isnan(low) or math.isnan(high) else f"{signed(low)} to {signed(high)}"
    return f"{signed(mean)} points ({interval})"


def probability(p: float) -> str:
    """Write a p value, such as ``"p = 0.031"`` or ``"p < 0.001"``; ``"no p value"`` for NaN."""
    if math.isnan(p):
        return "no p value"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def duration(seconds: float) -> str:
    """Return a duration as people say it: hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def signed(fraction: float) -> str:
    """Write a difference of two qualities (a fraction) in points with its sign, such as ``"+1.2"``."""
    # Adding 0 turns the negative zero that rounding leaves into a positive one.
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"
