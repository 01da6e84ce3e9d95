"""The generated endoscopy: determinism, exact masks, truth, resuming, and that colour alone finds no polyp."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from endosim import DATA_SETS, LABELLED, SOURCES, TRUTH_SCHEMA, compiled, generate, generation, render_frame
from endosim.generation import gather_truth
from endosim.instrument import NO_PARTS
from endosim.optics import frame_cover
from endosim.scene import build_scene
from endosim.shade import POLYP
from meddel.config import SyntheticConfig
from meddel.errors import MedDELError

CONFIG = SyntheticConfig(frames_per_source=60, images_per_set=40, size=64, video_length=30)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("synthetic"), CONFIG, 3)


@pytest.fixture(scope="module")
def truth(data: Path) -> list[dict]:
    table = pq.read_table(data / "truth.parquet")
    assert table.schema.equals(TRUTH_SCHEMA)
    return table.to_pylist()


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".json")
    }


def _image(folder: Path, row: dict) -> np.ndarray:
    stem = row["id"].split("/")[1]
    return np.asarray(Image.open(folder / row["source"] / "images" / f"{stem}.jpg")).astype(np.float64)


def test_a_frame_depends_on_its_arguments_only():
    wanted = [("sim_polyp_east", 1, 7), ("sim_colon_north", 0, 3), ("sim_instrument_lake", 2, 0)]
    first = [render_frame(5, *which, CONFIG) for which in wanted]
    second = [render_frame(5, *which, CONFIG) for which in reversed(wanted)][::-1]
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one.image, two.image)
        assert np.array_equal(one.polyp, two.polyp)
    assert not np.array_equal(first[0].image, render_frame(6, *wanted[0], CONFIG).image)


def test_equal_seeds_give_equal_bytes_whatever_the_order_of_sets(data: Path, tmp_path: Path):
    names = ["sim_polyp_hill", "sim_capsule_coast"]
    again = generate(tmp_path, CONFIG, 3, names=names)
    for name in names:
        assert _files(again / name) == _files(data / name)


def test_interrupted_generation_is_completed_and_finished_sets_are_left_alone(data: Path, tmp_path, monkeypatch):
    calls = []

    def stop_after_a_while(*arguments):
        calls.append(arguments)
        if len(calls) > 40:
            raise KeyboardInterrupt
        return render_frame(*arguments)

    names = ["sim_colon_south", "sim_polyp_east"]
    monkeypatch.setattr(generation, "render_frame", stop_after_a_while)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, CONFIG, 3, names=names)
    assert not (tmp_path / "truth.parquet").exists()
    calls.clear()
    monkeypatch.setattr(generation, "render_frame", lambda *args: calls.append(args) or render_frame(*args))
    generate(tmp_path, CONFIG, 3, names=names)
    assert len(calls) == CONFIG.frames_per_source + CONFIG.images_per_set - CONFIG.video_length
    calls.clear()
    generate(tmp_path, CONFIG, 3, names=names)
    assert calls == []
    for name in names:
        assert _files(tmp_path / name) == _files(data / name)


def test_another_seed_replaces_what_was_there(tmp_path: Path):
    small = SyntheticConfig(frames_per_source=4, images_per_set=4, size=32, video_length=4)
    generate(tmp_path, small.model_copy(update={"images_per_set": 8}), 1, names=["sim_polyp_east"])
    before = _files(tmp_path / "sim_polyp_east" / "images")
    generate(tmp_path, small, 2, names=["sim_polyp_east"])
    after = _files(tmp_path / "sim_polyp_east" / "images")
    assert len(after) == 4
    assert all(before[name] != content for name, content in after.items())


def test_sets_are_laid_out_like_a_users_folder(data: Path, truth: list[dict]):
    for data_set in DATA_SETS.values():
        folder = data / data_set.name
        images = sorted(path.stem for path in (folder / "images").glob("*.jpg"))
        wanted = CONFIG.frames_per_source if data_set in SOURCES else CONFIG.images_per_set
        assert len(images) == wanted
        assert (folder / "masks").exists() == (data_set in LABELLED)
        if data_set in LABELLED:
            assert sorted(path.stem for path in (folder / "masks").glob("*.png")) == images
        with (folder / "frames.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert sorted(row["name"] for row in rows) == images
        told = {row["id"].split("/")[1]: row for row in truth if row["source"] == data_set.name}
        assert all(told[row["name"]]["video"] == row["video"] for row in rows)
    assert len({row["id"] for row in truth}) == len(truth)


def test_labelled_sets_come_from_centres_that_no_source_has():
    sources = {data_set.centre.name for data_set in SOURCES}
    labelled = [data_set.centre.name for data_set in LABELLED]
    assert len(SOURCES) == 3
    assert len(set(labelled)) == len(labelled) >= 3
    assert sources.isdisjoint(labelled)
    assert "instrument" in {data_set.purpose for data_set in LABELLED}


def test_masks_are_binary_inside_the_picture_and_never_empty(data: Path, truth: list[dict]):
    for row in (row for row in truth if (data / row["source"] / "masks").exists()):
        stem = row["id"].split("/")[1]
        mask = np.asarray(Image.open(data / row["source"] / "masks" / f"{stem}.png"))
        cover = frame_cover(DATA_SETS[row["source"]].centre, mask.shape[0])
        assert mask.shape == _image(data, row).shape[:2]
        assert set(np.unique(mask)) == {0, 255}
        assert not mask[cover <= 0.5].any()
        share = (mask > 0).sum() / (cover > 0.5).sum()
        assert 0.004 < share < 0.45
        assert row["has_instrument" if "instrument" in row["source"] else "has_polyp"]


def test_masks_outline_what_the_picture_shows():
    """Where the polyp is left out of the same scene, the picture changes inside its mask and hardly outside."""
    for video in range(6):
        scene = build_scene(3, "sim_polyp_east", video, CONFIG)
        bare = dataclasses.replace(scene, polyps=())
        with_polyp, material = scene.look(15, 64, NO_PARTS)
        without, _ = bare.look(15, 64, NO_PARTS)
        changed = np.abs(with_polyp - without).sum(-1) > 0.02 * with_polyp.sum(-1)
        mask = material == POLYP
        if mask.sum() > 40:
            assert changed[mask].mean() > 0.8
            assert changed[~mask].mean() < 0.25


def test_a_tenth_to_a_third_of_a_sources_frames_are_disruptive(truth: list[dict]):
    kinds = set()
    for data_set in SOURCES:
        rows = [row for row in truth if row["source"] == data_set.name]
        spoilt = [row["disruption"] for row in rows if row["disruption"]]
        assert 0.10 <= len(spoilt) / len(rows) <= 0.30
        kinds |= set(spoilt)
    assert len(kinds) >= 4


def test_near_duplicates_are_nearer_than_other_frames_of_their_video(data: Path, truth: list[dict]):
    groups: dict[str, list[tuple[int, np.ndarray]]] = {}
    for row in truth:
        if not (data / row["source"] / "masks").exists() and row["disruption"] is None:
            picture = _image(data, row)
            groups.setdefault(row["video"], []).append((row["near_duplicate_group"], picture))
    for frames in groups.values():
        inside, across = [], []
        for i, (group, picture) in enumerate(frames):
            for other_group, other in frames[i + 1 :]:
                (inside if group == other_group else across).append(np.abs(picture - other).mean())
        assert len(inside) > 10
        assert len(across) > 10
        assert np.mean(inside) < 0.8 * np.mean(across)


def test_near_duplicate_groups_stay_inside_a_video_and_hold_no_disrupted_frame_beside_others(truth: list[dict]):
    members: dict[int, list[dict]] = {}
    for row in truth:
        members.setdefault(row["near_duplicate_group"], []).append(row)
    for rows in members.values():
        assert len({row["video"] for row in rows}) == 1
        assert len(rows) == 1 or all(row["disruption"] is None for row in rows)
    assert max(map(len, members.values())) >= 3


def test_no_threshold_on_a_colour_finds_the_polyps(data: Path, truth: list[dict]):
    pictures, masks = [], []
    for row in (row for row in truth if row["source"] == "sim_polyp_east"):
        pictures.append(_image(data, row))
        path = data / row["source"] / "masks" / f"{row['id'].split('/')[1]}.png"
        masks.append(np.asarray(Image.open(path)) > 0)
    colour, mask = np.stack(pictures), np.stack(masks)
    total = colour.sum(-1) + 1
    channels = [colour[..., c] for c in range(3)] + [255 * colour[..., c] / total for c in range(3)]
    best = 0.0
    for channel in channels:
        for threshold in np.linspace(channel.min(), channel.max(), 40)[1:-1]:
            for found in (channel > threshold, channel < threshold):
                best = max(best, (found & mask).sum() / (found | mask).sum())
    assert best < 0.35


def test_polyps_vary_in_size(data: Path):
    shares = [
        (np.asarray(Image.open(path)) > 0).mean()
        for name in ("sim_polyp_east", "sim_polyp_hill")
        for path in sorted((data / name / "masks").glob("*.png"))
    ]
    assert min(shares) < 0.03
    assert max(shares) > 0.10


@pytest.mark.parametrize(("name", "video", "frame"), [("sim_nowhere", 0, 0), ("sim_polyp_east", 0, 30)])
def test_unknown_sets_and_frames_are_refused(name: str, video: int, frame: int):
    with pytest.raises(MedDELError):
        render_frame(0, name, video, frame, CONFIG)


def test_truth_counts_groups_through_all_videos():
    row = {"id": "a/x", "source": "a", "centre": "c", "video": "v", "frame": 0, "near_duplicate_group": 0,
           "disruption": None, "has_polyp": False, "has_instrument": False}  # fmt: skip
    first = pa.Table.from_pylist([row, {**row, "id": "a/y", "near_duplicate_group": 1}], schema=TRUTH_SCHEMA)
    second = pa.Table.from_pylist([{**row, "id": "b/x"}], schema=TRUTH_SCHEMA)
    assert gather_truth([first, second])["near_duplicate_group"].to_pylist() == [0, 1, 2]


def test_the_compiled_functions_are_as_near_as_they_say() -> None:
    angles, exponents = np.linspace(-40, 40, 20_001), np.linspace(-8, 2, 20_001)
    sines = np.array([compiled.sine(angle) for angle in angles])
    powers = np.array([compiled.exponential(x) for x in exponents])
    assert np.abs(sines - np.sin(angles)).max() < 1.1e-3
    assert (np.abs(powers - np.exp(exponents)) < np.maximum(1e-3 * np.exp(exponents), 4e-6)).all()
