"""Intervals over test images, seeds and sets: against scipy, against the truth, and where they are wide or absent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from meddel import evidence
from meddel.errors import MedDELError
from meddel.evidence.bootstrap import COLUMNS

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


intervals = evidence.hierarchical_intervals


def iou(counts: pd.DataFrame) -> float:
    return counts.intersection.sum() / counts["union"].sum()


def test_a_paired_interval_is_narrower_than_the_scores_own() -> None:
    counts = images(np.random.default_rng(3), group_sd=0.01)
    difference = intervals(counts, "random", over=("image",)).iloc[0]
    score = intervals(counts, over=("image",)).query("selector == 'meddel'").iloc[0]
    assert difference.high - difference.low < 0.5 * (score.high - score.low)
    assert difference.low < difference.estimate < difference.high
    arms = counts.groupby(["selector", "seed"]).apply(iou, include_groups=False).unstack("seed")
    assert difference.estimate == pytest.approx((arms.loc["meddel"] - arms.loc["random"]).mean())


def test_images_of_one_video_count_once() -> None:
    counts = images(np.random.default_rng(5), size=8)
    whole, naive = (intervals(table, over=("image",)) for table in (counts, counts.assign(group=counts.id)))
    assert ((whole.high - whole.low) > 1.3 * (naive.high - naive.low)).all()
    assert whole.estimate.to_numpy() == pytest.approx(naive.estimate.to_numpy())


def test_where_only_images_vary_the_standard_error_is_that_of_a_bootstrap_by_hand() -> None:
    counts = images(np.random.default_rng(6), seeds=1, groups=30, size=1).query("selector == 'meddel'")
    [row] = intervals(counts, over=("image",), resamples=20_000).itertuples()
    top, bottom = counts.intersection.to_numpy(), counts["union"].to_numpy()
    drawn = np.random.default_rng(0).integers(0, 30, (20_000, 29))
    assert row.estimate == pytest.approx(iou(counts))
    assert row.se == pytest.approx((top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1)).std(), rel=0.03)


CASES = {
    "images vary": {"sets": 1, "seed_sd": 0.0},
    "seeds vary": {"sets": 2, "group_sd": 0.002, "seed_sd": 0.02},
    "both vary": {"sets": 2, "seeds": 4},
}


def covered(trials: int, start: int, over: tuple[str, ...], **case: float) -> int:
    """How often the interval of the main result covers the truth. Each trial is a head of its own: one call for all."""
    each = [images(np.random.default_rng([start, trial]), **case).assign(head=f"{trial}") for trial in range(trials)]
    table = intervals(pd.concat(each), "random", over=over, resamples=200)
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
    row = intervals(counts, "random", resamples=20_000).iloc[0]
    arms = counts.groupby(["selector", "seed"]).apply(iou, include_groups=False).unstack("seed")
    differences = arms.loc["meddel"] - arms.loc["random"]
    assert row.freedom == pytest.approx(4, abs=0.01)
    assert (row.low, row.high) == pytest.approx(evidence.interval(differences), abs=5e-4)
    assert row.p == pytest.approx(evidence.p_value(differences), rel=0.1)


def test_the_order_of_the_rows_and_other_arms_have_no_effect() -> None:
    counts = images(np.random.default_rng(9), sets=2)
    more = pd.concat([counts, counts[counts.selector == "meddel"].assign(selector="another")])
    one = intervals(counts, "random")
    pd.testing.assert_frame_equal(one, intervals(counts.sample(frac=1, random_state=0), "random"))
    pd.testing.assert_frame_equal(one, intervals(more, "random").query("selector == 'meddel'").reset_index(drop=True))
    assert not one[["low", "high"]].equals(intervals(counts, "random", seed=1)[["low", "high"]])


def test_one_seed_gives_no_interval_over_seeds_but_one_over_images() -> None:
    counts = images(np.random.default_rng(10), seeds=1, sets=2)
    over_seeds = intervals(counts, "random")
    assert len(over_seeds) == 3
    assert over_seeds[["low", "high", "p"]].isna().all().all()
    assert over_seeds.estimate.notna().all()
    over_images = intervals(counts, "random", over=("image",))
    assert over_images[["low", "high", "p"]].notna().all().all()


def test_seeds_tested_on_different_images_and_missing_arms_are_dealt_with() -> None:
    counts = images(np.random.default_rng(12), seeds=4, groups=10, size=1)
    own = counts[counts.group.str[1:].astype(int) % 4 == counts.seed]
    row = intervals(own, "random").iloc[0]
    assert row.low < row.estimate < row.high
    part = counts[~((counts.selector == "meddel") & (counts.seed == 3))]
    assert intervals(part, "random").seeds.tolist() == [3]
    assert intervals(counts, "all").empty


def test_counts_that_cannot_be_paired_are_refused() -> None:
    counts = images(np.random.default_rng(13))
    with pytest.raises(MedDELError, match="different images"):
        intervals(counts.drop(index=0), "random")
    with pytest.raises(MedDELError, match="counted twice"):
        intervals(pd.concat([counts, counts]), "random")
    with pytest.raises(MedDELError, match="no column 'group'"):
        intervals(counts.drop(columns="group"), "random")
    with pytest.raises(MedDELError, match="unknown reference"):
        intervals(counts, "meddel")
    with pytest.raises(MedDELError, match="unknown level"):
        intervals(counts, "random", over=("video",))
