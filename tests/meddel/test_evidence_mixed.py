"""The mixed model: what it finds of a known effect and known spreads, and where it says that it can't be fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meddel import evidence


def differences(rng: np.random.Generator, sets: int, seeds: int, sd: tuple[float, float, float]) -> pd.DataFrame:
    """Differences around 0.03 whose sets, seeds and rest vary with the standard deviations `sd`."""
    of_set, of_seed = rng.normal(0, sd[0], sets), rng.normal(0, sd[1], seeds)
    rows = [
        (f"set {name}", seed, 0.03 + of_set[name] + of_seed[seed] + rng.normal(0, sd[2]))
        for name in range(sets)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["set", "seed", "difference"])


def test_the_model_finds_the_spreads_of_sets_and_seeds() -> None:
    table = differences(np.random.default_rng(0), 30, 30, (0.04, 0.02, 0.01))
    fit = evidence.mixed_model(table)
    assert fit.fitted
    assert fit.effect == pytest.approx(table.difference.mean())
    assert fit.set_sd == pytest.approx(0.04, rel=0.35)
    assert fit.seed_sd == pytest.approx(0.02, rel=0.35)
    assert fit.rest_sd == pytest.approx(0.01, rel=0.1)


def test_the_interval_covers_the_effect() -> None:
    covered = 0
    for trial in range(30):
        fit = evidence.mixed_model(differences(np.random.default_rng([1, trial]), 4, 4, (0.02, 0.01, 0.01)))
        covered += fit.low <= 0.03 <= fit.high
    assert covered >= 25  # a 95 % interval misses more than five of 30 times with a chance of 1 in 300


def test_a_spread_of_sets_widens_the_interval_and_one_of_seeds_too() -> None:
    rng = np.random.default_rng(2)
    plain, of_sets, of_seeds = (
        evidence.mixed_model(differences(rng, 5, 5, sd)) for sd in ((0, 0, 0.01), (0.05, 0, 0.01), (0, 0.05, 0.01))
    )
    assert min(of_sets.high - of_sets.low, of_seeds.high - of_seeds.low) > 2 * (plain.high - plain.low)


@pytest.mark.parametrize(
    ("table", "because"),
    [
        (differences(np.random.default_rng(3), 3, 1, (0.1, 0.1, 0.1)), "one seed"),
        (differences(np.random.default_rng(3), 1, 3, (0.1, 0.1, 0.1)), "one set"),
        (differences(np.random.default_rng(3), 2, 3, (0, 0, 0)), "all differences are equal"),
    ],
)
def test_what_cannot_be_fitted_has_a_mean_and_a_reason(table: pd.DataFrame, because: str) -> None:
    fit = evidence.mixed_model(table)
    assert not fit.fitted
    assert fit.because.startswith(because)
    assert fit.effect == pytest.approx(table.difference.mean())
    assert np.isnan([fit.low, fit.high, fit.p]).all()


def test_a_table_has_a_row_for_every_arm_and_leaves_the_mean_of_sets_out() -> None:
    rng = np.random.default_rng(4)
    rows = [
        (name, "mlp", selector, ratio, seed, 1, 0.5 + (selector == "meddel") * 0.05 + rng.normal(0, 0.01), 0.7, 1.0)
        for name in ("a", "b", "c")
        for seed in range(3)
        for selector in ("random", "meddel")
        for ratio in (0.05, 0.2)
    ]
    columns = [*evidence.ARM, "seed", "epoch", *evidence.METRICS, "seconds"]
    final = pd.DataFrame(rows, columns=columns)
    table = evidence.mixed_differences(evidence.with_mean_of_sets(final), "random")
    assert table[["selector", "ratio", "sets", "seeds"]].to_numpy().tolist() == [
        ["meddel", 0.05, 3, 3],
        ["meddel", 0.2, 3, 3],
    ]
    assert table.fitted.all()
    assert ((table.low < 0.05) & (table.high > 0.05)).all()
    pd.testing.assert_frame_equal(table, evidence.mixed_differences(final.sample(frac=1, random_state=0), "random"))
