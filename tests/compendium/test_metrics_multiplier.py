"""The data multiplier: curves whose inverse is known, intervals that cover, and ends that are open."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compendium import published
from compendium.metrics import multiplier
from meddel import evidence
from meddel.errors import MedDELError

RATIOS = np.array([0.05, 0.1, 0.2, 0.5, 1.0])


def curve_of(seeds: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    return 0.7 + 0.05 * np.log(RATIOS) + rng.normal(0, noise, (seeds, RATIOS.size))


@given(st.floats(0.05, 1))
def test_a_curve_that_is_straight_in_the_logarithm_is_inverted(ratio: float) -> None:
    line = 0.7 + 0.05 * np.log(RATIOS)
    found = multiplier.reach([0.7 + 0.05 * math.log(ratio)], [line], RATIOS)
    assert found.state == multiplier.REACHED
    assert found.ratio == pytest.approx(ratio, rel=1e-6)
    assert math.isnan(found.low) and math.isnan(found.high)


@given(st.lists(st.integers(0, 100), min_size=5, max_size=5), st.integers(0, 100), st.integers(0, 100))
def test_a_higher_target_never_takes_less_data(values: list[int], one: int, two: int) -> None:
    low, high = (multiplier.reach([target / 100], [np.array(values) / 100], RATIOS) for target in sorted((one, two)))
    order = [multiplier.BELOW, multiplier.REACHED, multiplier.BEYOND]
    assert order.index(low.state) <= order.index(high.state)
    if low.state == high.state == multiplier.REACHED:
        assert low.ratio <= high.ratio * (1 + 1e-9)


@given(st.floats(0.1, 100), st.floats(-50, 50))
def test_the_unit_of_the_quality_changes_nothing(factor: float, shift: float) -> None:
    rng = np.random.default_rng(3)
    curve, target = curve_of(4, 0.01, rng), 0.6 + rng.normal(0, 0.01, 4)
    first = multiplier.reach(target, curve, RATIOS)
    second = multiplier.reach(factor * target + shift, factor * curve + shift, RATIOS)
    assert second.ratio == pytest.approx(first.ratio, rel=1e-6)
    assert (second.low, second.high) == pytest.approx((first.low, first.high), rel=0.01)


def test_open_ends_are_said() -> None:
    rng = np.random.default_rng(0)
    curve = curve_of(5, 0.001, rng)
    beyond, below = (multiplier.reach(np.full(5, value), curve, RATIOS) for value in (0.9, 0.3))
    assert (beyond.state, beyond.low, beyond.high) == (multiplier.BEYOND, 1.0, math.inf)
    assert (below.state, below.low, below.high) == (multiplier.BELOW, 0.0, pytest.approx(0.05))
    assert math.isnan(beyond.ratio) and math.isnan(below.ratio)
    flat = multiplier.reach(0.5 + rng.normal(0, 0.05, 5), 0.5 + rng.normal(0, 0.05, (5, 5)), RATIOS)
    assert (flat.low, flat.high) == (0.0, math.inf), "a curve that says nothing bounds nothing"


def test_a_flat_piece_counts_at_its_start_and_a_dip_is_pooled() -> None:
    assert multiplier.reach([0.5], [[0.3, 0.5, 0.5, 0.5, 0.9]], RATIOS).ratio == pytest.approx(0.1)
    assert multiplier.reach([0.5], [[0.3, 0.6, 0.4, 0.7, 0.9]], RATIOS).ratio == pytest.approx(0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth, trials, inside = 0.3, 400, 0
    for _ in range(trials):
        target = 0.7 + 0.05 * math.log(truth) + rng.normal(0, 0.005, 5)
        # Between two ratios of the curve the truth is the straight line, so that only the noise is at stake.
        found = multiplier.reach(target, curve_of(5, 0.005, rng), RATIOS)
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / trials <= 1.0


def test_a_run_is_paired_by_seed_and_ends_in_all_data() -> None:
    rng = np.random.default_rng(2)
    rows = []
    for seed in range(5):
        luck = rng.normal(0, 0.1)  # shared by the arms of a seed: pairing removes it
        for selector, ratio, level in (
            ("none", 0.0, 0.2), ("random", 0.05, 0.5), ("random", 0.2, 0.6), ("all", 1.0, 0.7), ("meddel", 0.05, 0.6),
        ):  # fmt: skip
            rows.append(("a", "mlp", selector, ratio, seed, 1, level + luck + rng.normal(0, 0.002), 0.8, 1.0))
    final = pd.DataFrame(rows, columns=[*evidence.ARM, "seed", "epoch", *evidence.METRICS, "seconds"])
    [row] = multiplier.multipliers(final).itertuples()
    assert (row.set, row.head, row.selector, row.ratio, row.seeds) == ("a", "mlp", "meddel", 0.05, 5)
    assert row.multiplier == pytest.approx(4, rel=0.1)
    assert 3 < row.low < row.multiplier < row.high < 5
    gap = final.drop(final.query("selector == 'random' and seed == 3").index[0])
    assert multiplier.multipliers(gap).seeds.tolist() == [4], "a seed without its whole curve can't be paired"
    assert multiplier.multipliers(final[final.selector != "random"]).empty


def test_the_published_multipliers_lie_between_the_random_means_around_them() -> None:
    table = multiplier.published_multipliers().set_index("ratio")
    means = published.generalisation_means().set_index(["selector", "ratio"]).mean_miou
    for ratio, row in table.iterrows():
        assert row.state == multiplier.REACHED
        below = means["random"][means["random"] < row.quality].index.max()
        assert max(ratio, below) < row.random_ratio < 1
        assert row.multiplier == pytest.approx(row.random_ratio / ratio)
    assert table.multiplier.is_monotonic_decreasing


@pytest.mark.parametrize(
    ("target", "curve", "ratios", "words"),
    [
        ([0.5], [[0.1, 0.2]], [0.05, 0.1, 0.2], "shape"),
        ([0.5, 0.5], [[0.1, 0.2]], [0.05, 0.1], "shape"),
        ([0.5], [[0.1]], [0.05], "rising"),
        ([0.5], [[0.1, 0.2]], [0.1, 0.05], "rising"),
        ([0.5], [[0.1, 0.2]], [0.0, 0.05], "rising"),
    ],
)
def test_curves_that_are_none_are_refused(target: list, curve: list, ratios: list, words: str) -> None:
    with pytest.raises(MedDELError, match=words):
        multiplier.reach(target, curve, ratios)
