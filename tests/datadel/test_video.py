"""Videos become frames at a chosen rate, several at a time, and nothing is done twice or left half-done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datadel.video import decode
from meddel.errors import MedDELError
from tests.datadel.archives_by_hand import film


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.iterdir())


@pytest.mark.parametrize(
    ("rate", "kept"),
    [(1, [0, 25]), (5, list(range(0, 50, 5))), (None, list(range(50))), (0.1, [0]), (100, list(range(50)))],
)
def test_frames_are_kept_at_the_rate(tmp_path: Path, rate: float | None, kept: list[int]) -> None:
    video = film(tmp_path / "video.avi")
    assert decode(video, tmp_path / "frames", rate) is None
    assert numbers(tmp_path / "frames") == kept


def test_a_frame_shows_what_was_film(tmp_path: Path) -> None:
    decode(film(tmp_path / "video.avi"), tmp_path / "frames", 1)
    for number, expected in ((0, 20), (25, 120)):
        with Image.open(tmp_path / "frames" / f"{number:07d}.jpg") as image:
            assert image.size == (64, 48)
            assert abs(np.asarray(image).mean() - expected) < 4


def test_a_finished_video_is_not_decoded_again_and_half_a_one_is(tmp_path: Path) -> None:
    video = film(tmp_path / "video.avi")
    half = tmp_path / ".frames.part"
    half.mkdir()
    (half / "9999999.jpg").write_bytes(b"left by an interruption")
    decode(video, tmp_path / "frames", 1)
    assert numbers(tmp_path / "frames") == [0, 25] and not half.exists()
    video.unlink()
    assert decode(video, tmp_path / "frames", 1) is None


def test_a_video_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    video = film(tmp_path / "video.avi", frames=200)
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    problem = decode(video, tmp_path / "frames", None)
    kept = numbers(tmp_path / "frames")
    assert kept == list(range(len(kept))) and 0 < len(kept) < 200
    assert problem is not None and f"breaks off after {len(kept)}" in problem


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    video = tmp_path / "video.avi"
    video.write_bytes(content)
    with pytest.raises(MedDELError, match=r"no frame of this video can be decoded .*video\.avi"):
        decode(video, tmp_path / "frames", 1)
    assert list(tmp_path.iterdir()) == [video]


def test_a_rate_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(MedDELError, match="rate of 0 frames"):
        decode(tmp_path / "video.avi", tmp_path / "frames", 0)
