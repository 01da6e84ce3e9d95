"""The paper's numbers: transcribed as facts say, and recomputed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from compendium import claims, contradictions, published
from meddel.errors import MedDELError


def test_all_48_cells_of_table_3_are_recomputed():
    cells = published.normdel_cells()
    assert len(cells) == 48
    assert not cells.isna().any(axis=None)
    assert cells.deviation.abs().max() < 0.007


def test_another_alpha_does_not_fit_table_3():
    assert published.normdel_cells(alpha=1.1).deviation.abs().max() > 0.1


def test_means_and_wins_of_table_3():
    means = published.mean_miou().set_index("ratio")
    assert (100 * means.mean_miou).to_numpy() == pytest.approx([67.83, 67.25, 68.28, 68.94, 68.44, 67.92], abs=0.0051)
    assert means.sets_above_all[0.05] == 4
    assert means.sets_barely_above[0.05] == 3


def test_ratios_and_images_seen_of_table_2():
    table = published.thresholds().sort_values("images_kept")
    assert (100 * table.exact_ratio).round(2).tolist() == [5.05, 10.26, 19.02, 32.12, 49.26, 100.0]
    assert table.images_seen.between(16.7e6, 18.2e6).all()


def test_means_of_figure_6():
    means = published.generalisation_means().set_index(["selector", "ratio"])
    assert (means.pairs == 12).all()
    found = means.mean_miou.round(3).to_dict()
    assert found == {
        ("meddel", 0.05): 0.555, ("random", 0.05): 0.487, ("meddel", 0.2): 0.573, ("random", 0.2): 0.515,
        ("meddel", 0.5): 0.583, ("all", 1.0): 0.585,
    }  # fmt: skip


def test_table_4_ends_where_table_3_stands():
    table = published.table4().sort_values("pretraining_epochs").groupby(["dataset", "ratio"]).miou.last()
    printed = published.table3().set_index(["dataset", "ratio"]).miou
    assert (table - printed.loc[table.index]).abs().max() < 1e-9
    time = published.pretraining_time()
    assert len(time) == 16
    assert set(time.compute_share) == {0.2, 0.4}


def test_figure_3_ends_where_table_3_stands():
    ends = published.fig3().sort_values("epoch").groupby(["dataset", "ratio"]).miou.last()
    printed = published.table3().set_index(["dataset", "ratio"]).miou
    assert len(ends) == 16
    assert (ends - printed.loc[ends.index]).abs().max() < 0.0002


def test_fractions_everywhere():
    for table in (published.table2(), published.table3(), published.fig3(), published.fig4(), published.fig6()):
        numbers = table.select_dtypes("float")
        assert not numbers.empty
        assert (numbers.max() <= 1).all()
        assert (numbers.min() > 0).all()


def test_introduction():
    rows = pd.concat([contradictions.storage(), contradictions.computing_hours()]).set_index("claim")
    assert rows.agrees.tolist() == [False, False, True, True]
    assert round(rows.recomputed["storage of a day's frames"]) == 127_565
    assert round(rows.recomputed["hours for one pass over a day's frames"]) == 19_235
    assert rows.recomputed["hours that core data save"] == pytest.approx(18_816)


def test_pair_counts():
    assert contradictions.pair_counts().recomputed.tolist() == [88_282**2, 88_282 * 88_281 / 2]


CHECKS = (
    *(contradictions.boxes, contradictions.storage, contradictions.pair_counts, contradictions.computing_hours),
    *(contradictions.upstream_images, contradictions.dataset_facts, contradictions.leakage),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_gives_rows_with_arithmetic(check):
    table = check()
    assert list(table) == published.COMPARISON_COLUMNS
    assert len(table)
    assert table.agrees.dtype == bool
    assert table.arithmetic.str.len().gt(10).all()
    assert table.agrees.all() == (check is contradictions.computing_hours)


def test_boxes_under_two_names():
    table = contradictions.boxes().set_index("claim")
    shift = {label: table.arithmetic[f"PolypGen2021's box at {label} is its own"] for label in ("5 %", "10 %", "50 %")}
    assert shift["10 %"].startswith("5 of 5 marks are 3.00")
    assert shift["5 %"].startswith("3 of 5 marks are 1.00")
    assert shift["50 %"].startswith("5 of 5 marks are 0.00")


def test_thirteen_boxes_of_seven_sets_hold_their_curves_quartiles_and_cvc300_does_not():
    table = contradictions.boxes()
    boxes = table[(table["where"] == "Fig. 3, Fig. 4") & ~table.claim.str.startswith("PolypGen2021")].set_index("claim")
    assert boxes.agrees.sum() == 13
    assert boxes.index[~boxes.agrees].tolist() == ["CVC-300 at 5 %: the box holds its curve's quartiles"]


def test_data_sets():
    table = contradictions.dataset_facts().set_index("claim")
    assert table.recomputed["DataDEL holds millions of samples"] == 242_146
    assert table.recomputed["Hyper-Kvasir: videos"] == 373
    assert "EAD2019, EDD2020, Kvasir-Sessile" in table.arithmetic["every downstream set has a result"]
    assert table.printed["distinct medical centres"] == 31 > table.recomputed["distinct medical centres"]
    assert contradictions.upstream_images().recomputed[0] == 165_317


def test_every_section_has_claims_with_unique_keys():
    every = claims.claims()
    assert every.key.is_unique and set(every.section) == set(claims.SECTIONS)
    assert not every.published.str.contains(r"nan|None|[{}]").any()
    by_key = every.set_index("key").published
    assert by_key["ranking"] == "8 of 8 sets at 5%"
    assert "67.83% against 67.92%; 4 of 8" in by_key["comparable"]


def test_compare_lists_every_claim_and_refuses_what_is_none():
    table = claims.compare("3.3", {"fig1": ("66.26% against 56.59%", np.True_)})
    assert isinstance(table, pd.DataFrame)
    assert list(table) == ["claim", "published", "ours", "verdict"]
    assert table.verdict.tolist() == ["reproduced", "not testable here"]
    with pytest.raises(MedDELError, match="no claim"):
        claims.compare("3.3", {"fig7": ("1", "reproduced")})
    with pytest.raises(MedDELError, match="unknown verdict"):
        claims.compare("3.3", {"fig1": ("1", "fine")})
    with pytest.raises(MedDELError, match="no section"):
        claims.claims("9.9")
