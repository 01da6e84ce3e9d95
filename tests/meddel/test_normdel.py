"""NormDEL: the paper's numbers, its limits, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meddel.errors import MedDELError
from meddel.normdel import bounds, del_score, normdel, tie

miou = st.floats(0, 1)
ratio = st.floats(0, 1, exclude_min=True)
alpha = st.floats(0.01, 10)


@pytest.mark.parametrize(("quality", "share", "printed"), [(0.7095, 0.05, 66.26), (0.7202, 1, 56.59)])
def test_the_two_scores_of_figure_1(quality, share, printed):
    assert round(100 * normdel(quality, share), 2) == printed


def test_equation_4():
    assert del_score(0.5, 0.2, 2.0) == pytest.approx(0.5 * math.exp(-0.4), abs=1e-15)


def test_scalars_give_a_float_and_arrays_broadcast():
    assert type(normdel(np.float32(0.5), 1)) is float
    grid = normdel([[0.2], [0.4], [0.6]], [0.05, 1.0])
    assert grid.shape == (3, 2)
    assert grid.dtype == np.float64
    assert grid[2, 1] == normdel(0.6, 1.0)
    assert normdel([], 0.5).shape == (0,)


@given(miou, ratio, alpha)
def test_the_score_stays_in_its_bounds(quality, share, fall):
    floor, ceiling = bounds(share, fall)
    assert floor == 0.5 <= normdel(quality, share, fall) <= ceiling < 0.7311


@given(miou, ratio, ratio, alpha)
def test_a_tie_has_the_same_score(quality, share, other, fall):
    same = tie(quality, share, other, fall)
    if same <= 1:
        assert normdel(same, other, fall) == pytest.approx(normdel(quality, share, fall), abs=1e-12)


def test_what_the_formula_implies():
    assert round(100 * bounds(1.0)[1], 1) == 59.1
    assert round(100 * tie(0.7202, 1.0, 0.05), 1) == 27.9
    assert tie(0.9, 0.05, 1.0) > 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1.01, 0.5), "mIoU 1.01"),
        ((-0.1, 0.5), "mIoU -0.1"),
        ((math.nan, 0.5), "mIoU nan"),
        ((70.95, 0.05), "divide percentages by 100"),
        ((0.5, 0.0), "retention ratio 0"),
        ((0.5, 1.2), "retention ratio 1.2"),
        ((0.5, math.nan), "retention ratio nan"),
        ((0.5, [0.1, 5]), "retention ratio 5"),
        ((0.5, 0.5, 0.0), "alpha"),
        ((0.5, 0.5, -1.0), "alpha"),
        ((0.5, 0.5, math.nan), "alpha"),
        ((0.5, 0.5, math.inf), "alpha"),
        (("much", 0.5), "not a number"),
        (([0.1, 0.2], [0.1, 0.2, 0.3]), "broadcast"),
    ],
)
@pytest.mark.parametrize("function", [del_score, normdel])
def test_bad_values_are_refused_in_one_line(function, arguments, words):
    with pytest.raises(MedDELError, match=words) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)


def test_a_bad_other_ratio_is_refused():
    with pytest.raises(MedDELError, match="retention ratio 0"):
        tie(0.5, 0.5, 0.0)
