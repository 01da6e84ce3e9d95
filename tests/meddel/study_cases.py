"""A study small enough for a test: two sets of discs on noise, a source beside them, and an encoder of one block."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from meddel.config import Profile, Run, validated

PROFILE = {
    "name": "smoke",
    "ratios": (0.1, 0.5),
    "seeds": 2,
    "compute_shares": (0.5, 1.0),
    "encoder": {"image_size": 32, "patch_size": 8, "width": 32, "depth": 1, "heads": 2},
    "pretrain": {"method": "simclr", "images_seen": 96, "batch": 16, "lr": 1e-3},
    "segment": {"heads": ("probe",), "labels": 8, "epochs": 1, "batch": 8, "hidden": 16, "probe_epochs": 3},
}


def draw(folder: Path, count: int, seed: int, masked: int) -> None:
    """Pictures of a bright disc on noise, the first `masked` of them with its mask."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:32, :32]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        disc = np.hypot(row - rng.integers(8, 24), column - rng.integers(8, 24)) < rng.integers(4, 9)
        image = np.clip(rng.normal(90 + 90 * disc[..., None], 25, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{number:02d}.png")
        if number < masked:
            Image.fromarray(255 * disc.astype(np.uint8)).save(folder / "masks" / f"{number:02d}.png")


def draw_data(folder: Path) -> Path:
    """A source, whose last ten images are copies of a set's first ones; and two sets, one with images without mask."""
    draw(folder / "frames", 20, seed=1, masked=0)
    draw(folder / "polyps", 34, seed=2, masked=30)
    draw(folder / "tools", 20, seed=3, masked=20)
    for number in range(10):
        shutil.copy(folder / "polyps" / "images" / f"{number:02d}.png", folder / "frames" / "images" / f"c{number}.png")
    return folder


def run_of(data: Path, out: Path, **changes: object) -> Run:
    """The run on the data, with other settings where they are given."""
    return Run(profile=validated(Profile, PROFILE | changes), data=data, out=out)
