"""Net benefit: its properties as theorems, its interval by simulation, and where it refuses to be a number."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compendium import published
from compendium.metrics import cells, net_benefit, no_pretraining
from meddel import evidence, manifests
from meddel.errors import MedDELError

quality = st.floats(0, 1)
share = st.floats(0, 1)
price = st.floats(0, 3)
baseline = st.floats(0, 0.45)
top = st.floats(0.5, 1)


def run_scores(gain: float, seeds: int = 5, noise: float = 0.01, start: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(start)
    arms = {("none", 0.0): 0.0, ("random", 0.05): 0.4, ("meddel", 0.05): 0.7, ("all", 1.0): 1.0}
    rows = []
    for seed in range(seeds):
        luck = rng.normal(0, 0.05)
        for (selector, ratio), part in arms.items():
            value = 0.4 + luck + gain * part + rng.normal(0, noise)
            rows.append(("a", "mlp", selector, ratio, seed, 1, value, (value + 0.9) / 2, 1.0))
    columns = ["set", "head", "selector", "ratio", "seed", "epoch", *evidence.METRICS, "seconds"]
    return pd.DataFrame(rows, columns=columns)


@given(baseline, top, price)
def test_its_three_fixed_points(none: float, everything: float, cost: float) -> None:
    assert net_benefit.net_benefit(none, 0.0, none, everything, cost) == 0
    assert net_benefit.net_benefit(everything, 1.0, none, everything, cost) == pytest.approx(1 - cost)
    assert net_benefit.net_benefit(everything, 0.0, none, everything, cost) == 1


@given(quality, quality, share, share, baseline, top, price)
def test_it_rises_with_quality_and_falls_with_data(
    one: float, two: float, little: float, much: float, none: float, everything: float, cost: float
) -> None:
    (low, high), (little, much) = sorted((one, two)), sorted((little, much))
    at = [net_benefit.net_benefit(value, little, none, everything, cost) for value in (low, high)]
    assert at[0] <= at[1]
    assert net_benefit.net_benefit(one, little, none, everything, cost) >= net_benefit.net_benefit(
        one, much, none, everything, cost
    )


@given(quality, share, baseline, top, price, st.floats(0.1, 100), st.floats(-10, 10))
def test_an_affine_change_of_the_unit_changes_nothing(
    value: float, part: float, none: float, everything: float, cost: float, factor: float, shift: float
) -> None:
    before = net_benefit.net_benefit(value, part, none, everything, cost)
    changed = (factor * np.array([value, none, everything]) + shift).tolist()
    after = net_benefit.net_benefit(changed[0], part, *changed[1:], cost)
    assert after == pytest.approx(before, rel=1e-6, abs=1e-6)


def test_the_price_that_makes_all_data_not_worth_their_gain_is_one() -> None:
    assert net_benefit.net_benefit(0.8, 1.0, 0.6, 0.8, 1.0) == pytest.approx(0)
    assert net_benefit.price_of(0.02, 0.1) == pytest.approx(0.2)
    assert net_benefit.net_benefit([0.7, 0.8], [0.1, 1.0], 0.6, 0.8, 0.5) == pytest.approx([0.45, 0.5])


@pytest.mark.parametrize("call", [
    lambda: net_benefit.net_benefit(0.5, 0.1, 0.6, 0.6, 0.5),
    lambda: net_benefit.net_benefit(0.5, 0.1, 0.6, 0.5, 0.5),
    lambda: net_benefit.net_benefit(0.5, 5, 0.4, 0.6, 0.5),
    lambda: net_benefit.net_benefit(0.5, 0.1, 0.4, 0.6, -0.1),
    lambda: net_benefit.net_benefit(0.5, 0.1, 0.4, 0.6, math.nan),
    lambda: net_benefit.price_of(0.02, 0.0),
    lambda: net_benefit.price_in_normdel(0.7, 0.6, 0.6),
])  # fmt: skip
def test_without_a_gain_or_a_price_there_is_no_number(call) -> None:
    with pytest.raises(MedDELError):
        call()


@given(st.integers(0, 10_000), st.floats(0, 0.3), st.integers(2, 6))
def test_fiellers_interval_is_bounded_exactly_where_the_gain_is_clear(start: int, gain: float, seeds: int) -> None:
    rng = np.random.default_rng(start)
    below = gain + rng.normal(0, 0.05, seeds)
    above = 0.6 * below + rng.normal(0, 0.02, seeds)
    ratio, low, high = net_benefit.ratio_of_means(above, below)
    clear = evidence.interval(below)[0] > 0
    assert math.isfinite(ratio) == math.isfinite(low) == math.isfinite(high) == clear
    if clear:
        assert low <= ratio <= high
        for end in (low, high):
            # At either end the t interval of above - end * below just touches 0.
            bounds = evidence.interval(above - end * below)
            assert min(abs(bounds[0]), abs(bounds[1])) < 1e-6 * max(1.0, abs(end))


def test_the_interval_covers_the_share_that_is_true() -> None:
    trials = [net_benefit.benefits(run_scores(0.15, start=start), 0.0) for start in range(300)]
    rows = pd.concat(trials).query("selector == 'meddel'")
    assert (rows.state == net_benefit.DEFINED).mean() > 0.95
    covered = rows[(rows.kept_low <= 0.7) & (rows.kept_high >= 0.7)]
    assert 0.91 <= len(covered) / (rows.state == net_benefit.DEFINED).sum() <= 0.985


def test_a_run_gives_shares_minus_their_price() -> None:
    table = net_benefit.benefits(run_scores(0.2), price=0.5).set_index("selector")
    assert (table.state == net_benefit.DEFINED).all()
    assert table.kept["all"] == pytest.approx(1) and table.net_benefit["all"] == pytest.approx(0.5)
    assert (table.kept_low["all"], table.kept_high["all"]) == pytest.approx((1, 1))
    assert table.kept["meddel"] == pytest.approx(0.7, abs=0.15)
    for one, two in (("net_benefit", "kept"), ("low", "kept_low"), ("high", "kept_high")):
        assert table[one]["meddel"] == pytest.approx(table[two]["meddel"] - 0.5 * 0.05)
    other = net_benefit.benefits(run_scores(0.2), 0.5, metric="two_class_miou").set_index("selector")
    assert other.kept.to_dict() == pytest.approx(table.kept.to_dict()), "half the scale and another zero"


def test_where_all_data_gain_nothing_it_says_so() -> None:
    table = net_benefit.benefits(run_scores(0.0), 0.5)
    assert (table.state == net_benefit.NO_GAIN).all()
    assert table[["kept", "kept_low", "net_benefit", "low", "high"]].isna().all(axis=None)
    assert table.gain.notna().all()
    assert set(net_benefit.benefits(run_scores(0.2, seeds=1), 0.5).state) == {net_benefit.ONE_SEED}
    with pytest.raises(MedDELError, match="run the arms none and all"):
        net_benefit.benefits(run_scores(0.2).query("selector != 'none'"), 0.5)


def test_our_laptop_study_has_no_gain_to_share() -> None:
    scores = pd.read_csv(manifests.path("results/laptop/scores.csv")).assign(split="test")
    final = evidence.with_mean_of_sets(evidence.final_scores(scores))
    table = net_benefit.benefits(final, 0.5)
    clear = evidence.sensitivity(final).set_index(["set", "head"]).sensitive
    for row in table.itertuples():
        assert (row.state == net_benefit.DEFINED) == clear[row.set, row.head]


def test_the_published_medians_are_a_gain_over_imagenet_where_it_exceeds_the_margin() -> None:
    table = net_benefit.published_benefits(0.5)
    assert len(table) == 48
    none = no_pretraining.published_reference()
    medians = published.fig4().set_index(["dataset", "ratio"])["median"]
    for row in table.itertuples():
        gain = medians[row.dataset, 1.0] - none[row.dataset]
        assert math.isnan(row.kept) == (gain <= 0.02 + 1e-9)
        if not math.isnan(row.kept):
            expected = net_benefit.net_benefit(row.quality, row.ratio, none[row.dataset], none[row.dataset] + gain, 0.5)
            assert row.net_benefit == pytest.approx(expected)
            assert row.state == net_benefit.ONE_RUN
        else:
            assert row.state == "undefined: one run, and a gain within 2 points"
    assert table.kept.isna().any() and table.kept.notna().any()


def test_the_best_share_of_the_data_by_price() -> None:
    arms = pd.DataFrame({"ratio": [0.05, 0.2, 1.0, 0.5], "kept": [0.6, 0.9, 1.0, math.nan]})
    table = net_benefit.best_by_price(arms)
    assert table.ratio.tolist() == [1.0, 0.2, 0.05, 0.0]
    assert table.price_low.tolist() == pytest.approx([0, 0.125, 2, 12])
    assert table.price_high.iloc[-1] == math.inf
    with pytest.raises(MedDELError, match="no arm"):
        net_benefit.best_by_price(arms.assign(kept=math.nan))


def test_normdel_asks_more_for_data_than_they_return_on_every_published_set() -> None:
    none = no_pretraining.published_reference()
    whole = cells.published_medians().query("ratio == 1")
    assert (net_benefit.price_in_normdel(whole.miou, whole.dataset.map(none), whole.miou) > 1).all()
    assert net_benefit.price_in_normdel(0.8, 0.4, 0.8, alpha=0.5) == pytest.approx(1)
