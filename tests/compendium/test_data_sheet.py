"""The data sheet says what the manifests say, and holds the paper's table to it."""

from __future__ import annotations

import pandas as pd

from compendium import published, tables
from datadel import manifest
from meddel import manifests

EVERY = [manifest.load(name) for name in manifest.names()]


def test_every_set_of_table_1_stands_in_the_data_sheet_in_its_order() -> None:
    table = tables.against_manifests()
    assert table["set"].tolist() == published.table1().dataset.tolist()
    assert table["division"].tolist() == ["pre-training"] * 3 + ["downstream"] * 11
    assert table["printed"].sum() == published.table1().frames.sum()


def test_known_discrepancies_are_seen() -> None:
    table = tables.against_manifests().set_index("set")
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
    shown = tables.doubts().markdown
    assert all(doubt.replace("|", "\\|")[:40] in shown for one in EVERY for doubt in one.doubts)
    lines = [line for line in tables.beyond().markdown.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        one.title for one in EVERY if one.division == "beyond"
    ]


def test_the_table_of_what_is_allowed_has_every_set() -> None:
    shown = tables.uses().markdown
    assert all(f"| {one.name} " in shown for one in EVERY)
