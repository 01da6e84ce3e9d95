"""The figures on NormDEL's rankings: they show what was computed, and say it in their alt text."""

from __future__ import annotations

import pandas as pd
import pytest

from compendium import figures
from compendium.figures.alpha import alpha_winners
from compendium.figures.fronts import pareto_fronts
from compendium.metrics import alpha, cells, pareto
from meddel.errors import MedDELError
from meddel.normdel import tie


def test_the_bars_are_the_intervals_in_which_a_ratio_wins() -> None:
    table = alpha.winners(cells.published_cells())
    figure = alpha_winners(most=3.0)
    [axis] = figure.axes
    drawn = sorted((round(bar.get_x(), 9), round(bar.get_x() + bar.get_width(), 9)) for bar in axis.patches)
    shown = table[table.alpha_low < 3]
    assert drawn == sorted(zip(shown.alpha_low.round(9), shown.alpha_high.clip(upper=3).round(9), strict=True))
    assert [label.get_text() for label in axis.get_yticklabels()] == list(table.dataset.unique())
    at_one = table[(table.alpha_low < 1) & (table.alpha_high > 1)]
    count = int((at_one.ratio == 0.05).sum())
    assert f"5 % score highest on {count} of 8 sets" in figure.get_suptitle()
    assert "CVC-300: 5 % from 0" in figures.alt(figure)


def test_a_run_of_other_ratios_is_drawn_and_too_many_are_refused() -> None:
    ratios = [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0]
    many = pd.DataFrame({"dataset": "a", "selector": "x", "ratio": ratios})
    rising = many.assign(miou=[0.1, 0.3, 0.45, 0.55, 0.62, 0.67, 0.7])
    with pytest.raises(MedDELError, match="7 ratios"):
        alpha_winners(rising)
    figure = alpha_winners(rising[rising.ratio > 0.02])
    assert "1 sets" in figure.get_suptitle()
    mixed = pd.concat([rising.iloc[:1], rising.iloc[1:2].assign(dataset="b")])
    assert "depends on alpha" in alpha_winners(mixed).get_suptitle()
    with pytest.raises(MedDELError, match="axis ends"):
        alpha_winners(most=0.5)


def test_the_fronts_and_what_normdel_demands_of_all_data() -> None:
    figure = pareto_fronts()
    front = pareto.with_front(cells.published_cells())
    assert len(figure.axes) == 8
    for axis in figure.axes:
        part = front[front.dataset == axis.get_title("left")]
        on_front, dominated = axis.collections
        assert len(on_front.get_offsets()) == part.on_front.sum()
        assert len(dominated.get_offsets()) == (~part.on_front).sum()
    smallest = cells.published_cells().query("ratio == 0.05")
    above = int((tie(smallest.miou, 0.05, 1.0) > 1).sum())
    assert f"more than 100 % mIoU on {above} of 8 sets" in figure.get_suptitle()
    assert "ETIS: " in figures.alt(figure)
