"""Every set's own rule, on a small archive in the structure of the official one."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from datadel import cache, manifest
from datadel.prepare import prepare
from datadel.unpack import unpack_set
from tests.datadel.archives_by_hand import SIZE, Tree, film, mask, pack, picture

POLYGON = b"""<?xml version="1.0"?><Annotations MicronsPerPixel="0.25"><Annotation Id="1"><Regions>
<Region Id="1"><Vertices>
<Vertex X="10" Y="-1" Z="0"/><Vertex X="19" Y="-1" Z="0"/><Vertex X="19" Y="32" Z="0"/><Vertex X="10" Y="32" Z="0"/>
</Vertices></Region></Regions></Annotation></Annotations>"""


def arrays(rows: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    rng, parts = np.random.default_rng(0), ("train", "val", "test")
    pictures = {
        f"{part}_images": rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for part, n in zip(parts, rows, strict=True)
    }
    np.savez(
        stream, **pictures, **{f"{part}_labels": np.ones((n, 1), np.uint8) for part, n in zip(parts, rows, strict=True)}
    )
    return stream.getvalue()


KVASIR, CENTRES = "Kvasir-SEG/", "PolypGen2021_MultiCenterData_v3/"
EDD, CLINIC, ETIS = "EDD2020_release-I_2020-01-15/", "CVC-ClinicDB/", "ETIS-LaribPolypDB/"
BUSI, NUCLEI = "Dataset_BUSI_with_GT/benign/", "MoNuSeg 2018 Training Data/"

# What the archives of a set hold, and what its index then says of each image but its size, path and hashes. A mask is
# told by the columns of its foreground.
LAYOUTS: dict[str, tuple[dict[str, Tree], dict[str, dict[str, Any]]]] = {
    "kvasir-seg": (
        {
            "kvasir-seg.zip": {
                f"{KVASIR}images/a.jpg": picture(1),
                f"{KVASIR}masks/a.jpg": mask(10, 20, "JPEG"),
                f"{KVASIR}kavsir_bboxes.json": b"{}",
            }
        },
        {"a": {"mask": (10, 20)}},
    ),
    "kvasir-instrument": (
        {
            "kvasir-instrument.zip": {
                "kvasir-instrument/images.tar.gz": {f"images/{name}.jpg": picture(i) for i, name in enumerate("abc")},
                "kvasir-instrument/masks.tar.gz": {f"masks/{name}.png": mask(i, 9) for i, name in enumerate("abc")},
                "kvasir-instrument/train.txt": b"a\nb\n",
                "kvasir-instrument/test.txt": b"c\n",
            }
        },
        {
            "a": {"mask": (0, 9), "split": "train"},
            "b": {"mask": (1, 9), "split": "train"},
            "c": {"mask": (2, 9), "split": "test"},
        },
    ),
    "kvasir-capsule": (
        {
            "kvasir-capsule-labeled-images.zip": {
                "labelled_images/erosion.tar.gz": {"erosion/bca26705313a4644_20404.jpg": picture(1)},
                "labelled_images/ulcer.tar.gz": {"ulcer/3c8d5f0b90d7475d_7.jpg": picture(2)},
            }
        },
        {
            "bca26705313a4644_20404": {"video": "bca26705313a4644", "frame": 20404},
            "3c8d5f0b90d7475d_7": {"video": "3c8d5f0b90d7475d", "frame": 7},
        },
    ),
    "gastrovision": (
        {"Gastrovision.zip": {"Gastrovision.zip": {"Gastrovision/Colon polyps/x.jpg": picture(1)}}},
        {"x": {}},
    ),
    "cvc-clinicdb": (
        {
            "CVC-ClinicDB.rar": {
                f"{CLINIC}Original/460.tif": picture(1, "TIFF"),
                f"{CLINIC}Ground Truth/460.tif": mask(3, 30, "TIFF"),
            }
        },
        {"460": {"mask": (3, 30), "frame": 460, "video": "22"}},
    ),
    "etis": (
        {
            "ETIS-LaribPolypDB.rar": {
                f"{ETIS}ETIS-LaribPolypDB/17.tif": picture(1, "TIFF"),
                f"{ETIS}Ground Truth/p17.tif": mask(3, 30, "TIFF"),
            }
        },
        {"17": {"mask": (3, 30)}},
    ),
    "edd2020": (
        {
            "EDD2020_release-I_2020-01-15_v2.zip": {
                f"{EDD}originalImages/EDD2020_ACB0001.jpg": picture(1),
                f"{EDD}masks/EDD2020_ACB0001_BE.tif": mask(5, 10, "TIFF"),
                f"{EDD}masks/EDD2020_ACB0001_suspicious.tif": mask(8, 15, "TIFF"),
            }
        },
        {"EDD2020_ACB0001": {"mask": (5, 15)}},
    ),
    "polypgen2021": (
        {
            "PolypGen2021_MultiCenterData_v3.zip": {
                f"{CENTRES}data_C3/images_C3/C3_EndoCV2021_00100.jpg": picture(1),
                f"{CENTRES}data_C3/masks_C3/C3_EndoCV2021_00100_mask.jpg": mask(4, 12, "JPEG"),
                f"{CENTRES}sequenceData/positive/seq1/images_seq1/seq1_C6_10.jpg": picture(2),
                f"{CENTRES}sequenceData/positive/seq1/masks_seq1/seq1_C6_10_mask.jpg": mask(0, 40, "JPEG"),
                f"{CENTRES}sequenceData/negativeOnly/seq4_neg/seq4_neg_1.jpg": picture(3),
            }
        },
        {
            "C3_EndoCV2021_00100": {"mask": (4, 12), "centre": "C3"},
            "seq1_C6_10": {"mask": (0, 40), "centre": "C6", "video": "seq1", "frame": 10},
            "seq4_neg_1": {"video": "seq4_neg"},
        },
    ),
    "pranet": (
        {
            "TestDataset.zip": {
                "TestDataset/CVC-300/images/149.png": picture(1, "PNG"),
                "TestDataset/CVC-300/masks/149.png": mask(1, 9),
                "TestDataset/CVC-ColonDB/images/149.png": picture(2, "PNG"),
                "TestDataset/CVC-ColonDB/masks/149.png": mask(2, 9),
            },
            "TrainDataset.zip": {"TrainDataset/image/1.png": picture(3, "PNG"), "TrainDataset/mask/1.png": mask(3, 9)},
        },
        {
            "TestDataset/CVC-300/149": {"mask": (1, 9), "split": "test"},
            "TestDataset/CVC-ColonDB/149": {"mask": (2, 9), "split": "test"},
            "TrainDataset/1": {"mask": (3, 9), "split": "train"},
        },
    ),
    "isic-2018": (
        {
            f"ISIC2018_{task}_{part}_{what}.zip": {
                f"ISIC2018_{task}_{part}_{what}/ISIC_000000{i}{end}": content(i)
            }
            for i, part in enumerate(("Training", "Validation", "Test"))
            for task, what, end, content in (
                ("Task1-2", "Input", ".jpg", picture),
                ("Task1", "GroundTruth", "_segmentation.png", lambda i: mask(i, 20)),
            )
        },
        {f"ISIC_000000{i}": {"mask": (i, 20), "split": split} for i, split in enumerate(("train", "val", "test"))},
    ),
    "busi": (
        {
            "Dataset_BUSI.zip": {
                f"{BUSI}benign (4).png": picture(1, "PNG"),
                f"{BUSI}benign (4)_mask.png": mask(1, 5),
                f"{BUSI}benign (4)_mask_1.png": mask(5, 9),
                "Dataset_BUSI_with_GT/normal/normal (4).png": picture(2, "PNG"),
                "Dataset_BUSI_with_GT/normal/normal (4)_mask.png": mask(0, 0),
            }
        },
        {"benign (4)": {"mask": (1, 9)}, "normal (4)": {"mask": (0, 0)}},
    ),
    "monuseg": (
        {
            "MoNuSeg_2018_Training_Data.zip": {
                f"{NUCLEI}Tissue Images/TCGA-38.tif": picture(1, "TIFF"),
                f"{NUCLEI}Annotations/TCGA-38.xml": POLYGON,
            }
        },
        {"TCGA-38": {"mask": (10, 20), "split": "train"}},
    ),
    "medmnist-v2": (
        {},
        {
            f"pneumoniamnist/{split}_{i:06d}": {"split": split}
            for split, n in (("train", 3), ("val", 1), ("test", 2))
            for i in range(n)
        },
    ),
}  # fmt: skip


@pytest.fixture
def put(data_root: Path) -> Callable[[str, str, bytes], None]:
    """Put an archive where `fetch` would have put it."""

    cache.claim()

    def write(name: str, archive: str, content: bytes) -> None:
        path = cache.archives(name) / archive
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return write


def told(table: pa.Table) -> dict[str, dict[str, Any]]:
    """What an index says of each image; a mask as the columns of its foreground."""
    rows = {}
    for row in table.to_pylist():
        known = {name: row[name] for name in ("centre", "video", "frame", "split") if row[name] is not None}
        if row["mask"]:
            with Image.open(row["mask"]) as drawn:
                foreground = np.asarray(drawn)
            assert set(np.unique(foreground)) <= {0, 255} and foreground.shape == (row["height"], row["width"])
            columns = np.flatnonzero((foreground > 0).all(axis=0))
            assert np.array_equal(columns, np.flatnonzero((foreground > 0).any(axis=0)))
            known["mask"] = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 0)
        rows[row["id"].partition("/")[2]] = known
    return rows


@pytest.mark.parametrize("name", LAYOUTS)
def test_images_and_masks_are_paired_by_the_set_s_own_rule(
    name: str, put: Callable[[str, str, bytes], None], tmp_path: Path
) -> None:
    one, (archives, expected) = manifest.load(name), LAYOUTS[name]
    for archive, tree in archives.items():
        assert archive in {known.name for known in one.archives}
        put(name, archive, pack(archive, tree))
    if name == "medmnist-v2":
        put(name, "pneumoniamnist.npz", arrays((3, 1, 2)))
    table = prepare(one, unpack_set(one), tmp_path / "made" / name)
    assert told(table) == expected
    assert set(table["source"].to_pylist()) == {name}
    assert name == "medmnist-v2" or set(zip(table["width"].to_pylist(), table["height"].to_pylist(), strict=True)) == {
        SIZE
    }


def test_videos_become_frames_that_know_their_video(put: Callable[[str, str, bytes], None], tmp_path: Path) -> None:
    one, films = manifest.load("hyper-kvasir"), "labeled-videos/lower-gi-tract/pathological-findings/polyps/"
    tree = {f"{films}{name}.avi": film(tmp_path / f"{name}.avi", frames=50).read_bytes() for name in ("v1", "v2")}
    tree[f"{films}v3.avi"] = b"no video"
    put("hyper-kvasir", "hyper-kvasir-videos.zip", pack("x.zip", tree))
    out = tmp_path / "made" / "hyper-kvasir"
    table = prepare(one, unpack_set(one), out, rate=5)
    expected = {
        f"{video}/{frame:07d}": {"video": video, "frame": frame} for video in ("v1", "v2") for frame in range(0, 50, 5)
    }
    assert told(table) == expected
    assert "v3.avi" in (out / "quarantine.csv").read_text(encoding="utf-8")


def test_the_sequences_of_clinicdb_are_those_of_the_real_images(realdata: Path) -> None:
    with (realdata / "cvc_clinicdb" / "sequences.csv").open(newline="", encoding="utf-8") as stream:
        expected = {int(Path(row["name"]).stem): row["sequence"] for row in csv.DictReader(stream)}
    ranges = manifest.load("cvc-clinicdb").jsonld["del:sequences"].items()
    assert {frame: name for name, (first, last) in ranges for frame in range(first, last + 1)} == expected


def test_every_set_with_a_known_structure_is_tried_here() -> None:
    ruled = {name for name in manifest.names() if manifest.load(name).jsonld.get("recordSet")}
    alike = {
        "kvasir-sessile": "kvasir-seg", "cvc-colondb": "etis", "sun-seg": "polypgen2021", "galar": "kvasir-capsule",
        "ldpolypvideo": "cvc-clinicdb", "real-colon": "kvasir-capsule", "medvqa-gi-2023": "isic-2018",
        "hyper-kvasir": "kvasir-seg",
    }  # fmt: skip
    assert ruled - set(alike) == set(LAYOUTS)
    assert set(alike.values()) <= set(LAYOUTS)
