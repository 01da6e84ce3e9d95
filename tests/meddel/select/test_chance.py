"""Selectors that look at videos and time instead of embeddings."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from meddel import select


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def footage(*lengths: int, stills: int = 0, source: str = "s") -> pa.Table:
    """Videos of these lengths, whose ids run against time, and images without a video."""
    rows = [
        {"id": f"{source}/{video}/{length - frame:03d}", "source": source, "video": f"v{video}", "frame": frame}
        for video, length in enumerate(lengths)
        for frame in range(length)
    ]
    still = {"source": source, "video": None, "frame": None}
    rows += [{"id": f"{source}/still/{row:03d}", **still} for row in range(stills)]
    return pa.Table.from_pylist(rows)


def kept(name: str, index: pa.Table, budget: int, seed: int = 0) -> list[dict]:
    table = select.get(name)(np.ones((index.num_rows, 2)), index, budget, rng(seed))
    return index.filter(table["kept"]).to_pylist()


def test_each_video_gives_as_many_as_it_has_up_to_the_same_number() -> None:
    index = footage(10, 3, 1)
    for seed in range(20):
        for budget, possible in {
            2: [(0, 1, 1)], 3: [(1, 1, 1)], 5: [(1, 2, 2)], 6: [(1, 2, 3)], 7: [(1, 3, 3)], 11: [(1, 3, 7)],
        }.items():  # fmt: skip
            count = Counter(row["video"] for row in kept("random-per-video", index, budget, seed))
            assert tuple(sorted(count[f"v{video}"] for video in range(3))) in possible
            assert count["v0"] >= 7 or budget < 11


def test_the_first_of_a_long_video_is_drawn_no_sooner_than_that_of_a_short_one() -> None:
    first = Counter(kept("random-per-video", footage(30, 3, 1), 1, seed)[0]["video"] for seed in range(900))
    assert all(abs(count / 900 - 1 / 3) < 0.07 for count in first.values()) and len(first) == 3


def test_within_a_video_every_image_is_as_likely() -> None:
    index = footage(5, 5)
    count = Counter(row["id"] for seed in range(1000) for row in kept("random-per-video", index, 4, seed))
    assert all(abs(times / 1000 - 0.4) < 0.07 for times in count.values()) and len(count) == 10


def test_videos_of_one_name_in_two_sources_are_two() -> None:
    index = pa.concat_tables([footage(9, source="a"), footage(1, source="b")])
    for seed in range(10):
        assert {row["source"] for row in kept("random-per-video", index, 2, seed)} == {"a", "b"}


def test_images_without_a_video_are_videos_by_themselves() -> None:
    index = footage(6, stills=3)
    for seed in range(10):
        rows = kept("random-per-video", index, 4, seed)
        assert sum(row["video"] is None for row in rows) == 3
    bare = index.select(["id"])
    count = Counter(row["id"] for seed in range(1000) for row in kept("random-per-video", bare, 3, seed))
    assert all(abs(times / 1000 - 1 / 3) < 0.07 for times in count.values()) and len(count) == 9


@pytest.mark.parametrize("seed", range(5))
def test_of_a_power_of_two_each_stretch_gives_one_frame(seed: int) -> None:
    index = footage(64)
    for budget in (1, 2, 4, 8, 16, 32):
        frames = sorted(row["frame"] for row in kept("uniform-in-time", index, budget, seed))
        assert [frame * budget // 64 for frame in frames] == list(range(budget))


def test_videos_share_by_their_length() -> None:
    index = footage(24, 8)
    for seed in range(5):
        for budget in (4, 8, 16):
            count = Counter(row["video"] for row in kept("uniform-in-time", index, budget, seed))
            assert count == {"v0": 3 * budget // 4, "v1": budget // 4}


@pytest.mark.parametrize("n", [3, 37, 100, 129])
def test_any_stretch_holds_about_its_share_at_any_budget(n: int) -> None:
    index = footage(n)
    table = select.get("uniform-in-time")(np.ones((n, 2)), index, 1, rng(n))
    by_rank = np.array(index["frame"])[np.argsort(table["rank"])]
    for budget in range(1, n + 1):
        inside = np.isin(np.arange(n), by_rank[:budget])
        before = np.concatenate([[0], np.cumsum(inside)]) - np.arange(n + 1) * budget / n
        assert before.max() - before.min() <= np.log2(n) + 1


def test_frames_decide_and_not_ids_and_what_has_no_number_comes_last() -> None:
    index = footage(4, stills=4)
    frames = pa.array([0, None, 2, 3, *[None] * 4], pa.int32())
    index = index.set_column(index.column_names.index("frame"), "frame", frames)
    line = [0, 2, 3, 1, 4, 5, 6, 7]  # of the rows: by frame, then that without a number, then the stills by id
    for seed in range(8):
        table = select.get("uniform-in-time")(np.ones((8, 2)), index, 4, rng(seed))
        pairs = np.array(table["kept"])[line].reshape(4, 2)
        assert (pairs.sum(axis=1) == 1).all()
