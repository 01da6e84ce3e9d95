"""Intervals, paired differences, sensitivity and verdicts, on scores whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from meddel import evidence
from meddel.errors import MedDELError
from meddel.evidence import verdicts


def scores(gain=0.1, meddel=0.0, seeds=5, noise=0.004, epochs=3, sets=("a", "b"), split_noise=0.0, start=0) -> pa.Table:
    """Scores of none, all, random and MedDEL where `gain` and `meddel` are the true effects."""
    rng = np.random.default_rng(start)
    arms = {("none", 0.0): 0.0, ("all", 1.0): gain, ("random", 0.05): gain, ("meddel", 0.05): gain + meddel}
    rows = []
    for name in sets:
        for seed in range(seeds):
            for (selector, ratio), effect in arms.items():
                level = 0.4 + effect + rng.normal(0, noise)
                for epoch in range(1, epochs + 1):
                    for split in ("val", "test"):
                        value = level - 0.01 * abs(epoch - 2) + rng.normal(0, split_noise)
                        rows.append((name, selector, ratio, seed, "mlp", epoch, split, value, (value + 0.9) / 2, 1.0))
    columns = [
        "set", "selector", "ratio", "seed", "head", "epoch", "split", "foreground_iou", "two_class_miou", "seconds",
    ]  # fmt: skip
    return pa.Table.from_pandas(pd.DataFrame(rows, columns=columns))


def test_readings_choose_their_epochs():
    table = scores()
    last, best, paper = (evidence.final_scores(table, reading) for reading in ("last", "best_on_val", "paper"))
    assert set(last.epoch) == {3}
    assert set(best.epoch) == {2}
    assert (best.foreground_iou > last.foreground_iou).all()
    pd.testing.assert_frame_equal(last, paper)
    assert len(last) == 2 * 5 * 4
    assert not last.duplicated([*evidence.ARM, "seed"]).any()


def test_best_on_validation_takes_the_test_value_and_the_earliest_of_equals():
    table = scores(noise=0).to_pandas()
    table.loc[table.split == "val", "foreground_iou"] = 0.5
    best = evidence.final_scores(table, "best_on_val")
    assert set(best.epoch) == {1}
    assert best.query("selector == 'none'").foreground_iou.to_numpy() == pytest.approx(0.39)


def test_final_scores_refuse_what_they_cannot_read():
    table = scores().to_pandas()
    with pytest.raises(MedDELError, match="unknown reading"):
        evidence.final_scores(table, "best")
    with pytest.raises(MedDELError, match="no validation"):
        evidence.final_scores(table[table.split == "test"], "best_on_val")
    with pytest.raises(MedDELError, match="no test rows"):
        evidence.final_scores(table[table.split == "val"])
    with pytest.raises(MedDELError, match="two values"):
        evidence.final_scores(pd.concat([table, table]))
    with pytest.raises(MedDELError, match="unknown score"):
        evidence.summary(evidence.final_scores(table), "dice")


def test_interval_is_students():
    values = [0.2, 0.3, 0.25]
    low, high = evidence.interval(values)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 2, np.mean(values), stats.sem(values)))
    assert all(math.isnan(end) for end in evidence.interval([0.2]))


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = [low <= 0.5 <= high for low, high in (evidence.interval(rng.normal(0.5, 0.02, 3)) for _ in range(1000))]
    assert 0.93 < np.mean(hits) < 0.97


def test_summary_has_one_row_an_arm():
    table = evidence.summary(evidence.final_scores(scores(seeds=4)))
    assert len(table) == 8
    assert set(table.seeds) == {4}
    assert ((table.low < table["mean"]) & (table["mean"] < table.high)).all()


def test_the_mean_of_sets_is_taken_seed_by_seed():
    final = evidence.final_scores(scores())
    whole = evidence.with_mean_of_sets(final)
    means = whole[whole.set == evidence.MEAN_SET]
    assert len(means) == 5 * 4
    one = means.query("selector == 'all' and seed == 3").foreground_iou.item()
    assert one == pytest.approx(final.query("selector == 'all' and seed == 3").foreground_iou.mean())
    single = final[final.set == "a"]
    assert evidence.with_mean_of_sets(single) is single


def test_the_mean_of_sets_leaves_out_what_one_set_lacks():
    final = evidence.final_scores(scores())
    part = final[~((final.set == "b") & (final.seed == 0) & (final.selector == "all"))]
    means = evidence.with_mean_of_sets(part).query("set == @evidence.MEAN_SET and selector == 'all'")
    assert sorted(means.seed) == [1, 2, 3, 4]


def test_paired_differences_pair_by_seed_and_ratio():
    final = evidence.final_scores(scores(meddel=0.03, noise=0))
    # A shift that all arms of a seed share must vanish from a paired difference.
    final["foreground_iou"] += 0.1 * final.seed
    table = evidence.paired_differences(final, "random")
    assert set(table.selector) == {"meddel"}
    assert set(table.seeds) == {5}
    assert table.difference.to_numpy() == pytest.approx(0.03)
    assert (table.high - table.low).to_numpy() == pytest.approx(0, abs=1e-9)
    gain = evidence.paired_differences(final, "none").set_index(["set", "selector"]).difference
    assert gain["a", "all"] == pytest.approx(0.1)
    assert gain["a", "meddel"] == pytest.approx(0.13)


def test_seeds_without_a_partner_are_left_out():
    final = evidence.final_scores(scores())
    final = final[~((final.selector == "random") & (final.seed < 2))]
    assert set(evidence.paired_differences(final, "random").seeds) == {3}


def test_detectable_effect_has_the_power_that_it_claims():
    effect = evidence.minimum_detectable_effect(0.01, 3)
    samples = np.random.default_rng(1).normal(effect, 0.01, (4000, 3))
    found = stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05
    assert np.mean(found & (samples.mean(axis=1) > 0)) == pytest.approx(0.8, abs=0.02)
    assert evidence.minimum_detectable_effect(0.01, 10) < effect < evidence.minimum_detectable_effect(0.01, 2)
    assert math.isnan(evidence.minimum_detectable_effect(0.01, 1))


def test_sensitivity_follows_the_effect_of_pretraining():
    strong = evidence.sensitivity(evidence.final_scores(scores(gain=0.1)))
    assert strong.sensitive.all()
    assert (strong.low > 0).all()
    assert (strong.detectable > 0).all()
    none = evidence.sensitivity(evidence.final_scores(scores(gain=0.0)))
    worse = evidence.sensitivity(evidence.final_scores(scores(gain=-0.1)))
    assert not none.sensitive.any()
    assert not worse.sensitive.any()


def test_equivalence_is_two_one_sided_tests():
    inside = evidence.equivalence([0.001, -0.002, 0.003, 0.0])
    assert inside.equivalent
    assert -0.02 < inside.low < inside.mean < inside.high < 0.02
    wide = evidence.equivalence([0.03, -0.03, 0.01])
    assert not wide.equivalent
    assert wide.p > 0.05
    assert not evidence.equivalence([0.05, 0.051, 0.049]).equivalent
    assert evidence.equivalence([0.01, 0.01]).equivalent
    assert not evidence.equivalence([0.03, 0.03]).equivalent
    assert not evidence.equivalence([0.0]).equivalent
    with pytest.raises(MedDELError, match="margin"):
        evidence.equivalence([0.0, 0.1], margin=0)


def judged(**settings) -> pd.DataFrame:
    final = evidence.with_mean_of_sets(evidence.final_scores(scores(**settings)))
    return verdicts.verdicts(final, {0.05: 0.07}).set_index(["set", "claim"]).sort_index()


def test_verdicts_find_an_effect_that_is_there():
    table = judged(gain=0.2, meddel=0.07)
    assert (table.xs(verdicts.BEATS_RANDOM, level="claim").verdict == "reproduced").all()
    assert table.verdict[evidence.MEAN_SET, verdicts.COMPARABLE] == "not reproduced"


def test_verdicts_exclude_an_effect_that_is_not_there():
    table = judged(gain=0.2, meddel=0.0)
    assert (table.xs(verdicts.BEATS_RANDOM, level="claim").verdict == "not reproduced").all()
    assert table.verdict[evidence.MEAN_SET, verdicts.COMPARABLE] == "reproduced"


@pytest.mark.parametrize(
    "settings", [{"gain": 0.0, "meddel": 0.1}, {"gain": -0.05}, {"seeds": 1, "meddel": 0.1}, {"noise": 0.1, "seeds": 2}]
)
def test_without_sensitivity_every_verdict_is_that_the_scale_is_too_small(settings):
    table = judged(**settings)
    assert len(table) == 6
    assert (table.verdict == "not testable at this scale").all()


def test_without_a_row_of_no_pretraining_nothing_is_concluded():
    final = evidence.final_scores(scores(gain=0.2, meddel=0.07))
    table = verdicts.verdicts(final[final.selector != "none"])
    assert len(table) == 4
    assert (table.verdict == "not testable at this scale").all()


@pytest.mark.parametrize(
    ("low", "high", "claimed", "expected"),
    [
        (0.01, 0.03, 0.07, "reproduced"),
        (-0.01, 0.03, 0.07, "not reproduced"),
        (-0.01, 0.09, 0.07, "not testable at this scale"),
        (-0.03, -0.01, 0.0, "not reproduced"),
        (-0.03, 0.01, 0.0, "not testable at this scale"),
        (math.nan, math.nan, 0.0, "not testable at this scale"),
    ],
)
def test_judging_a_difference(low, high, claimed, expected):
    assert verdicts.on_greater(low, high, sensitive=True, claimed=claimed)[0] == expected
    assert verdicts.on_greater(low, high, sensitive=False, claimed=claimed)[0] == "not testable at this scale"


def test_unknown_verdicts_are_refused():
    assert verdicts.check("not testable here") == "not testable here"
    with pytest.raises(MedDELError, match="unknown verdict"):
        verdicts.check("maybe")
