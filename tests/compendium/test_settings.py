"""The settings: every profile can be laid beside the paper, and only the paper's counts as following it."""

from __future__ import annotations

import pytest

from compendium import settings
from meddel import config


@pytest.mark.parametrize("name", ["smoke", "laptop", "paper"])
def test_every_setting_has_a_value_and_only_open_ones_lack_the_papers(name: str) -> None:
    table = settings.settings(config.run(name))
    assert not table.duplicated(["step", "setting"]).any()
    assert (table.this_run.str.len() > 0).all()
    assert ((table.paper == "–") == (table.stated == settings.OPEN)).all()
    assert set(table.stated) == {"printed", "derived", settings.OPEN}
    assert not table.paper.str.contains("[{}]").any() and not table.this_run.str.contains("[{}]").any()


def test_the_papers_profile_agrees_with_what_is_printed() -> None:
    run = config.run("paper")
    assert settings.follows_the_paper(run)
    assert not settings.follows_the_paper(config.run("smoke"))
    rows = settings.settings(run).set_index(["step", "setting"])
    for key in (
        ("pre-train", "method"),
        ("pre-train", "batch"),
        ("pre-train", "peak learning rate"),
        ("select", "eps"),
    ):
        assert rows.paper[key] == rows.this_run[key]
    assert rows.paper["segment", "epochs"] == "200, 300, 500"


def test_equal_compute_meets_table_2() -> None:
    table = settings.compute(config.run("paper"), 88_282).set_index("ratio")
    assert table.images_kept[0.05] == 4414 and table.images_kept[1.0] == 88_282
    assert table.images_seen.nunique() == 1
    assert table.pretraining_epochs[1.0] == pytest.approx(200)
    assert table.pretraining_epochs[0.05] == pytest.approx(4000, rel=0.01)


def test_equal_epochs_see_fewer_images_of_a_subset() -> None:
    run = config.run("paper")
    pretrain = run.profile.pretrain.model_copy(update={"equal": "epochs"})
    run = run.model_copy(update={"profile": run.profile.model_copy(update={"pretrain": pretrain})})
    table = settings.compute(run, 1000).set_index("ratio")
    assert table.pretraining_epochs.to_numpy() == pytest.approx(table.pretraining_epochs[1.0])
    assert table.images_seen[0.5] == pytest.approx(table.images_seen[1.0] / 2)
