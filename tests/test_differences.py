"""The figure of paired differences, and how they are written."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from meddel import evidence, figures, verdicts, wording
from meddel.errors import MedDELError
from meddel.figures.differences import differences


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.012, -0.003, 0.027), "+1.2 points (-0.3 to +2.7)"),
        ((-0.0004, math.nan, math.nan), "+0.0 points (no interval)"),
    ],
)
def test_a_difference_is_written_in_points(values: tuple[float, float, float], text: str) -> None:
    assert wording.points(*values) == text


def test_figure_puts_the_mean_of_sets_first_and_names_every_difference() -> None:
    rows = [
        (name, "mlp", ratio, verdicts.BEATS_RANDOM, 3, 0.01, -0.02, 0.04, "not testable at this scale", "")
        for name in ("a set", evidence.MEAN_SET)
        for ratio in (0.05, 0.2)
    ]
    judged = pd.DataFrame(rows, columns=verdicts.COLUMNS)
    figure = differences(judged, verdicts.BEATS_RANDOM, "mlp")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [evidence.MEAN_SET, "a set"]
    assert "a set at 20 %: +1.0 (-2.0 to +4.0)" in figures.alt(figure)
    with pytest.raises(MedDELError, match="no differences"):
        differences(judged, verdicts.COMPARABLE, "mlp")
