"""The figure of paired differences, and how they are written."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from compendium import figures
from compendium.figures import style
from compendium.figures.differences import against_random, differences
from meddel import evidence, select, wording
from meddel.errors import MedDELError
from meddel.evidence import verdicts


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.012, -0.003, 0.027), "+1.2 points (-0.3 to +2.7)"),
        ((-0.0004, math.nan, math.nan), "+0.0 points (no interval)"),
    ],
)
def test_a_difference_is_written_in_points(values: tuple[float, float, float], text: str) -> None:
    assert wording.points(*values) == text


def test_every_selector_of_the_library_has_a_name_to_show() -> None:
    assert set(select.names()) <= set(wording.NAMES)
    assert len(set(wording.NAMES.values())) == len(wording.NAMES)
    assert wording.name("one of my own") == "one of my own"
    shown = sorted(["one of my own", "herding", "meddel", "random"], key=wording.place)
    assert shown == ["random", "meddel", "herding", "one of my own"]


@pytest.mark.parametrize(("p", "text"), [(0.0312, "p = 0.031"), (1e-5, "p < 0.001"), (math.nan, "no p value")])
def test_a_p_value_is_written_with_three_digits(p: float, text: str) -> None:
    assert wording.probability(p) == text


def test_no_two_colours_are_alike() -> None:
    colours = np.array([mpl.colors.to_rgb(colour) for colour in style.colours(16)])
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)[~np.eye(16, dtype=bool)]
    assert apart.min() > 0.15


def test_figure_puts_the_mean_of_sets_first_and_names_every_difference() -> None:
    rows = [
        (name, "mlp", "meddel", ratio, verdicts.BEATS_RANDOM, 3, 0.01, -0.02, 0.04, "not testable at this scale")
        for name in ("a set", evidence.MEAN_SET)
        for ratio in (0.05, 0.2)
    ]
    columns = [*evidence.ARM, "claim", "seeds", "difference", "low", "high", "verdict"]
    judged = pd.DataFrame(rows, columns=columns)
    figure = differences(judged, verdicts.BEATS_RANDOM, "mlp")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [evidence.MEAN_SET, "a set"]
    assert "a set at 20 %: +1.0 points (-2.0 to +4.0)" in figures.alt(figure)
    with pytest.raises(MedDELError, match="no differences"):
        differences(judged, verdicts.COMPARABLE, "mlp")


def test_figure_of_all_selectors_shows_both_intervals_and_the_verdict() -> None:
    rows, wider = [], []
    for selector, low, verdict in (("meddel", 0.005, "reproduced"), ("herding", -0.02, "not testable at this scale")):
        arm = (evidence.MEAN_SET, "mlp", selector, 0.05)
        rows.append((*arm, verdicts.beats_random(selector), 3, low + 0.02, low, low + 0.04, verdict))
        rows.append((*arm, verdicts.comparable(selector), 3, 0.5, 0.4, 0.6, verdict))
        wider.append((*arm, low - 0.001, low + 0.05))
    columns = [*evidence.ARM, "claim", "seeds", "difference", "low", "high", "verdict"]
    judged, resampled = (
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(wider, columns=[*evidence.ARM, "low", "high"]),
    )
    figure = against_random(judged, resampled, evidence.MEAN_SET, "mlp")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["MedDEL", "herding"]
    text = figures.alt(figure)
    assert "MedDEL at 5 %: +2.5 points (+0.5 to +4.5), (+0.4 to +5.5) over images too, reproduced" in text
    assert "50.0" not in text
    with pytest.raises(MedDELError, match="no differences to random"):
        against_random(judged, resampled, "another set", "mlp")


def test_a_longer_training_is_compared_seed_by_seed_with_the_shorter_one() -> None:
    def table(*values: float) -> pd.DataFrame:
        rows = [("polyps", "probe", "random", 0.5, seed, value, value) for seed, value in enumerate(values)]
        return pd.DataFrame(rows, columns=[*evidence.ARM, "seed", *evidence.METRICS])

    [row] = evidence.between_trainings(table(0.5, 0.6, 0.9), table(0.4, 0.3)).itertuples()
    assert (row.seeds, row.longer, row.shorter, row.difference) == pytest.approx((2, 0.55, 0.35, 0.2))
    assert (row.low, row.high) == pytest.approx(evidence.interval([0.1, 0.3]))
    [row] = evidence.between_trainings(table(0.5), table(0.4)).itertuples()
    assert pd.isna(row.low)
