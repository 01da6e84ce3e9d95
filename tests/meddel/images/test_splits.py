"""Splits keep videos and duplicates together, follow what is official, and fill every part."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddel.errors import MedDELError
from meddel.images import index, splits


def rows(videos: list[str | None], hashes: list[str] | None = None, official: list[str | None] | None = None):
    n = len(videos)
    return index.from_rows(
        {
            "id": f"set/{i:05d}",
            "path": "/x",
            "source": "set",
            "width": 1,
            "height": 1,
            "video": videos[i],
            "sha256": hashes[i] if hashes else str(i),
            "split": official[i] if official else None,
        }
        for i in range(n)
    )


def parts_of(parts: np.ndarray, names: list[str]) -> dict[str, set[str]]:
    return {name: {str(part) for part, other in zip(parts, names, strict=True) if other == name} for name in set(names)}


@settings(max_examples=40, deadline=None)
@given(
    videos=st.lists(st.sampled_from([None, *"abcdefghij"]), min_size=20, max_size=80),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_no_video_and_no_duplicate_is_on_two_sides(videos, seed, data):
    hashes = data.draw(
        st.lists(st.sampled_from([str(i) for i in range(60)]), min_size=len(videos), max_size=len(videos))
    )
    table = rows(videos, hashes)
    groups = splits.group(table)
    if len(set(groups.tolist())) < 3:
        with pytest.raises(MedDELError, match="can't fill 3 parts"):
            splits.split(table, seed)
        return
    parts = splits.split(table, seed)
    assert set(parts) == set(splits.PARTS)
    for names in (videos, hashes, groups.tolist()):
        assert all(len(found) == 1 for name, found in parts_of(parts, names).items() if name is not None)
    np.testing.assert_array_equal(parts, splits.split(table, seed))


def test_groups_join_through_duplicates():
    table = rows(["a", "a", "b", None, None, None], ["1", "2", "2", "3", "1", "4"])
    assert splits.group(table).tolist() == [0, 0, 0, 1, 0, 2]


@pytest.mark.parametrize("seed", range(3))
def test_images_without_video_split_to_the_image(seed):
    parts = splits.split(rows([None] * 1000), seed)
    assert [(parts == part).sum() for part in splits.PARTS] == [800, 100, 100]


def test_seeds_differ():
    table = rows([str(i // 10) for i in range(300)])
    assert len({tuple(splits.split(table, seed)) for seed in range(8)}) == 8


def test_videos_of_unequal_length_come_near_the_shares():
    lengths = np.random.default_rng(0).integers(5, 40, 29)
    videos = [str(i) for i, length in enumerate(lengths) for _ in range(length)]
    for seed in range(5):
        parts = splits.split(rows(videos), seed)
        assert abs((parts == "test").mean() - 0.1) < 0.03
        assert abs((parts == "val").mean() - 0.1) < 0.03


def test_an_official_split_is_followed():
    official = ["train"] * 4 + ["val"] * 2 + ["test"] * 3
    assert splits.split(rows([None] * 9, official=official), 0).tolist() == official


def test_a_part_that_the_official_split_lacks_comes_from_training():
    official = ["train"] * 90 + ["test"] * 30
    parts = splits.split(rows([None] * 120, official=official), 0)
    assert (parts[90:] == "test").all()
    assert not (parts[:90] == "test").any()
    assert (parts == "val").sum() == 10  # one in nine of the rest, as 0.1 to 0.8


def test_an_image_without_official_part_follows_its_video():
    table = rows(["a", "a", "b", "b", "c", "d", "e"], official=["test", None, "val", None, None, None, "train"])
    parts = splits.split(table, 0)
    assert parts.tolist() == ["test", "test", "val", "val", "train", "train", "train"]


def test_three_groups_fill_three_parts_however_unequal():
    for seed in range(10):
        parts = splits.split(rows(["a"] * 98 + ["b", "c"]), seed)
        assert set(parts) == set(splits.PARTS)


def test_a_share_of_0_leaves_a_part_empty():
    assert set(splits.split(rows(["a", "b"]), 0, train=0.5, val=0, test=0.5)) == {"train", "test"}
    assert set(splits.split(rows(["a", "b"]), 0, train=1, val=0, test=0)) == {"train"}


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)])
def test_shares_must_add_up_to_1(shares):
    with pytest.raises(MedDELError, match="don't add up to 1"):
        splits.split(rows([None] * 5), 0, *shares)


def test_only_one_set_is_split():
    one = rows([None] * 3)
    other = one.set_column(one.schema.get_field_index("source"), "source", pa.array(["other"] * 3))
    with pytest.raises(MedDELError, match="of one set, not of 2"):
        splits.split(pa.concat_tables([one, other]), 0)


def test_real_sequences_stay_together(realdata):
    names = [line.split(",") for line in (realdata / "cvc_clinicdb" / "sequences.csv").read_text().split()[1:]]
    videos = [sequence for _, sequence in names]
    parts = splits.split(rows(videos), 0)
    assert all(len(found) == 1 for found in parts_of(parts, videos).values())
    assert [round(float((parts == part).mean()), 1) for part in splits.PARTS] == [0.8, 0.1, 0.1]
