"""Intervals over test images, seeds and sets: against scipy, against the truth, and where they are wide or absent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from meddel import evidence
from meddel.errors import MedDELError
from meddel.evidence.counts import COLUMNS
from meddel.normdel import normdel

EFFECT = 0.03


def images(
    rng: np.random.Generator,
    sets: int = 1,
    seeds: int = 3,
    groups: int = 12,
    size: int = 2,
    set_sd: float = 0.0,
    seed_sd: float = 0.01,
    group_sd: float = 0.05,
    selectors: tuple[str, ...] = ("random", "meddel"),
) -> pd.DataFrame:
    """Counts of images that are equal within a group; MedDEL is `EFFECT` better, and sets, seeds and groups vary."""
    ratios = {"none": 0.0, "all": 1.0}
    parts = []
    of_seed = rng.normal(0, seed_sd, seeds)
    for name in range(sets):
        of_set, of_group, level = rng.normal(0, set_sd), rng.normal(0, group_sd, groups), rng.normal(0.5, 0.1, groups)
        for seed in range(seeds):
            for selector in selectors:
                better = selector == "meddel"
                quality = np.clip(level + better * (EFFECT + of_set + of_seed[seed] + of_group), 0, 1)
                part = pd.DataFrame({"group": [f"g{number}" for number in np.repeat(range(groups), size)]})
                part["id"] = [f"{name}/{number}" for number in range(groups * size)]
                part["intersection"] = np.repeat(np.round(100_000 * quality).astype(int), size)
                arm = {"selector": selector, "ratio": ratios.get(selector, 0.05)}
                parts.append(part.assign(union=100_000, set=f"set {name}", head="mlp", seed=seed, **arm))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def iou(counts: pd.DataFrame) -> float:
    return counts.intersection.sum() / counts["union"].sum()


def test_the_interval_of_a_split_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    counts = images(rng, seeds=1, groups=40, size=1)
    counts["union"] = rng.integers(20_000, 100_000, 40).repeat(2)[rng.permutation(80)]
    counts["intersection"] = (counts["union"] * rng.beta(4, 2, 80)).astype(int)
    mine = evidence.image_intervals(counts, resamples=20_000).set_index("selector")
    for selector, rows in counts.groupby("selector"):
        theirs = stats.bootstrap(
            (rows.intersection.to_numpy(), rows["union"].to_numpy()),
            lambda top, bottom, axis: top.sum(axis=axis) / bottom.sum(axis=axis),
            paired=True,
            n_resamples=20_000,
            method="BCa",
            rng=1,
        ).confidence_interval
        ours = mine.loc[selector]
        assert ours.estimate == pytest.approx(iou(rows))
        # Two independent sets of resamples: their quantiles agree within their own chance, far below the width.
        assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.02 * (theirs.high - theirs.low))


def test_bca_is_the_formula_of_scipy_on_the_same_resamples() -> None:
    sample = np.random.default_rng(2).exponential(size=25)
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=999, method="BCa", rng=3)
    left_out = np.array([np.delete(sample, place).mean() for place in range(25)])[:, None]
    resamples = theirs.bootstrap_distribution[:, None]
    low, high = evidence.bootstrap.bca(resamples, np.array([sample.mean()]), [left_out])
    assert (low[0], high[0]) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-12)


def test_a_paired_interval_is_narrower_than_the_scores_own() -> None:
    counts = images(np.random.default_rng(3), group_sd=0.01)
    difference = evidence.image_intervals(counts, "random").iloc[0]
    score = evidence.image_intervals(counts).query("selector == 'meddel'").iloc[0]
    assert difference.high - difference.low < 0.5 * (score.high - score.low)
    assert difference.low < difference.estimate < difference.high
    arms = counts.groupby(["selector", "seed"]).apply(iou, include_groups=False).unstack("seed")
    assert difference.estimate == pytest.approx((arms.loc["meddel"] - arms.loc["random"]).mean())


def test_normdel_of_an_interval_is_the_interval_of_normdel() -> None:
    counts = images(np.random.default_rng(4), seeds=1, selectors=("none", "all", "random", "meddel"))
    plain = evidence.image_intervals(counts).set_index("selector")
    scored = evidence.image_intervals(counts, measure="normdel").set_index("selector")
    for column in ("estimate", "low", "high"):
        expected = normdel(plain[column].drop("none"), plain.ratio.drop("none"))
        # NormDEL is nearly straight over so short a stretch, and quantiles are interpolated between resamples.
        assert scored[column].to_numpy() == pytest.approx(expected, abs=1e-4)
    assert "none" not in scored.index, "the formula knows no ratio 0"


@pytest.mark.parametrize("against", [None, "random"])
def test_images_of_one_video_count_once(against: str | None) -> None:
    counts = images(np.random.default_rng(5), size=8)
    for function in (evidence.image_intervals, evidence.hierarchical_intervals):
        whole, naive = (function(counts, against, unit=unit) for unit in ("group", "id"))
        assert ((whole.high - whole.low) > 1.3 * (naive.high - naive.low)).all()
        assert whole.estimate.to_numpy() == pytest.approx(naive.estimate.to_numpy())


CASES = {
    "images vary": {"sets": 1, "seed_sd": 0.0},
    "seeds vary": {"sets": 2, "group_sd": 0.002, "seed_sd": 0.02},
    "both vary": {"sets": 2, "seeds": 4},
}


def covered(trials: int, start: int, over: tuple[str, ...], **case: float) -> int:
    """How often the interval of the main result covers the truth. Each trial is a head of its own: one call for all."""
    each = [images(np.random.default_rng([start, trial]), **case).assign(head=f"{trial}") for trial in range(trials)]
    table = evidence.hierarchical_intervals(pd.concat(each), "random", over=over, resamples=200)
    main = table.groupby("head").tail(1) if case["sets"] == 1 else table[table["set"] == evidence.MEAN_SET]
    assert len(main) == trials
    return int(((main.low <= EFFECT) & (main.high >= EFFECT)).sum())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_hierarchical_interval_covers_the_truth_as_often_as_it_says(case: dict[str, float]) -> None:
    # Twelve groups are few: a bootstrap standard error of theirs is a little small. Above 95 % it may be.
    assert covered(60, 6, ("seed", "image"), **case) >= stats.binom.ppf(0.005, 60, 0.93)


def test_the_interval_over_sets_covers_an_effect_that_varies_with_the_set() -> None:
    case = {"sets": 4, "groups": 6, "set_sd": 0.04, "group_sd": 0.02}
    enough = stats.binom.ppf(0.005, 30, 0.95)
    assert covered(30, 7, ("set", "seed", "image"), **case) >= enough
    assert covered(30, 7, ("seed", "image"), **case) < enough, "these sets only, not sets like these"


def test_where_only_seeds_vary_the_interval_is_students() -> None:
    counts = images(np.random.default_rng(8), seeds=5, group_sd=0.0, seed_sd=0.02)
    row = evidence.hierarchical_intervals(counts, "random", resamples=20_000).iloc[0]
    arms = counts.groupby(["selector", "seed"]).apply(iou, include_groups=False).unstack("seed")
    differences = arms.loc["meddel"] - arms.loc["random"]
    assert row.freedom == pytest.approx(4, abs=0.01)
    assert (row.low, row.high) == pytest.approx(evidence.interval(differences), abs=5e-4)
    assert row.p == pytest.approx(evidence.p_value(differences), rel=0.1)


def test_the_order_of_the_rows_and_other_arms_have_no_effect() -> None:
    counts = images(np.random.default_rng(9), sets=2)
    more = pd.concat([counts, counts[counts.selector == "meddel"].assign(selector="another")])
    for function in (evidence.image_intervals, evidence.hierarchical_intervals):
        one = function(counts, "random")
        pd.testing.assert_frame_equal(one, function(counts.sample(frac=1, random_state=0), "random"))
        pd.testing.assert_frame_equal(
            one, function(more, "random").query("selector == 'meddel'").reset_index(drop=True)
        )
        assert not one[["low", "high"]].equals(function(counts, "random", seed=1)[["low", "high"]])


def test_one_seed_gives_no_interval_over_seeds_but_one_over_images() -> None:
    counts = images(np.random.default_rng(10), seeds=1, sets=2)
    over_seeds = evidence.hierarchical_intervals(counts, "random")
    assert len(over_seeds) == 3
    assert over_seeds[["low", "high", "p"]].isna().all().all()
    assert over_seeds.estimate.notna().all()
    over_images = evidence.hierarchical_intervals(counts, "random", over=("image",))
    assert over_images[["low", "high", "p"]].notna().all().all()


def test_one_video_gives_no_interval_over_images() -> None:
    table = evidence.image_intervals(images(np.random.default_rng(11), groups=1), "random")
    assert table[["low", "high"]].isna().all().all()


def test_seeds_tested_on_different_images_and_missing_arms_are_dealt_with() -> None:
    counts = images(np.random.default_rng(12), seeds=4, groups=10, size=1)
    own = counts[counts.group.str[1:].astype(int) % 4 == counts.seed]
    row = evidence.hierarchical_intervals(own, "random").iloc[0]
    assert row.low < row.estimate < row.high
    part = counts[~((counts.selector == "meddel") & (counts.seed == 3))]
    assert evidence.hierarchical_intervals(part, "random").seeds.tolist() == [3]
    assert evidence.hierarchical_intervals(counts, "all").empty


def test_counts_that_cannot_be_paired_are_refused() -> None:
    counts = images(np.random.default_rng(13))
    with pytest.raises(MedDELError, match="different images"):
        evidence.image_intervals(counts.drop(index=0), "random")
    with pytest.raises(MedDELError, match="counted twice"):
        evidence.image_intervals(pd.concat([counts, counts]), "random")
    with pytest.raises(MedDELError, match="no column 'group'"):
        evidence.image_intervals(counts.drop(columns="group"), "random")
    with pytest.raises(MedDELError, match="unknown reference"):
        evidence.image_intervals(counts, "meddel")
    with pytest.raises(MedDELError, match="unknown level"):
        evidence.hierarchical_intervals(counts, "random", over=("video",))
