"""What NormDEL's formula implies, as theorems on any numbers and on the paper's."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from compendium import published
from compendium.metrics import properties
from meddel.errors import MedDELError
from meddel.normdel import bounds, del_score, normdel, tie

miou = st.floats(0, 1)
positive = st.floats(0.01, 1)
ratio = st.floats(0.001, 1)
alpha = st.floats(0.01, 10)


@given(ratio, alpha)
def test_the_floor_is_one_half_and_the_ceiling_falls_with_the_ratio(share: float, fall: float) -> None:
    floor, ceiling = bounds(share, fall)
    assert floor == 0.5
    assert ceiling == pytest.approx(1 / (1 + math.exp(-math.exp(-fall * share))), abs=1e-14)
    assert bounds(min(1.0, 2 * share), fall)[1] <= ceiling


def test_at_all_data_nine_points_hold_every_quality() -> None:
    floor, ceiling = bounds(1.0)
    assert (round(100 * floor, 1), round(100 * ceiling, 1)) == (50.0, 59.1)


def test_a_third_of_the_quality_ties_at_the_smallest_ratio() -> None:
    assert round(100 * tie(0.7202, 1.0, 0.05), 1) == 27.9


@given(miou, miou, ratio, ratio, alpha)
def test_more_quality_never_lowers_the_score_and_more_data_never_raises_it(
    quality: float, other: float, share: float, more: float, fall: float
) -> None:
    (low, high), (little, much) = sorted((quality, other)), sorted((share, more))
    assert normdel(low, share, fall) <= normdel(high, share, fall)
    assert normdel(quality, little, fall) >= normdel(quality, much, fall)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.05, 5))
def test_slopes_are_the_derivatives(quality: float, share: float, fall: float) -> None:
    step = 1e-5
    found = properties.slopes(quality, share, fall)
    across = (
        normdel(quality + step, share, fall) - normdel(quality - step, share, fall),
        normdel(quality, share + step, fall) - normdel(quality, share - step, fall),
        normdel(quality, share, fall + step) - normdel(quality, share, fall - step),
    )
    assert found == pytest.approx([difference / (2 * step) for difference in across], abs=1e-8)
    assert found.miou > 0 > max(found.ratio, found.alpha)


@given(positive, ratio, alpha)
def test_the_price_of_data_is_the_slope_along_equal_scores(quality: float, share: float, fall: float) -> None:
    found = properties.slopes(quality, share, fall)
    assert properties.price_of_data(quality, fall) == pytest.approx(-found.ratio / found.miou)


@given(miou, miou, ratio, ratio, alpha)
def test_from_a_sure_win_on_quality_has_no_say(
    quality: float, other: float, share: float, more: float, fall: float
) -> None:
    little, much = sorted((share, more))
    if quality > properties.sure_win(little, much, fall) * (1 + 1e-12):
        assert del_score(quality, little, fall) > del_score(other, much, fall)


@given(positive, ratio, alpha)
def test_nothing_beats_a_cell_beyond_its_reach(quality: float, share: float, fall: float) -> None:
    limit = properties.out_of_reach(quality, share, fall)
    assert limit >= share - 1e-12
    if limit < 1:
        assert del_score(1.0, limit, fall) == pytest.approx(del_score(quality, share, fall))


def test_on_every_published_set_no_quality_at_all_data_could_beat_the_smallest_ratio() -> None:
    smallest = published.table3().query("ratio == 0.05")
    assert properties.sure_win(0.05, 1.0) == pytest.approx(0.387, abs=5e-4)
    assert (smallest.miou > properties.sure_win(0.05, 1.0)).all()
    assert (properties.out_of_reach(smallest.miou, smallest.ratio) < 1).all()
    assert properties.out_of_reach(0.0, 0.5) == math.inf


@given(positive, ratio, positive, ratio)
def test_two_cells_tie_at_their_tying_alpha_only(quality: float, share: float, other: float, more: float) -> None:
    assume(min(abs(quality - other), abs(share - more)) > 1e-6)
    found = properties.tying_alpha(quality, share, other, more)
    assert math.isnan(found) == ((quality - other) * (share - more) < 0), "where one dominates, they never tie"
    assume(0.001 < found < 50)
    first, second = del_score(quality, share, found), del_score(other, more, found)
    assert first == pytest.approx(second, rel=1e-9)
    better, cheaper = sorted([(quality, share), (other, more)], reverse=True)
    assert del_score(*better, found / 2) >= del_score(*cheaper, found / 2)
    assert del_score(*better, 2 * found) <= del_score(*cheaper, 2 * found)


@given(miou, ratio, miou, ratio, alpha)
def test_a_shift_of_both_qualities_can_turn_any_order_round(
    quality: float, share: float, other: float, more: float, fall: float
) -> None:
    assume(abs(share - more) > 0.01)
    shift = properties.tying_shift(quality, share, other, more, fall)
    weights = np.exp(-fall * np.array([share, more]))

    def lead(extra: float) -> float:
        first, second = (np.array([quality, other]) + shift + extra) * weights
        return first - second

    size = 1 + abs(shift)
    assert lead(0) == pytest.approx(0, abs=1e-9 * size)
    assert lead(size) * lead(-size) < 0


def test_the_class_average_with_the_background_changes_the_winner_that_the_foreground_has() -> None:
    # A background of 0.9 everywhere turns each IoU into (IoU + 0.9) / 2, an affine change of the unit.
    few, many = (0.30, 0.05), (0.40, 0.20)
    assert del_score(*many) > del_score(*few)
    assert del_score((few[0] + 0.9) / 2, few[1]) > del_score((many[0] + 0.9) / 2, many[1])
    assert -0.4 < properties.tying_shift(*few, *many) < 0.9
    assert math.isnan(properties.tying_shift(0.3, 0.5, 0.4, 0.5))


@given(miou, ratio, alpha, st.floats(0.1, 100))
def test_a_unit_of_the_ratio_is_an_alpha(quality: float, share: float, fall: float, unit: float) -> None:
    scaled = properties.in_units(quality, share, fall, ratio_unit=unit)
    assert scaled == pytest.approx(normdel(quality, share, fall * unit), abs=1e-14)
    assert properties.in_units(quality, share, fall) == pytest.approx(normdel(quality, share, fall), abs=1e-14)


def test_percent_change_the_published_winners_and_leave_no_difference_to_see() -> None:
    table = published.table3()
    winners = {
        unit: table.loc[table.assign(s=properties.in_units(table.miou, table.ratio, 0.01, ratio_unit=unit))
                        .groupby("dataset").s.idxmax()].ratio.tolist()
        for unit in (1.0, 100.0)
    }  # fmt: skip
    assert set(winners[100.0]) == {0.05} != set(winners[1.0])
    small = table[table.ratio <= 0.5]
    assert (1 - properties.in_units(small.miou, small.ratio, miou_unit=100.0) < 1e-12).all()


def test_the_unit_of_the_quality_changes_the_order_of_means() -> None:
    even, uneven = np.array([0.5, 0.5]), np.array([0.05, 0.97])
    means = {
        unit: [np.mean(properties.in_units(quality, 0.05, miou_unit=unit)) for quality in (even, uneven)]
        for unit in (0.01, 10.0)
    }
    assert means[0.01][0] < means[0.01][1]
    assert means[10.0][0] > means[10.0][1]


@pytest.mark.parametrize("call", [
    lambda: properties.in_units(0.5, 0.5, miou_unit=0.0),
    lambda: properties.tying_alpha(0.5, 0.5, 70.0, 1.0),
    lambda: properties.tying_shift(0.5, 0.0, 0.5, 1.0),
    lambda: properties.out_of_reach(-0.1, 0.5),
    lambda: properties.sure_win(0.05, 1.0, 0.0),
])  # fmt: skip
def test_what_is_no_fraction_is_refused(call) -> None:
    with pytest.raises(MedDELError):
        call()


def test_arrays_broadcast_and_series_are_taken() -> None:
    table = pd.DataFrame({"miou": [0.2, 0.4], "ratio": [0.5, 1.0]})
    assert properties.slopes(table.miou, table.ratio).miou.shape == (2,)
    assert properties.tying_alpha(table.miou, table.ratio, 0.9, [[1.0], [0.5]]).shape == (2, 2)
    assert type(properties.price_of_data(0.5)) is float
