"""Many comparisons at once: Holm's correction, the families, and verdicts for every selector."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from meddel import evidence
from meddel.evidence import verdicts

CLAIMED = {0.05: 0.07, 0.2: 0.03}


def final_scores(
    rng: np.random.Generator,
    leads: dict[str, float],
    seeds: int = 4,
    gain: float = 0.3,
    noise: float = 0.01,
    ratios: tuple[float, ...] = (0.05, 0.2),
    sets: tuple[str, ...] = ("a",),
) -> pd.DataFrame:
    """Scores of the references and of selectors that lead random selection by so much."""
    arms = {("none", 0.0): 0.0, ("all", 1.0): gain}
    arms |= {(name, ratio): gain + lead for name, lead in {"random": 0.0, **leads}.items() for ratio in ratios}
    rows = [
        (name, "mlp", *arm, seed, 1, 0.4 + effect + rng.normal(0, noise), 0.7, 1.0)
        for name in sets
        for seed in range(seeds)
        for arm, effect in arms.items()
    ]
    return pd.DataFrame(rows, columns=[*evidence.ARM, "seed", "epoch", *evidence.METRICS, "seconds"])


def by_definition(p: list[float]) -> list[float]:
    """Holm: the smallest of m times m, the next times m - 1, ...; never below an earlier one, never above 1."""
    order = sorted(range(len(p)), key=p.__getitem__)
    values, least = [0.0] * len(p), 0.0
    for step, place in enumerate(order):
        least = max(least, min(1.0, (len(p) - step) * p[place]))
        values[place] = least
    return values


@pytest.mark.parametrize("p", [[0.03], [0.01, 0.04, 0.03, 0.005], [0.5, 0.9, 0.4], [0.02, 0.02, 0.02], [0.0, 1.0]])
def test_holm_is_its_definition_and_that_of_statsmodels(p: list[float]) -> None:
    assert evidence.holm(p) == pytest.approx(by_definition(p))
    assert evidence.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_tests_that_could_not_be_made_do_not_count() -> None:
    assert evidence.holm([0.02, np.nan, 0.04]) == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)
    assert np.isnan(evidence.holm([np.nan])).all()
    assert len(evidence.holm([])) == 0


def test_corrected_equivalence_keeps_intervals_and_asks_more() -> None:
    rng = np.random.default_rng(0)
    single = [evidence.equivalence(rng.normal(0, 0.012, 5)) for _ in range(12)]
    both = evidence.corrected_equivalence(single)
    assert [test.p for test in both] == pytest.approx(by_definition([test.p for test in single]))
    assert [(test.low, test.high) for test in both] == [(test.low, test.high) for test in single]
    assert sum(test.equivalent for test in both) < sum(test.equivalent for test in single)


def test_words_name_the_number_of_comparisons_or_nothing() -> None:
    assert evidence.simultaneous({"with random": 1}) == ""
    assert "6 with random and 9 with all" in evidence.simultaneous({"with random": 6, "with all": 9})


def test_every_selector_is_judged_and_no_reference() -> None:
    table = verdicts.verdicts(
        final_scores(np.random.default_rng(1), {"meddel": 0.08, "herding": 0.0, "my own": -0.08}), CLAIMED
    )
    assert table.selector.value_counts().to_dict() == {"meddel": 4, "herding": 4, "my own": 4}
    assert set(table.comparisons) == {6}
    assert (table.corrected >= table.p).all()
    beats = table[table.claim == table.selector.map(verdicts.beats_random)].groupby("selector").verdict.agg(set)
    assert beats["meddel"] == {"reproduced"}
    assert beats["my own"] == {"not reproduced"}
    alone = verdicts.verdicts(
        final_scores(np.random.default_rng(1), {"meddel": 0.08, "herding": 0.0}), CLAIMED, selector="meddel"
    )
    assert set(alone.selector) == {"meddel"}
    assert set(alone.comparisons) == {2}


def test_under_the_null_a_false_lead_is_as_rare_as_promised() -> None:
    trials, leads = 60, {f"selector {number}": 0.0 for number in range(8)}
    # Each set is a family of its own, and so a trial.
    final = final_scores(np.random.default_rng(2), leads, ratios=(0.05,), sets=tuple(map(str, range(trials))))
    table = verdicts.verdicts(final)
    table = table[table.claim == table.selector.map(verdicts.beats_random)]
    assert (table.comparisons == 8).all()
    families = table.assign(named=table.verdict == "reproduced", alone=table.low > 0).groupby("set")
    found = {"corrected": families.named.any().sum(), "single": families.alone.any().sum()}
    bound = stats.binom.ppf(0.995, trials, 0.05)
    assert found["corrected"] <= bound
    assert found["single"] > found["corrected"], "without the correction more would be found"


def test_a_lead_that_is_lost_in_the_correction_is_named_as_such() -> None:
    final = final_scores(np.random.default_rng(3), {"meddel": 0.0}, ratios=(0.05,), seeds=3)
    random, mine = final[final.selector == "random"].foreground_iou.to_numpy(), final.selector == "meddel"
    final.loc[mine, "foreground_iou"] = random + np.array([0.05, 0.06, 0.075])
    no_lead = random + np.array([-0.1, 0.1, 0.0])
    others = [final[mine].assign(selector=f"other {number}", foreground_iou=no_lead) for number in range(30)]
    alone = verdicts.verdicts(final).iloc[0]
    among = verdicts.verdicts(pd.concat([final, *others])).query("claim == @verdicts.BEATS_RANDOM").iloc[0]
    assert alone.verdict == "reproduced"
    assert among.verdict == "not testable at this scale"
    assert "not with all others, p = " in among.because
    assert "corrected for 31 comparisons" in among.because
    assert (among.low, among.high, among.p) == (alone.low, alone.high, alone.p)


def test_a_refutation_has_to_hold_with_all_others_too() -> None:
    final = final_scores(np.random.default_rng(3), {"meddel": 0.0}, ratios=(0.05,), seeds=3)
    mine, spread = final.selector == "meddel", np.array([-0.01, 0.0, 0.01])
    random, whole = (final[final.selector == name].foreground_iou.to_numpy() for name in ("random", "all"))

    def verdict_of(claim: str, values: np.ndarray, others: int) -> pd.Series:
        arm = final[mine].assign(foreground_iou=values)
        family = [arm.assign(selector=f"other {number}") for number in range(others)]
        table = verdicts.verdicts(pd.concat([final[~mine], arm, *family]), CLAIMED)
        return table[(table.selector == "meddel") & (table.claim == claim)].iloc[0]

    for claim, values in ((verdicts.BEATS_RANDOM, random + spread), (verdicts.COMPARABLE, whole + spread - 0.06)):
        alone, among = verdict_of(claim, values, 0), verdict_of(claim, values, 10)
        assert alone.verdict == "not reproduced"
        assert among.verdict == "not testable at this scale", "the single interval must not decide"
        assert (among.low, among.high) == (alone.low, alone.high)


def test_without_sensitivity_or_with_one_seed_nothing_is_testable_for_any_selector() -> None:
    leads = {"meddel": 0.1, "herding": -0.1}
    for settings in ({"gain": 0.0}, {"seeds": 1}):
        table = verdicts.verdicts(final_scores(np.random.default_rng(4), leads, **settings), CLAIMED)
        assert len(table) == 8
        assert set(table.verdict) == {"not testable at this scale"}


def test_a_lead_over_seeds_that_other_test_images_could_turn_is_not_called_reproduced() -> None:
    final = final_scores(np.random.default_rng(5), {"meddel": 0.05}, ratios=(0.05,))
    arm = {"set": "a", "head": "mlp", "selector": "meddel", "ratio": 0.05, "estimate": 0.05}
    narrow = pd.DataFrame([{**arm, "se": 0.005, "freedom": 5.0, "low": 0.037, "high": 0.063, "p": 0.0002}])
    wide = pd.DataFrame([{**arm, "se": 0.05, "freedom": 5.0, "low": -0.08, "high": 0.18, "p": 0.36}])
    found = [verdicts.verdicts(final, resampled=table).iloc[0] for table in (None, narrow, wide)]
    assert [row.verdict for row in found] == ["reproduced", "reproduced", "not testable at this scale"]
    assert found[2].corrected == pytest.approx(0.36)
    assert len({(row.low, row.high, row.p) for row in found}) == 1


def test_the_order_of_the_rows_has_no_effect() -> None:
    final = final_scores(np.random.default_rng(6), {"meddel": 0.01, "herding": 0.0}, sets=("a", "b"))
    final = evidence.with_mean_of_sets(final)
    shuffled = final.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(verdicts.verdicts(final), verdicts.verdicts(shuffled))
