"""The fitted curve and its best ratio: what is there is found, and what can't be told is called so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from compendium import published
from compendium.figures import beyond as figures
from compendium.figures.style import alt
from compendium.questions import best_ratio
from meddel import evidence
from meddel.errors import MedDELError

RATIOS = np.array([0.05, 0.1, 0.2, 0.33, 0.5, 1.0])


def curve(b: float = 0.02, c: float = 0.5) -> np.ndarray:
    return 0.7 - b * RATIOS**-c


def noisy(truth: np.ndarray, seeds: int, start: int, within: float = 0.005) -> np.ndarray:
    """Values of seeds that each have a level of their own."""
    rng = np.random.default_rng(start)
    return truth + rng.normal(0, 0.02, (seeds, 1)) + rng.normal(0, within, (seeds, len(truth)))


def test_a_curve_without_noise_is_found() -> None:
    fitted = best_ratio.fit(RATIOS, curve())
    assert fitted.at(RATIOS) == pytest.approx(curve())
    assert (fitted.level, fitted.rise) == pytest.approx((curve()[-1], curve()[-1] - curve()[0]))
    assert fitted.exponent == pytest.approx(0.5, rel=1e-3)
    assert not fitted.flat


@pytest.mark.parametrize("seeds", [1, 3, 8])
def test_the_interval_of_the_rise_covers_the_truth_and_flat_curves_are_called_flat(seeds: int) -> None:
    truth = curve()[-1] - curve()[0]
    covered, flat = [], []
    for start in range(60):
        low, high = best_ratio.fit(RATIOS, noisy(curve(), seeds, start)).rise_interval()
        covered.append(low <= truth <= high)
        flat.append(best_ratio.fit(RATIOS, noisy(np.full(6, 0.7), seeds, start)).flat)
    assert np.mean(covered) > 0.85
    assert np.mean(flat) > 0.8


def test_a_rise_far_above_the_noise_is_not_flat_and_may_be_a_fall() -> None:
    rising, falling = (best_ratio.fit(RATIOS, noisy(curve(b=b), 3, 0)) for b in (0.05, -0.05))
    assert not rising.flat and rising.rise > 0
    assert not falling.flat and falling.rise < 0


def test_ratios_that_were_left_out_are_predicted_and_those_of_another_curve_are_not() -> None:
    tested = pd.concat([best_ratio.held_out(RATIOS, noisy(curve(), 3, start)) for start in range(15)])
    assert tested.outside.sum() == 2 * 15
    assert tested.covered.mean() > 0.85
    assert (tested.predicted - tested.observed)[~tested.outside].abs().median() < 0.015
    peak = np.where(RATIOS == 0.2, 0.5, 0.7) + np.random.default_rng(0).normal(0, 1e-4, (8, 6))
    assert not best_ratio.held_out(RATIOS, peak).set_index("ratio").covered[0.2]


def test_equal_seeds_give_equal_draws() -> None:
    values = noisy(curve(), 3, 0)
    first, second, other = (best_ratio.fit(RATIOS, values, seed=seed).draws for seed in (1, 1, 2))
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
        best_ratio.fit(ratios, values)


def test_the_published_curves_are_table_3() -> None:
    curves = best_ratio.published_curves()
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


def test_a_study_of_too_few_ratios_is_refused_and_another_ends_in_all_data() -> None:
    fits, refused = best_ratio.study_fits(final((0.05, 0.2)), "polyps")
    assert fits == {}
    assert "3 ratios are too few" in refused["probe, random"]
    fits, refused = best_ratio.study_fits(final((0.05, 0.1, 0.2, 0.5)), "polyps")
    assert refused == {}
    assert fits["probe, random"].ratios.tolist() == [0.05, 0.1, 0.2, 0.5, 1.0]
    assert fits["probe, random"].rise > 0


def fitted(b: float, noise: float, c: float = 0.6, seeds: int = 3) -> best_ratio.Fit:
    rng = np.random.default_rng(0)
    return best_ratio.fit(RATIOS, curve(b, c) + rng.normal(0, noise, (seeds, 6)))


@pytest.mark.parametrize("price", [0.01, 0.03, 0.1])
def test_the_best_ratio_of_a_known_curve_is_that_of_calculus(price: float) -> None:
    found = best_ratio.best(fitted(b=0.012, noise=1e-5), price)
    assert found.ratio == pytest.approx(np.clip((0.012 * 0.6 / price) ** (1 / 1.6), 0.05, 1), rel=0.05)
    assert found.sure == 1


def test_free_data_are_all_taken_and_a_higher_price_never_asks_for_more() -> None:
    assert best_ratio.best(fitted(b=0.03, noise=1e-4), 0).ratio == pytest.approx(1)
    found = [best_ratio.best(fitted(b=0.01, noise=0.01), price) for price in np.geomspace(1e-4, 10, 30)]
    assert (np.diff([one.ratio for one in found]) <= 0).all()
    assert found[-1].ratio == pytest.approx(0.05)
    assert all(one.low <= one.high and 0 <= one.sure <= 1 for one in found)


def test_noise_makes_it_less_sure() -> None:
    clear, vague = (best_ratio.best(fitted(b=0.012, noise=noise), 0.02) for noise in (1e-4, 0.03))
    assert vague.sure < clear.sure
    assert vague.high / vague.low > clear.high / clear.low


@pytest.mark.parametrize("price", [-0.1, float("nan")])
def test_a_price_below_nothing_is_refused(price: float) -> None:
    with pytest.raises(MedDELError, match="below 0"):
        best_ratio.best(fitted(b=0.01, noise=0.01), price)


def test_table_and_figure_name_every_curve_and_which_are_flat() -> None:
    fits = {"steep": fitted(b=0.05, noise=0.001), "level": fitted(b=0.0, noise=0.005)}
    answers = best_ratio.answers(fits, 0.02)
    assert answers.curve.tolist() == ["steep", "level"]
    assert answers.flat.tolist() == [False, True]
    curves = figures.ratio_curves(fits, 0.02)
    assert [axis.get_title(loc="left") for axis in curves.axes] == ["steep", "level, flat"]
    assert "steep: rise" in alt(curves) and "level: rise" in alt(curves)
    with pytest.raises(MedDELError, match="no curve"):
        figures.ratio_curves({}, 0.02)
