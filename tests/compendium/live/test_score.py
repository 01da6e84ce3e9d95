"""NormDEL's view against the formula, the exact winners and the ranks; its slider; and one's own numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compendium import figures
from compendium.figures import style
from compendium.live import score
from compendium.metrics import checked, published_cells, stability, winners
from meddel.errors import MedDELError
from meddel.normdel import normdel

OWN = pd.DataFrame(
    [("a set", *row) for row in (("random", 0.1, 0.5), ("meddel", 0.1, 0.52), ("meddel", 0.5, 0.6), ("all", 1.0, 0.61))]
    + [("b set", *row) for row in (("random", 0.1, 0.7), ("meddel", 0.1, 0.4), ("all", 1.0, 0.8))],
    columns=["dataset", "selector", "ratio", "miou"],
)


@pytest.mark.parametrize("alpha", [0.01, 0.4, 3.0])
@pytest.mark.parametrize("cells", [published_cells(), OWN], ids=["table3", "own"])
def test_the_best_of_each_set_is_the_exact_winner(cells: pd.DataFrame, alpha: float) -> None:
    best = score.scored(cells, alpha).query("best").set_index("dataset")
    table = winners(cells)
    reigning = table[(table.alpha_low <= alpha) & (alpha < table.alpha_high)].set_index("dataset")
    columns = ["selector", "ratio", "miou"]
    pd.testing.assert_frame_equal(best[columns].sort_index(), reigning[columns].sort_index())


@pytest.mark.parametrize("alpha", [0.02, 1.0])
def test_the_figure_shows_every_score_and_both_agreements(alpha: float) -> None:
    cells = published_cells()
    figure = score.normdel_view(cells, alpha)
    table, agreement = figure.axes
    written = sorted(text.get_text() for text in table.texts)
    assert written == sorted(f"{100 * value:.2f}" for value in normdel(cells.miou, cells.ratio, alpha))
    tau = stability(cells, [alpha])
    shown = {line.get_label(): line.get_xdata() for line in agreement.lines}
    np.testing.assert_array_equal(shown["with mIoU alone"], tau.tau_quality)
    np.testing.assert_array_equal(shown["with the smaller ratio alone"], tau.tau_ratio)
    best = score.scored(cells, alpha).query("best")
    assert all(f"{row.dataset}: {100 * row.ratio:g} % with" in figures.alt(figure) for row in best.itertuples())


def test_cells_of_several_selectors_are_named_and_gaps_stay_empty() -> None:
    figure = score.normdel_view(OWN, 1.0)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["random\n10 %", "MedDEL\n10 %", "MedDEL\n50 %", "100 %"]
    assert len(figure.axes[0].texts) == len(OWN)
    many = pd.DataFrame({"dataset": "a", "selector": "meddel", "ratio": np.linspace(0.01, 0.99, 17), "miou": 0.5})
    with pytest.raises(MedDELError, match="17 selectors and ratios"):
        score.normdel_view(many, 1.0)


def test_the_same_alpha_gives_the_same_bytes() -> None:
    first, second = (style.encoded(score.normdel_view(published_cells(), 0.3), "png", 40) for _ in range(2))
    assert first == second


def test_the_slider_and_the_choice_change_the_figure(drawn: list[object]) -> None:
    numbers, alpha, _ = score.normdel_sliders({"Table 3": published_cells(), "mine": OWN}).children
    alpha.value = 0.01
    numbers.value = "mine"
    first, second, third = (figures.alt(figure) for figure in drawn)
    assert first == figures.alt(score.normdel_view(published_cells(), 1.0))
    assert "at alpha 0.01" in second
    assert "b set: 100 % with" in third


def test_own_numbers_are_read_and_bad_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    OWN.to_csv(path, index=False)
    pd.testing.assert_frame_equal(score.read_cells(path), checked(OWN))
    for text, said in (
        ("dataset,ratio,miou\na,0.1,0.5\n", "cells without selector"),
        ("dataset,selector,ratio,miou\na,meddel,0.1,50\n", "divide percentages by 100"),
        ("dataset,selector,ratio,miou\na,meddel,small,0.5\n", "is not a number"),
        ("", "can't read a table"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(MedDELError, match=said) as error:
            score.read_cells(path)
        assert error.value.where == str(path)
    with pytest.raises(MedDELError, match="can't read a table"):
        score.read_cells(tmp_path / "none.csv")
