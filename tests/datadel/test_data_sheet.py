"""The data sheet says what the manifests say, and holds the paper's table to it."""

from __future__ import annotations

import pandas as pd
import pytest

from compendium import figures, published
from compendium.tables import data_sheet
from datadel import manifest
from datadel.permissions import permissions
from meddel import manifests
from meddel.errors import MedDELError

EVERY = [manifest.load(name) for name in manifest.names()]


def test_every_set_of_table_1_stands_in_the_data_sheet_in_its_order() -> None:
    table = data_sheet.frame()
    assert table["set"].tolist() == published.table1().dataset.tolist()
    assert table["division"].tolist() == ["pre-training"] * 3 + ["downstream"] * 11
    assert table["printed"].sum() == published.table1().frames.sum()


def test_known_discrepancies_are_seen() -> None:
    table = data_sheet.frame().set_index("set")
    assert table.loc["EDD2020", "difference"] == -6
    assert table.loc["CVC-ColonDB", "difference"] == 80
    assert (table.loc[["Kvasir-SEG", "CVC-ClinicDB", "ETIS"], "difference"] == 0).all()
    assert pd.isna(table.loc["EAD2019", "source"])


def test_manifests_and_the_table_of_sources_agree() -> None:
    sources = pd.read_csv(manifests.path("paper/dataset_sources.csv"))
    by_name = {one.paper_name: one for one in EVERY}
    counted = sources[sources.quantity.isin(["videos", "video_frames", "frames"])]
    for row in counted.itertuples():
        one = by_name[row.dataset]
        says = {"videos": one.videos, "video_frames": one.frames, "frames": one.images}[row.quantity]
        assert says == int(row.value), (row.dataset, row.quantity)


def test_doubts_and_sets_beyond_are_shown() -> None:
    shown = data_sheet.doubts().markdown
    assert all(doubt.replace("|", "\\|")[:40] in shown for one in EVERY for doubt in one.doubts)
    lines = [line for line in data_sheet.beyond().markdown.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        one.title for one in EVERY if one.division == "beyond"
    ]


def test_the_map_of_what_is_allowed_tells_every_set() -> None:
    figure = permissions(EVERY)
    text = figures.alt(figure)
    assert all(f"{one.name}: research {one.uses['research']}" in text for one in EVERY)
    free = sum(one.uses["commercial"] == "yes" for one in EVERY)
    assert figure._suptitle.get_text().startswith(f"{free} of {len(EVERY)} sets")
    with pytest.raises(MedDELError, match="no set to draw"):
        permissions([])
