"""What a selection removed, counted by hand on twelve images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compendium import truth_check
from endosim import TRUTH_SCHEMA
from meddel.errors import MedDELError


@pytest.fixture
def truth() -> pa.Table:
    """Two videos of six frames in groups of 3, 2, 1 and 4, 1, 1; the last frame of each is disruptive."""
    groups = [0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5]
    rows = [
        {
            "id": f"s/{number:02d}", "source": "s", "centre": f"c{video}", "video": f"v{video}", "frame": number % 6,
            "near_duplicate_group": group, "disruption": {5: "glare", 11: "bubbles"}.get(number),
            "has_polyp": False, "has_instrument": False,
        }
        for number, (video, group) in enumerate(zip([0] * 6 + [1] * 6, groups, strict=True))
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=TRUTH_SCHEMA)


def keeping(*numbers: int, of: int = 12) -> pa.Table:
    """A selection that keeps these of the first `of` images."""
    return pa.table({"id": [f"s/{i:02d}" for i in range(of)], "kept": [i in numbers for i in range(of)]})


def test_counts_what_was_removed_and_what_stayed(truth: pa.Table) -> None:
    # repeats: 2 + 1 + 0 and 3 + 0 + 0 = 6; kept are two of group 0 (one repeat), one of group 2 that is disruptive
    found = truth_check.check(keeping(0, 1, 5), truth)
    expected = {
        "repeats_removed": 5 / 6, "disruptive_removed": 1 / 2, "repeats_kept": 1 / 3, "disruptive_kept": 1 / 3,
        "groups": 2 / 6, "videos": 1 / 2, "centres": 1 / 2,
    }  # fmt: skip
    assert found == pytest.approx(expected)


def test_keeping_everything_removes_nothing_and_one_of_each_group_all_repeats(truth: pa.Table) -> None:
    everything = truth_check.check(keeping(*range(12)), truth)
    assert everything["repeats_removed"] == everything["disruptive_removed"] == 0
    assert everything["groups"] == everything["videos"] == everything["centres"] == 1
    one_of_each = truth_check.check(keeping(0, 3, 5, 6, 10, 11), truth)
    assert one_of_each["repeats_removed"] == one_of_each["groups"] == 1 and one_of_each["repeats_kept"] == 0


def test_only_the_images_selected_from_count(truth: pa.Table) -> None:
    found = truth_check.check(keeping(0, of=3), truth)
    assert found["repeats_removed"] == found["videos"] == 1
    assert np.isnan(found["disruptive_removed"]), "there was none to remove"


def test_rows_follow_the_selection_whatever_the_order_of_the_truth(truth: pa.Table) -> None:
    shuffled = truth.take(np.random.default_rng(0).permutation(12))
    assert truth_check.check(keeping(0, 1, 5), shuffled) == truth_check.check(keeping(0, 1, 5), truth)
    assert truth_check.joined(keeping(5), shuffled).id.tolist() == keeping(5)["id"].to_pylist()


def test_kinds_are_told_apart(truth: pa.Table) -> None:
    table = truth_check.by_kind(keeping(0, 1, 5), truth).set_index("disruption")
    assert table.images.to_dict() == {"bubbles": 1, "glare": 1, "none": 10}
    assert table.kept_share.to_dict() == pytest.approx({"bubbles": 0, "glare": 1, "none": 0.2})


def test_describes_every_source(truth: pa.Table) -> None:
    [row] = truth_check.describe(truth).to_dict("records")
    expected = {
        "source": "s", "images": 12, "videos": 2, "near_duplicate_groups": 6, "repeats": 0.5, "disruptive": 1 / 6,
        "bubbles": 1 / 12, "glare": 1 / 12,
    }  # fmt: skip
    assert row == pytest.approx(expected)


def test_refuses_what_it_can_not_judge(truth: pa.Table) -> None:
    with pytest.raises(MedDELError, match="keeps nothing"):
        truth_check.check(keeping(), truth)
    with pytest.raises(MedDELError, match=r"does not know an image.*s/12"):
        truth_check.check(keeping(0, of=13), truth)


def test_reads_the_truth_if_there_is_any(tmp_path: Path, truth: pa.Table) -> None:
    assert truth_check.read(tmp_path) is None
    pq.write_table(truth, tmp_path / truth_check.TRUTH_FILE)
    assert truth_check.read(tmp_path).equals(truth)
    pq.write_table(pa.Table.from_pandas(pd.DataFrame({"id": ["a"]})), tmp_path / truth_check.TRUTH_FILE)
    with pytest.raises(MedDELError, match="no table of truth"):
        truth_check.read(tmp_path)


def test_compares_selectors_a_row_each(truth: pa.Table) -> None:
    given = {"best": keeping(0, 3, 6), "worst": [keeping(*range(6)), keeping(0, 1)]}
    table = truth_check.compare(given, truth)
    assert table.selector.tolist() == ["best", "worst", "worst"]
    assert table.ratio.tolist() == pytest.approx([3 / 12, 2 / 12, 6 / 12])
    assert table.images.tolist() == [3, 2, 6]
    for row, selection in zip(table.to_dict("records"), [given["best"], *given["worst"][::-1]], strict=True):
        checked = truth_check.check(selection, truth)
        assert {name: row[name] for name in checked} == pytest.approx(checked, nan_ok=True)


def test_rare_classes_are_counted_among_images_without_disruption(truth: pa.Table) -> None:
    rows = truth.to_pylist()
    many = [{**row, "id": f"{row['id']}-{copy}"} for row in rows for copy in range(10)]
    for place, changes in {0: {"has_polyp": True}, 40: {"source": "t"}, 50: {"has_instrument": True}}.items():
        many[place] = {**many[place], **changes}
    larger = pa.Table.from_pylist(many, schema=TRUTH_SCHEMA)
    assert many[50]["disruption"] is not None, "the instrument can't be seen in it"

    def rare(*kept: int) -> float:
        table = pa.table({"id": [row["id"] for row in many], "kept": [place in kept for place in range(len(many))]})
        return truth_check.compare({"one": table}, larger).rare_classes[0]

    assert [rare(1, 50), rare(0, 1), rare(0, 40)] == [0, 0.5, 1]
    assert np.isnan(truth_check.compare({"one": keeping(0)}, truth).rare_classes[0]), "there is no rare class"
