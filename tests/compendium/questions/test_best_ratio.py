"""The best ratio: the one that calculus gives, smaller at a higher price, and unsure where the curve is."""

from __future__ import annotations

import numpy as np
import pytest

from compendium.figures import beyond as figures
from compendium.figures.style import alt
from compendium.questions import best_ratio, saturation
from meddel.errors import MedDELError

RATIOS = np.array([0.05, 0.1, 0.2, 0.33, 0.5, 1.0])


def fitted(b: float, noise: float, c: float = 0.6, seeds: int = 3) -> saturation.Fit:
    rng = np.random.default_rng(0)
    return saturation.fit(RATIOS, 0.7 - b * RATIOS**-c + rng.normal(0, noise, (seeds, 6)))


@pytest.mark.parametrize("price", [0.01, 0.03, 0.1])
def test_the_best_ratio_of_a_known_curve_is_that_of_calculus(price: float) -> None:
    found = best_ratio.best(fitted(b=0.012, noise=1e-5), price)
    assert found.ratio == pytest.approx(np.clip((0.012 * 0.6 / price) ** (1 / 1.6), 0.05, 1), rel=0.05)
    assert found.sure == 1
    assert found.regret < 1e-4


def test_free_data_are_all_taken_and_dear_data_are_not() -> None:
    curve = fitted(b=0.03, noise=1e-4)
    assert best_ratio.best(curve, 0).ratio == pytest.approx(1)
    assert best_ratio.best(curve, 10).ratio == pytest.approx(0.05)


def test_a_higher_price_never_asks_for_more() -> None:
    found = best_ratio.over_prices(fitted(b=0.01, noise=0.01), np.geomspace(1e-4, 1, 30))
    assert (found.ratio.diff().dropna() <= 0).all()
    assert ((found.low <= found.high) & found.sure.between(0, 1) & (found.regret >= 0)).all()


def test_noise_makes_it_less_sure_and_costs_regret() -> None:
    clear, vague = (best_ratio.best(fitted(b=0.012, noise=noise), 0.02) for noise in (1e-4, 0.03))
    assert vague.sure < clear.sure
    assert vague.regret > clear.regret
    assert vague.high / vague.low > clear.high / clear.low


@pytest.mark.parametrize("price", [-0.1, float("nan")])
def test_a_price_below_nothing_is_refused(price: float) -> None:
    with pytest.raises(MedDELError, match="below 0"):
        best_ratio.best(fitted(b=0.01, noise=0.01), price)


def test_the_table_says_which_curves_are_flat() -> None:
    fits = {"steep": fitted(b=0.05, noise=0.001), "level": fitted(b=0.0, noise=0.005)}
    answers = best_ratio.table(fits, 0.02)
    assert answers.flat.tolist() == [False, True]
    shown = best_ratio.readable(answers)
    assert shown["curve"].tolist() == ["steep", "level"]
    assert shown["rise from the smallest ratio to all"].str.contains("points").all()


def test_the_figures_name_every_curve_and_its_answer() -> None:
    fits = {"steep": fitted(b=0.05, noise=0.001), "level": fitted(b=0.0, noise=0.005)}
    curves, prices = figures.ratio_curves(fits, 0.02), figures.ratio_prices(fits, [0.01, 0.1])
    assert [axis.get_title(loc="left") for axis in curves.axes] == ["steep", "level, flat"]
    assert "steep: rise" in alt(curves) and "level: rise" in alt(curves)
    assert "at a price of 0.1" in alt(prices)
    for draw in (lambda: figures.ratio_curves({}, 0.02), lambda: figures.ratio_prices({}, [0.1])):
        with pytest.raises(MedDELError, match="no curve"):
            draw()
