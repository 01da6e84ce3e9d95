"""The test images of a study: the same sums as the scores, and videos and copies in one group."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddel import evidence, study
from meddel.config import Profile, Run, validated
from meddel.errors import MedDELError
from meddel.study.results import COLUMNS, image_counts

PROFILE = {
    "name": "smoke",
    "ratios": (0.5,),
    "seeds": 1,
    "encoder": {"image_size": 32, "patch_size": 8, "width": 24, "depth": 1, "heads": 2},
    "pretrain": {"method": "simclr", "images_seen": 32, "batch": 16, "lr": 1e-3},
    "segment": {"heads": ("probe",), "labels": 8, "shares": (0.4, 0.2, 0.4), "epochs": 1, "probe_epochs": 2},
}


def draw(folder: Path, count: int, seed: int, masked: bool) -> None:
    """Pictures of a bright disc on noise, named by their number."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:32, :32]
    for name in ("images", "masks") if masked else ("images",):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        disc = np.hypot(row - rng.integers(8, 24), column - rng.integers(8, 24)) < rng.integers(4, 9)
        image = np.clip(rng.normal(90 + 90 * disc[..., None], 25, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{number:02d}.png")
        if masked:
            Image.fromarray(255 * disc.astype(np.uint8)).save(folder / "masks" / f"{number:02d}.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on a source and two sets: one of videos of four frames, one of single images, two of them equal."""
    data = tmp_path_factory.mktemp("data")
    draw(data / "frames", 16, seed=1, masked=False)
    draw(data / "polyps", 24, seed=2, masked=True)
    draw(data / "tools", 20, seed=3, masked=True)
    lines = [f"{number:02d},v{number // 4}" for number in range(24)]
    (data / "polyps" / "sequences.csv").write_text("\n".join(["name,sequence", *lines]))
    for kind in ("images", "masks"):
        shutil.copy(data / "tools" / kind / "00.png", data / "tools" / kind / "01.png")
    return Run(profile=validated(Profile, PROFILE), data=data, out=tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def grid(run: Run) -> list[study.Cell]:
    """Two computed cells."""
    cells = [cell for cell in study.cells(run) if cell.selector in ("none", "random")]
    study.run_study(run, cells)
    return cells


def test_the_sums_over_the_images_are_the_scores(run: Run, grid: list[study.Cell]) -> None:
    counts = image_counts(run, grid)
    assert list(counts.columns) == COLUMNS
    assert counts.notna().all().all()
    sums = counts.groupby([*evidence.ARM, "seed"])[["intersection", "union"]].sum()
    final = evidence.final_scores(study.run_study(run, grid)).set_index([*evidence.ARM, "seed"])
    assert len(sums) == len(final) == 4
    assert (sums.intersection / sums["union"]).to_dict() == pytest.approx(final.foreground_iou.to_dict(), abs=1e-6)
    intervals = evidence.hierarchical_intervals(counts, "none", over=("image",), resamples=50)
    assert set(intervals["set"]) == {"polyps", "tools", evidence.MEAN_SET}


def test_a_video_is_one_group_and_so_are_copies(run: Run, grid: list[study.Cell]) -> None:
    parts = [image_counts(run, grid, split=split) for split in ("test", "val")]
    polyps = pd.concat(parts).query("set == 'polyps'").drop_duplicates("id")
    video = polyps.id.str[-2:].astype(int) // 4
    assert polyps.groupby(video).group.nunique().max() == 1
    assert polyps.group.nunique() == video.nunique() >= 2
    tools = pd.concat(parts).query("set == 'tools'").drop_duplicates("id")
    copies = tools.id.isin(["tools/00", "tools/01"])
    assert tools[~copies].group.is_unique
    assert tools[copies].group.nunique() <= 1


def test_tested_elsewhere_the_groups_are_those_of_the_tested_set(run: Run, grid: list[study.Cell]) -> None:
    across = image_counts(run, grid, transfer=True)
    assert set(across["set"]) == {"polyps>tools", "tools>polyps"}
    for name, part in across.groupby("set"):
        tested = str(name).split(">")[1]
        assert part.id.str.startswith(f"{tested}/").all()
        assert part.group.str.startswith(f"{tested}/").all()


def test_a_cell_that_was_not_computed_is_one_clear_line(run: Run, grid: list[study.Cell]) -> None:
    missing = [cell for cell in study.cells(run) if cell.selector == "meddel"]
    with pytest.raises(MedDELError, match=r"no counts of test images yet .*meddel-0.5.*run the study first"):
        image_counts(run, missing)
    assert image_counts(run, []).empty


def test_counts_that_cannot_be_read_are_named(run: Run, grid: list[study.Cell]) -> None:
    path = study.folder(run, grid[0]) / "polyps-probe" / "images.parquet"
    content = path.read_bytes()
    path.write_bytes(b"no parquet")
    with pytest.raises(MedDELError, match="can't be read"):
        image_counts(run, grid)
    path.write_bytes(content)
