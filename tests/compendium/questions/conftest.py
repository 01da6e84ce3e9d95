"""A folder of small labelled sets of several modalities, and a tiny run on it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddel.config import Profile, Run, validated

SIDE = 16
PROFILE = {
    "name": "smoke",
    "ratios": (0.5,),
    "seeds": 1,
    "encoder": {"image_size": 32, "patch_size": 8, "width": 24, "depth": 1, "heads": 2},
    "pretrain": {
        "method": "mae", "images_seen": 64, "batch": 16, "lr": 1e-3, "decoder_width": 16, "decoder_depth": 1,
    },
    "segment": {"heads": ("probe",), "labels": 8, "epochs": 1, "batch": 8, "hidden": 16, "probe_epochs": 2},
    "synthetic": {"frames_per_source": 12, "images_per_set": 12, "size": 32, "video_length": 4},
}  # fmt: skip


def draw(
    folder: Path, classes: tuple[str, ...], each: int, seed: int, column: str = "class", split: bool = False
) -> None:
    """Write noise whose brightness tells the class, and labels.csv."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    lines = []
    for number in range(each * len(classes)):
        label = number % len(classes)
        image = np.clip(rng.normal(60 + 60 * label, 30, (24, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{number:03d}.png")
        lines.append((f"{number:03d}", classes[label], ("test" if number % 4 < 2 else "train") if split else ""))
    with (folder / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("name", column, "split"), *lines])


@pytest.fixture(scope="session")
def modalities_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ultrasound, endoscopy and natural images with labels, X-rays in an archive, skin with masks, and frames alone."""
    folder = tmp_path_factory.mktemp("modalities")
    draw(folder / "busi", ("benign", "malignant", "normal"), 12, seed=1)
    draw(folder / "wce_bleedgen", ("0", "1"), 20, seed=2, column="bleeding")
    draw(folder / "cifar10_subset", ("cat", "dog"), 20, seed=3, split=True)
    draw(folder / "isic2017", ("0", "1"), 20, seed=4, column="melanoma")
    (folder / "isic2017" / "masks").mkdir()
    for path in sorted((folder / "isic2017" / "images").iterdir()):
        mask = np.zeros((24, 24), np.uint8)
        mask[4 : 8 + int(path.stem) % 8, 4:16] = 255
        Image.fromarray(mask).save(folder / "isic2017" / "masks" / path.name)
    draw(folder / "frames", ("a", "b"), 6, seed=5)
    (folder / "frames" / "labels.csv").unlink()
    rng = np.random.default_rng(6)
    arrays = {}
    for split, count in (("train", 24), ("val", 6), ("test", 12)):
        labels = np.arange(count, dtype=np.uint8)[:, None] % 2
        arrays[f"{split}_images"] = np.clip(rng.normal(80 + 80 * labels[..., None], 20, (count, 10, 10)), 0, 255)
        arrays[f"{split}_images"] = arrays[f"{split}_images"].astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    (folder / "pneumoniamnist").mkdir()
    np.savez(folder / "pneumoniamnist" / "xrays.npz", **arrays)
    return folder


@pytest.fixture
def tiny(modalities_folder: Path, tmp_path: Path) -> Run:
    """A run on that folder."""
    return Run(profile=validated(Profile, PROFILE), data=modalities_folder, out=tmp_path / "out")
