"""NormDEL's rankings and the scores beside it: exact winners, what decides, net benefit, multipliers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from compendium import metrics
from meddel.errors import MedDELError
from meddel.normdel import normdel

CELLS = metrics.published_cells()


def table(*rows: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame([("a", "meddel", *row) for row in rows], columns=metrics.COLUMNS)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2, 1.0, 3.0])
def test_the_exact_winner_has_the_highest_score(alpha: float) -> None:
    found = metrics.winners(CELLS)
    reigning = found[(found.alpha_low <= alpha) & (alpha < found.alpha_high)].set_index("dataset").ratio
    scored = CELLS.assign(score=normdel(CELLS.miou, CELLS.ratio, alpha))
    best = scored.loc[scored.groupby("dataset").score.idxmax()].set_index("dataset").ratio
    assert reigning.sort_index().to_dict() == best.sort_index().to_dict()
    for _, part in found.groupby("dataset"):
        assert part.alpha_low.iloc[0] == 0 and np.isinf(part.alpha_high.iloc[-1])
        assert (part.alpha_low.iloc[1:].to_numpy() == part.alpha_high.iloc[:-1].to_numpy()).all()


def test_a_dominated_cell_wins_nowhere_nor_does_one_below_the_line_between_others() -> None:
    assert metrics.winners(table((0.1, 0.6), (0.5, 0.5))).ratio.tolist() == [0.1]
    # The middle of three wins at no alpha if it is below the line between the others.
    assert metrics.winners(table((0.2, 0.4), (0.4, 0.5), (0.6, 0.9))).ratio.tolist() == [0.6, 0.2]


def test_ranks_agree_with_quality_at_a_small_alpha_and_with_the_ratio_at_a_large_one() -> None:
    cells = table((0.1, 0.5), (0.5, 0.6), (1.0, 0.7))
    tau = metrics.stability(cells, [0.01, 10.0])
    assert tau.tau_quality.tolist() == [1, -1] and tau.tau_ratio.tolist() == [-1, 1]
    assert metrics.stability(table((0.1, 0.5)), [1.0])[["tau_quality", "tau_ratio"]].isna().all(axis=None)


def test_what_decides_is_counted_pair_by_pair() -> None:
    counts = metrics.tally(table((0.1, 0.5), (0.5, 0.6), (1.0, 0.55))).set_index("what")
    assert counts["count"]["one cell dominates"] == 1  # 0.6 at 50 % over 0.55 at all
    assert counts["count"]["neither dominates: more data, higher mIoU"] == 2
    assert counts["count"]["of these, less data ranks above"] == 2
    assert metrics.tally(CELLS)["count"][1] == 0, "NormDEL never prefers a dominated cell"


def test_cells_that_are_no_cells_are_refused() -> None:
    with pytest.raises(MedDELError, match="without miou"):
        metrics.checked(CELLS.drop(columns="miou"))
    with pytest.raises(MedDELError, match="no cells"):
        metrics.checked(CELLS.head(0))
    with pytest.raises(MedDELError, match="occurs twice"):
        metrics.checked(pd.concat([CELLS, CELLS.head(1)]))


def test_net_benefit_has_its_ends_and_ignores_the_unit() -> None:
    assert metrics.net_benefit(0.6, 0.0, 0.6, 0.7, 0.5) == 0
    assert metrics.net_benefit(0.7, 1.0, 0.6, 0.7, 0.5) == pytest.approx(0.5)
    assert metrics.net_benefit(68, 0.2, 60, 70, 0.5) == pytest.approx(metrics.net_benefit(0.68, 0.2, 0.6, 0.7, 0.5))
    for wrong in ((0.6, 0.1, 0.7, 0.7, 0.5), (0.6, 1.1, 0.6, 0.7, 0.5), (0.6, 0.1, 0.6, 0.7, -1.0)):
        with pytest.raises(MedDELError):
            metrics.net_benefit(*wrong)


def test_published_benefits_are_undefined_where_all_data_hardly_gain() -> None:
    found = metrics.published_benefits(0.5)
    clear = found.gain > 0.02
    assert found.kept.notna().eq(clear).all() and clear.any() and not clear.all()
    whole = found[clear & (found.ratio == 1)]
    assert np.allclose(whole.kept, 1) and np.allclose(whole.net_benefit, 0.5)
    assert found.state[~clear].str.startswith("undefined").all()


def test_published_multipliers_are_read_off_the_random_curve() -> None:
    found = metrics.published_multipliers().set_index("ratio")
    assert found.multiplier[0.05] == pytest.approx(found.random_ratio[0.05] / 0.05)
    assert 0.2 < found.random_ratio[0.05] < found.random_ratio[0.2] < found.random_ratio[0.5] < 1
