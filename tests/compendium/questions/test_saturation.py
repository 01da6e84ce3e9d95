"""The fitted curve: it finds what is there, says when nothing can be told, and covers what it has not seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from compendium import published
from compendium.questions import saturation
from meddel import evidence
from meddel.errors import MedDELError

RATIOS = np.array([0.05, 0.1, 0.2, 0.33, 0.5, 1.0])


def curve(a: float = 0.7, b: float = 0.02, c: float = 0.5) -> np.ndarray:
    return a - b * RATIOS**-c


def noisy(truth: np.ndarray, seeds: int, start: int, within: float = 0.005) -> np.ndarray:
    """Values of seeds that each have a level of their own."""
    rng = np.random.default_rng(start)
    return truth + rng.normal(0, 0.02, (seeds, 1)) + rng.normal(0, within, (seeds, len(truth)))


def test_a_curve_without_noise_is_found() -> None:
    fitted = saturation.fit(RATIOS, curve())
    grid = 5e-4  # what the steps of the exponent may cost
    assert fitted.at(RATIOS) == pytest.approx(curve(), abs=grid)
    assert fitted.rise == pytest.approx(curve()[-1] - curve()[0], abs=grid)
    assert fitted.level == pytest.approx(curve()[-1], abs=grid)
    assert fitted.exponent == pytest.approx(0.5, rel=0.1)
    assert not fitted.flat


def test_the_fit_is_the_least_squares_one() -> None:
    for start in range(5):
        values = noisy(curve(), 1, start)
        fitted = saturation.fit(RATIOS, values, draws=10)

        def residuals(given: np.ndarray, values: np.ndarray = values) -> np.ndarray:
            return given[0] - given[1] * RATIOS ** -given[2] - values[0]

        bounds = ([-2, -2, saturation.EXPONENTS[0]], [2, 2, saturation.EXPONENTS[-1]])
        tried = [
            optimize.least_squares(residuals, [0.7, 0.02, first], bounds=bounds, xtol=1e-12, ftol=1e-12).cost
            for first in (0.1, 0.5, 1.5, 3)
        ]
        ours = 0.5 * ((fitted.at(RATIOS) - values[0]) ** 2).sum()
        assert ours <= min(tried) * 1.01


@pytest.mark.parametrize("seeds", [1, 3, 8])
def test_the_interval_of_the_rise_covers_the_truth_and_flat_curves_are_called_flat(seeds: int) -> None:
    truth = curve()[-1] - curve()[0]
    covered, flat = [], []
    for start in range(120):
        low, high = saturation.fit(RATIOS, noisy(curve(), seeds, start), draws=400).rise_interval()
        covered.append(low <= truth <= high)
        flat.append(saturation.fit(RATIOS, noisy(np.full(6, 0.7), seeds, start), draws=400).flat)
    assert np.mean(covered) > 0.88
    assert np.mean(flat) > 0.85


def test_a_rise_far_above_the_noise_is_not_flat_and_may_be_a_fall() -> None:
    rising = saturation.fit(RATIOS, noisy(curve(b=0.05), 3, 0))
    falling = saturation.fit(RATIOS, noisy(curve(b=-0.05), 3, 0))
    assert not rising.flat and rising.rise > 0
    assert not falling.flat and falling.rise < 0


@pytest.mark.parametrize("seeds", [1, 3])
def test_ratios_that_were_left_out_are_predicted(seeds: int) -> None:
    tested = pd.concat([saturation.held_out(RATIOS, noisy(curve(), seeds, start)) for start in range(25)])
    assert tested.outside.sum() == 2 * 25
    assert tested.covered.mean() > 0.85
    inside = tested[~tested.outside]
    assert (inside.predicted - inside.observed).abs().median() < 0.015


def test_a_curve_of_another_form_is_not_covered() -> None:
    values = np.where(RATIOS == 0.2, 0.5, 0.7) + np.random.default_rng(0).normal(0, 1e-4, (8, 6))
    tested = saturation.held_out(RATIOS, values).set_index("ratio")
    assert not tested.covered[0.2]
    assert saturation.fit(RATIOS, values).misfit < 0.001


def test_the_form_is_rejected_no_more_often_than_it_says() -> None:
    found = [saturation.fit(RATIOS, noisy(curve(), 3, start), draws=2).misfit for start in range(200)]
    assert np.mean(np.array(found) < 0.05) < 0.1
    assert np.isnan(saturation.fit(RATIOS, curve()).misfit)


def test_many_seeds_are_drawn_again_and_few_are_not() -> None:
    assert saturation.fit(RATIOS, noisy(curve(), saturation.ENOUGH_SEEDS, 0)).method == saturation.BY_SEEDS
    assert saturation.fit(RATIOS, noisy(curve(), 2, 0)).method == saturation.BY_ERRORS


def test_equal_seeds_give_equal_draws() -> None:
    values = noisy(curve(), 3, 0)
    first, second, other = (saturation.fit(RATIOS, values, seed=seed).draws for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("ratios", "values", "said"),
    [
        ([0.05, 0.2, 1.0], [[0.5, 0.6, 0.7]], "3 ratios are too few"),
        ([0.05, 0.2, 0.2, 1.0], [[0.5, 0.6, 0.6, 0.7]], "don't rise"),
        ([0.05, 0.2, 0.5, 1.5], [[0.5, 0.6, 0.6, 0.7]], "outside"),
        ([0.05, 0.2, 0.5, 1.0], [[0.5, 0.6, np.nan, 0.7]], "finite"),
        ([0.05, 0.2, 0.5, 1.0], [[0.5, 0.6, 0.7]], "one finite value per ratio"),
    ],
)
def test_what_can_not_be_fitted_is_refused(ratios: list[float], values: list[list[float]], said: str) -> None:
    with pytest.raises(MedDELError, match=said):
        saturation.fit(ratios, values)


def test_the_published_curves_are_table_3() -> None:
    curves = saturation.published_curves()
    assert list(curves) == [*published.segmentation_sets(), evidence.MEAN_SET]
    ratios, values = curves["CVC-300"]
    cells = published.table3().query("dataset == 'CVC-300'").set_index("ratio").miou
    assert values[0].tolist() == [cells[ratio] for ratio in ratios]
    assert curves[evidence.MEAN_SET][1].shape == (8, 6)


def final(ratios: tuple[float, ...], seeds: int = 3) -> pd.DataFrame:
    """Scores of a study in which random selection rises with the ratio."""
    rows = []
    for seed in range(seeds):
        for ratio in (0.0, *ratios, 1.0):
            name = {0.0: "none", 1.0: "all"}.get(ratio, "random")
            value = 0.3 if ratio == 0 else 0.7 - 0.02 * ratio**-0.5 + 0.001 * seed
            rows.append(("polyps", "probe", name, ratio, seed, value))
    return pd.DataFrame(rows, columns=["set", "head", "selector", "ratio", "seed", "foreground_iou"])


def test_a_study_s_curve_ends_in_all_data() -> None:
    ratios, values = saturation.study_curve(final((0.05, 0.2)), "polyps", "probe", "random")
    assert ratios.tolist() == [0.05, 0.2, 1.0]
    assert values.shape == (3, 3)
    with pytest.raises(MedDELError, match="no scores of meddel on polyps"):
        saturation.study_curve(final(()).query("selector == 'none'"), "polyps", "probe", "meddel")


def test_a_study_of_too_few_ratios_says_so() -> None:
    fits, refused = saturation.study_fits(final((0.05, 0.2)), "polyps")
    assert fits == {}
    assert "3 ratios are too few" in refused["probe, random"]
    fits, refused = saturation.study_fits(final((0.05, 0.1, 0.2, 0.5)), "polyps")
    assert refused == {}
    assert fits["probe, random"].rise > 0
