"""What selections are made of, counted from what the study keeps."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest

from compendium.composition import COLUMNS, composition, mean_shares
from meddel import study
from meddel.config import Run
from meddel.study import Cell
from tests.meddel.study_cases import draw_data, run_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two selections of one seed, before any study."""
    data = draw_data(tmp_path_factory.mktemp("data"))
    made = run_of(data, tmp_path_factory.mktemp("out"), ratios=(0.5,), compute_shares=(1.0,))
    assert composition(made).empty
    for name in ("random", "meddel"):
        study.selection(made, Cell(selector=name, ratio=0.5, seed=made.seeds[0]))
    return made


def test_every_kept_image_is_counted_once_under_its_source(run: Run) -> None:
    composed, index = composition(run), study.pool(run, run.seeds[0]).index.to_pandas()
    assert set(composed.selector) == {"random", "meddel"} and set(composed.seed) == {run.seeds[0]}
    for name, part in composed.groupby("selector"):
        cell = Cell(selector=name, ratio=0.5, seed=run.seeds[0])
        kept = pq.read_table(study.folder(run, cell) / "selection.parquet").to_pandas().query("kept").id
        by_hand = index[index.id.isin(kept)].groupby("source").size()
        assert part.set_index("source").kept.to_dict() == {
            source: int(by_hand.get(source, 0)) for source in sorted(index.source.unique())
        }
        assert part.share.sum() == pytest.approx(1) == part.pool_share.sum()
    whole = index.source.value_counts(normalize=True)
    assert composed.set_index("source").pool_share.to_dict() == pytest.approx(whole.to_dict())


def test_the_mean_over_seeds_begins_with_the_pool() -> None:
    rows = [
        ("meddel", 0.1, seed, source, 1, share, pool)
        for seed, shares in ((0, (0.2, 0.8)), (1, (0.4, 0.6)))
        for source, share, pool in zip("ab", shares, (0.5, 0.5), strict=True)
    ]
    frame = mean_shares(pd.DataFrame(rows, columns=COLUMNS))
    assert frame.to_dict("records") == [
        {"ratio": 1.0, "selector": "all", "a": 50.0, "b": 50.0},
        {"ratio": 0.1, "selector": "meddel", "a": pytest.approx(30), "b": pytest.approx(70)},
    ]
