"""NormDEL's rankings against dominance, other alphas, the Pareto front and no pre-training."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compendium.metrics import alpha, cells, dominance, envelope, no_pretraining, pareto
from meddel import evidence, manifests
from meddel.errors import MedDELError
from meddel.normdel import del_score

points = st.tuples(st.sampled_from([0.05, 0.1, 0.2, 0.33, 0.5, 1.0]), st.integers(1, 100))


@st.composite
def some_cells(draw: st.DrawFn) -> pd.DataFrame:
    """Cells of one set: any mIoU in whole percent, at most two selectors a ratio."""
    found = draw(st.lists(points, min_size=2, max_size=12))
    table = pd.DataFrame(found, columns=["ratio", "percent"])
    table["selector"] = table.groupby("ratio").cumcount().map("s{}".format)
    return table.assign(dataset="a", miou=table.percent / 100)


def run_scores(gain: float = 0.1, seeds: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    arms = {("none", 0.0): 0, ("random", 0.05): 0.3, ("meddel", 0.05): 0.7, ("random", 0.2): 0.6, ("all", 1.0): 1}
    rows = [
        (name, "mlp", *arm, seed, 1, 0.5 + gain * part + rng.normal(0, 0.004), 0.7, 1.0)
        for name in ("a", "b")
        for seed in range(seeds)
        for arm, part in arms.items()
    ]
    columns = ["set", "head", "selector", "ratio", "seed", "epoch", *evidence.METRICS, "seconds"]
    return pd.DataFrame(rows, columns=columns)


def laptop() -> pd.DataFrame:
    table = pd.read_csv(manifests.path("results/laptop/scores.csv"))
    return evidence.final_scores(table.assign(split="test"))


@settings(deadline=None)
@given(some_cells(), st.floats(0.01, 5))
def test_a_dominated_cell_never_ranks_above_and_the_best_is_on_the_front(table: pd.DataFrame, fall: float) -> None:
    count = dominance.tally(table, fall).set_index("what")["count"]
    assert count["the dominated cell ranks above"] == 0
    assert dominance.fronts(table, fall).best_on_front.all()


@settings(deadline=None)
@given(some_cells())
def test_the_front_is_what_no_other_cell_dominates(table: pd.DataFrame) -> None:
    found = pareto.with_front(table)
    for row in found.itertuples():
        better = (found.ratio <= row.ratio) & (found.miou >= row.miou)
        strictly = (found.ratio < row.ratio) | (found.miou > row.miou)
        assert row.on_front == (not (better & strictly).any())


def test_every_pair_of_table_3_is_ordered_by_its_ratio_alone() -> None:
    table = dominance.pairs(cells.published_cells())
    assert len(table) == 8 * math.comb(6, 2)
    assert (table.preferred == "first").all()
    count = dominance.tally(cells.published_cells()).set_index("what")
    assert count["count"]["the ratios differ, and less data ranks above"] == len(table)
    trade = (table.miou < table.other_miou).sum()
    assert count["count"]["neither dominates: more data, higher mIoU"] == trade > 0
    assert count["count"]["of these, less data ranks above"] == trade


def test_pairs_by_hand() -> None:
    table = pd.DataFrame(
        [("a", "x", 0.1, 0.50), ("a", "y", 0.1, 0.51), ("a", "x", 0.2, 0.51), ("a", "x", 1.0, 0.90)],
        columns=cells.COLUMNS,
    )
    found = dominance.pairs(table, alpha=0.1).set_index(["selector", "ratio", "other_selector", "other_ratio"])
    assert len(found) == 6
    assert found.relation["y", 0.1, "x", 0.1] == "dominance"
    assert found.relation["y", 0.1, "x", 0.2] == "dominance"
    assert found.relation["x", 0.1, "x", 0.2] == "trade-off"
    assert found.preferred["x", 0.1, "x", 1.0] == "other"
    assert not found.by_ratio_alone.any()
    count = dominance.tally(table, alpha=0.1).set_index("what")
    decides = "mIoU differ by at most 2 points, and this difference decides"
    assert tuple(count.loc[decides]) == (2, 2), "at the same ratio, and at twice the ratio with 1 point more"
    same = pd.concat([table.iloc[[0]], table.iloc[[0]].assign(selector="z")])
    assert list(dominance.pairs(same)[["relation", "preferred"]].iloc[0]) == ["equal", "neither"]
    ratios = np.linspace(0.01, 1, 100)
    perfect = pd.DataFrame({"dataset": "a", "selector": "x", "ratio": ratios, "miou": 1.0})
    beside = dominance.pairs(pd.concat([perfect, perfect.assign(selector="y", miou=0.5)]))
    assert not beside[beside.ratio == beside.other_ratio].by_ratio_alone.any()
    with pytest.raises(MedDELError, match="margin"):
        dominance.tally(table, margin=-1)


def test_dominated_cells_outrank_cells_of_the_front() -> None:
    table = dominance.fronts(cells.published_cells()).set_index("dataset")
    front = pareto.with_front(cells.published_cells()).set_index(["dataset", "ratio"])
    for name, row in table.iterrows():
        part = front.loc[name]
        score = pd.Series(del_score(part.miou, part.index), part.index)
        expected = sum((score[part.index[~part.on_front]] > score[ratio]).any() for ratio in part.index[part.on_front])
        assert row.outranked == expected
    assert table.outranked.sum() > 0


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 20)), min_size=1, max_size=10), st.floats(0, 60))
@example([(2, 2), (1, 1), (0, 0)], 1.0)
def test_the_envelope_is_the_best_line_at_every_weight(lines: list[tuple[int, int]], weight: float) -> None:
    height, cost = np.array(lines, dtype=float).T
    found = envelope.reigns(height, cost)
    assert found[0].low == 0 and found[-1].high == math.inf
    assert all(one.high == two.low and cost[one.place] > cost[two.place] for one, two in pairwise(found))
    assert all(reign.low < reign.high for reign in found), "where several lines meet, none leads for a single weight"
    [place] = [reign.place for reign in found if reign.low <= weight < reign.high]
    assert (height - weight * cost)[place] == pytest.approx((height - weight * cost).max(), abs=1e-9)


def test_the_published_winners_change_where_two_cells_tie() -> None:
    table = alpha.winners(cells.published_cells())
    everything = cells.published_cells()
    for name, part in table.groupby("dataset"):
        mine = everything[everything.dataset == name]
        for weight in (0.003, 0.05, 0.5, 1.0, 2.5):
            best = mine.ratio.iloc[np.argmax(del_score(mine.miou, mine.ratio, weight))]
            assert part.ratio[(part.alpha_low < weight) & (weight < part.alpha_high)].tolist() == [best]
    assert (table[table.alpha_high == math.inf].ratio == 0.05).all()
    assert table[table.dataset == "CVC-300"].ratio.tolist() == [0.05]


def test_a_cell_of_the_front_may_win_at_no_alpha() -> None:
    table = pd.DataFrame([("a", "x", 0.1, 0.50), ("a", "x", 0.5, 0.51), ("a", "x", 1.0, 0.90)], columns=cells.COLUMNS)
    assert pareto.with_front(table).on_front.all()
    assert alpha.winners(table).ratio.tolist() == [1.0, 0.1]
    assert alpha.winners(pd.concat([table, table.assign(dataset="b", miou=0.0)])).dataset.unique().tolist() == ["a"]


def test_rank_stability_per_set_and_per_ratio() -> None:
    table = cells.published_cells()
    found = alpha.stability(table, [1e-6, 1.0, 3.0]).set_index(["dataset", "alpha"])
    assert len(found) == 24
    assert (found.xs(1.0, level="alpha").tau_reference > 1 - 1e-9).all()
    assert (found.xs(1e-6, level="alpha").tau_quality > 1 - 1e-9).all()
    assert (found.xs(1.0, level="alpha").tau_ratio > 1 - 1e-9).all(), "the published ranking is that of the ratios"
    sets = alpha.stability(table, [0.01, 1.0, 3.0], within="ratio")
    assert (sets.groupby("alpha").tau_quality.min() > 1 - 1e-9).all(), "at one ratio alpha changes no order"
    assert sets.tau_ratio.isna().all()
    with pytest.raises(MedDELError, match="rank within"):
        alpha.stability(table, [1.0], within="selector")


@settings(deadline=None)
@given(some_cells())
def test_hypervolume_is_the_area_under_the_front_and_the_dominated_add_nothing(table: pd.DataFrame) -> None:
    table = table.assign(selector="x").drop_duplicates(["ratio"])
    found = pareto.hypervolume(table)
    front = pareto.with_front(table)
    stairs = front.miou.cummax()
    widths = np.diff([*front.ratio, 1.0])
    assert found.hypervolume.iloc[0] == pytest.approx((stairs * widths).sum(), abs=1e-12)
    added = found.set_index("ratio").contribution
    assert added[front.ratio[~front.on_front]].eq(0).all()
    for ratio in front.ratio if len(front) > 1 else []:
        without = pareto.hypervolume(table[table.ratio != ratio]).hypervolume.iloc[0]
        assert added[ratio] == pytest.approx(found.hypervolume.iloc[0] - without, abs=1e-12)


def test_hypervolume_counts_from_its_floor() -> None:
    table = cells.published_cells().query("dataset == 'ETIS'")
    above = pareto.hypervolume(table, floor=0.4).hypervolume.iloc[0]
    assert above == pytest.approx(pareto.hypervolume(table).hypervolume.iloc[0] - 0.95 * 0.4)


def test_areas_of_straight_lines() -> None:
    ratio = np.array([0.05, 0.1, 0.4, 1.0])
    table = pd.DataFrame({"dataset": "a", "selector": "x", "ratio": ratio})
    table.loc[3, "selector"] = "all"
    linear = pareto.area(table.assign(miou=0.2 + 0.5 * ratio))
    assert linear.area.tolist() == pytest.approx([0.2 + 0.5 * 1.05 / 2])
    log = pareto.area(table.assign(miou=0.8 + 0.1 * np.log(ratio)), "log")
    assert log.area.tolist() == pytest.approx([0.8 + 0.1 * np.log(0.05) / 2])
    assert (log.ratio_low[0], log.ratio_high[0]) == (0.05, 1.0)
    with pytest.raises(MedDELError, match="unknown scale"):
        pareto.area(table.assign(miou=0.5), "square")
    with pytest.raises(MedDELError, match="x has a single ratio"):
        pareto.area(table.assign(miou=0.5).iloc[:1])


def test_a_run_gives_cells_and_a_curve_for_each_selector() -> None:
    final = run_scores()
    table = cells.run_cells(final)
    assert set(table.selector) == {"all", "random", "meddel"}
    lines = cells.curves(table).groupby(["dataset", "selector"]).ratio.agg(list)
    assert lines["a", "random"] == [0.05, 0.2, 1.0]
    assert lines["b", "meddel"] == [0.05, 1.0]
    assert table.miou.mean() == pytest.approx(final[final.ratio > 0].foreground_iou.mean())


def test_cells_that_cannot_be_compared_are_refused() -> None:
    table = cells.published_cells()
    for bad, words in (
        (table.drop(columns="selector"), "without selector"),
        (table.iloc[:0], "no cells"),
        (pd.concat([table, table.iloc[:1]]), "twice"),
    ):
        with pytest.raises(MedDELError, match=words):
            cells.checked(bad)
    final = pd.concat([run_scores(), run_scores().assign(head="probe")])
    with pytest.raises(MedDELError, match="heads mlp, probe"):
        cells.run_cells(final)
    with pytest.raises(MedDELError, match="no scores of head dpt"):
        cells.run_cells(final, "dpt")
    assert len(cells.run_cells(final, "mlp")) == 2 * 4


def test_no_data_win_where_the_gain_is_smaller_than_the_discount() -> None:
    table = no_pretraining.against_none(cells.published_medians(), no_pretraining.published_reference())
    assert len(table) == 8
    assert (table.none_wins == (table.none_miou > table.best_del)).all()
    assert 0 < table.none_wins.sum() < 8
    for row in table.itertuples():
        mine = cells.published_medians().query("dataset == @row.dataset")
        for factor, wins in ((1.01, True), (0.99, False)):
            best = np.max(del_score(mine.miou, mine.ratio, factor * row.none_wins_from))
            assert bool(row.none_miou > best) is wins
    with pytest.raises(MedDELError, match="without pre-training for ETIS"):
        no_pretraining.against_none(cells.published_cells().query("dataset == 'ETIS'"), {})


def test_no_data_of_a_run() -> None:
    final = run_scores(gain=0.02)
    reference = no_pretraining.run_reference(final)
    assert reference["a"] == pytest.approx(final.query("set == 'a' and selector == 'none'").foreground_iou.mean())
    assert no_pretraining.against_none(cells.run_cells(final), reference).none_wins.all()
    strong = run_scores(gain=0.4)
    assert not no_pretraining.against_none(
        cells.run_cells(strong), no_pretraining.run_reference(strong)
    ).none_wins.any()


def test_our_scores_are_ordered_like_the_papers_by_the_ratio() -> None:
    for head in ("mlp", "probe"):
        table = cells.run_cells(laptop(), head)
        found = dominance.pairs(table)
        assert len(found) == sum(math.comb(count, 2) for count in table.groupby("dataset").size())
        smaller = found[found.ratio < found.other_ratio].preferred == "first"
        assert len(smaller) > 50 and smaller.mean() > 0.95, "the smaller subset wins almost whatever its quality"
