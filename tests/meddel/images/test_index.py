"""Folders of images become the index; bad files go to the quarantine and the run goes on."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddel.errors import MedDELError
from meddel.images import index


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (24, 16), **settings) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **settings)
    return path


def mask(path: Path, size: tuple[int, int] = (24, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 255).save(path)
    return path


@pytest.fixture
def sets(tmp_path) -> Path:
    """A folder of two sets: `polyps` with masks and `frames` without."""
    root = tmp_path / "sets"
    for i in range(3):
        picture(root / "polyps" / "images" / f"p{i}.jpg", i)
        mask(root / "polyps" / "masks" / f"p{i}.png")
        picture(root / "frames" / f"f{i}.png", 10 + i)
    return root


def quarantined(path: Path) -> dict[str, tuple[str, str]]:
    with path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    return {Path(line["path"]).name: (line["problem"], line["what to do"]) for line in lines}


def test_a_folder_of_sets(sets):
    table = index.build_index(sets)
    assert table.schema == index.INDEX_SCHEMA
    assert table["id"].to_pylist() == [f"frames/f{i}" for i in range(3)] + [f"polyps/p{i}" for i in range(3)]
    row = table.to_pylist()[3]
    assert (row["source"], row["width"], row["height"]) == ("polyps", 24, 16)
    assert Path(row["path"]) == sets / "polyps" / "images" / "p0.jpg"
    assert Path(row["mask"]) == sets / "polyps" / "masks" / "p0.png"
    assert table["mask"].null_count == 3
    assert index.roles(table) == (["frames"], ["polyps"])


@pytest.mark.parametrize("name", ["frames", "polyps"])
def test_a_set_alone_gives_the_same_rows_as_among_others(sets, name):
    alone = index.build_index(sets / name).to_pylist()
    assert alone == [row for row in index.build_index(sets).to_pylist() if row["source"] == name]


def test_any_tree_has_its_top_folders_as_sources(tmp_path):
    for place in ("a/x/1.png", "a/y/1.png", "b/deep/er/2.TIF", "b/.hidden/3.png"):
        picture(tmp_path / place)
    table = index.build_index(tmp_path)
    assert table["id"].to_pylist() == ["a/x/1", "a/y/1", "b/deep/er/2"]
    assert table["source"].to_pylist() == ["a", "a", "b"]


def test_csv_files_add_what_they_know(sets):
    (sets / "frames" / "frames.csv").write_text(
        "name,centre,video,frame,split\nf0,North,v1,7,train\nf1.png,North,v1,8,test\ngone,x,y,1,val\n"
    )
    (sets / "polyps" / "sequences.csv").write_text("name,sequence\np0,4\np1,4\n")
    (sets / "polyps" / "labels.csv").write_text("name,split,lesion\np0,Train,1\np1,validation,0\n")
    columns = ["centre", "video", "frame", "split"]
    rows = index.build_index(sets).select(columns).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("North", "v1", 7, "train"),
        ("North", "v1", 8, "test"),
        (None,) * 4,
        (None, "4", None, "train"),
        (None, "4", None, "val"),
        (None,) * 4,
    ]


def test_bad_lines_and_bad_csv_files_are_listed_and_the_rest_counts(sets, tmp_path):
    (sets / "frames" / "frames.csv").write_text("name,video,frame,split\nf0,v1,seven,later\nf1,v2,3,val\n")
    (sets / "polyps" / "labels.csv").write_text("image,split\np0,train\n")
    table = index.build_index(sets, quarantine=tmp_path / "q.csv")
    assert table["video"].to_pylist()[:2] == ["v1", "v2"]
    assert table["frame"].to_pylist()[:2] == [None, 3]
    problems = (tmp_path / "q.csv").read_text()
    assert "line 2: frame is 'seven'" in problems
    assert "line 2: split is 'later'" in problems
    assert "no column 'name'" in problems


def text_as_image(sets: Path) -> Path:
    path = sets / "frames" / "notes.jpg"
    path.write_text("no image")
    return path


def empty_file(sets: Path) -> Path:
    path = sets / "frames" / "nothing.png"
    path.touch()
    return path


def cut_off_jpeg(sets: Path) -> Path:
    path = picture(sets / "frames" / "cut.jpg", size=(64, 64))
    path.write_bytes(path.read_bytes()[:-400])
    return path


def mask_without_image(sets: Path) -> Path:
    return mask(sets / "polyps" / "masks" / "lonely.png")


def mask_of_another_size(sets: Path) -> Path:
    picture(sets / "polyps" / "images" / "q.jpg", 8)
    return mask(sets / "polyps" / "masks" / "q.png", size=(16, 24))


def broken_mask(sets: Path) -> Path:
    picture(sets / "polyps" / "images" / "r.jpg", 9)
    path = sets / "polyps" / "masks" / "r.png"
    path.write_text("no mask")
    return path


def same_name(sets: Path) -> Path:
    return picture(sets / "frames" / "f1.webp", 99)


def unknown_kind(sets: Path) -> Path:
    path = sets / "polyps" / "images" / "scan.dcm"
    path.write_bytes(b"DICM")
    return path


def beside_the_sets(sets: Path) -> Path:
    return picture(sets / "overview.png")


def folder_without_images(sets: Path) -> Path:
    (sets / "volumes").mkdir()
    (sets / "volumes" / "scan.npz").write_bytes(b"PK")
    return sets / "volumes"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (text_as_image, "no image"),
        (empty_file, "the file is empty"),
        (cut_off_jpeg, "cut off or broken"),
        (mask_without_image, "a mask without its image"),
        (mask_of_another_size, "mask of 16 x 24 pixels, image of 24 x 16"),
        (broken_mask, "no image"),
        (same_name, "a second image of the name of f1.png"),
        (unknown_kind, "no image, or of an unknown kind"),
        (beside_the_sets, "an image beside the sets' folders"),
        (folder_without_images, "no images in this folder"),
    ],
)
def test_what_is_bad_is_quarantined_and_the_rest_goes_on(sets, tmp_path, caplog, spoil, problem):
    good = index.build_index(sets)
    bad = spoil(sets)
    table = index.build_index(sets, quarantine=tmp_path / "out" / "quarantine.csv")
    assert table.equals(good)
    listed = quarantined(tmp_path / "out" / "quarantine.csv")
    assert list(listed) == [bad.name]
    assert problem in listed[bad.name][0]
    assert listed[bad.name][1]
    assert "1 of 7 files can't be used" in caplog.text


def test_a_clean_folder_empties_an_old_quarantine(sets, tmp_path):
    (tmp_path / "q.csv").write_text("path,problem,what to do\nold,old,old\n")
    index.build_index(sets, quarantine=tmp_path / "q.csv")
    assert quarantined(tmp_path / "q.csv") == {}


def test_a_mask_must_have_the_size_of_the_upright_image(sets):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(sets / "polyps" / "images" / "turned.jpg", exif=exif)
    mask(sets / "polyps" / "masks" / "turned.png", size=(16, 24))
    row = index.build_index(sets).to_pylist()[-1]
    assert (row["id"], row["width"], row["height"]) == ("polyps/turned", 16, 24)


def test_nothing_to_index_is_one_clear_line(tmp_path):
    with pytest.raises(MedDELError, match="no such folder"):
        index.build_index(tmp_path / "missing")
    with pytest.raises(MedDELError, match="no images in this folder"):
        index.build_index(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.jpg").write_text("broken")
    with pytest.raises(MedDELError, match="none of 1 files can be used; no image"):
        index.build_index(tmp_path, quarantine=tmp_path / "q.csv")
    assert list(quarantined(tmp_path / "q.csv")) == ["broken.jpg"]


def test_an_output_folder_that_cannot_be_written_is_one_clear_line(sets, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MedDELError, match="can't write"):
        index.build_index(sets, quarantine=tmp_path / "file" / "quarantine.csv")


def test_the_table_survives_the_disk(sets, tmp_path):
    table = index.build_index(sets)
    index.write_index(tmp_path / "index.parquet", table)
    assert index.read_index(tmp_path / "index.parquet").equals(table)
    for content in (b"", b"no parquet"):
        (tmp_path / "index.parquet").write_bytes(content)
        with pytest.raises(MedDELError, match="no readable index"):
            index.read_index(tmp_path / "index.parquet")
    with pytest.raises(MedDELError, match="no readable index"):
        index.read_index(tmp_path / "missing.parquet")


def test_the_hash_follows_content_and_not_place(sets, tmp_path):
    before = index.data_hash(index.build_index(sets))
    shutil.copytree(sets, tmp_path / "elsewhere")
    assert index.data_hash(index.build_index(tmp_path / "elsewhere")) == before
    changed = {before}
    for change in (
        lambda: Image.new("L", (24, 16), 0).save(sets / "polyps" / "masks" / "p0.png"),
        lambda: picture(sets / "frames" / "f0.png", 77),
        lambda: (sets / "frames" / "f1.png").unlink(),
    ):
        change()
        changed.add(index.data_hash(index.build_index(sets)))
    assert len(changed) == 4


def rows_of(*sources: tuple[str, bool]) -> list[dict]:
    facts = {"path": "/x", "width": 1, "height": 1, "sha256": "0"}
    return [{**facts, "id": f"{name}/1", "source": name, "mask": "/m" if masked else None} for name, masked in sources]


@pytest.mark.parametrize(
    ("sources", "pretraining", "downstream"),
    [
        ([("mine", False), ("yours", True)], ["mine"], ["yours"]),
        ([("isic2017", True), ("busi", False)], ["busi"], ["isic2017"]),
        (
            [("isic2017", True), ("busi", False), ("kvasir_seg", True), ("wce_bleedgen", False), ("mine", False)],
            ["mine", "wce_bleedgen"],
            ["kvasir_seg"],
        ),
        ([("kvasir_seg", False)], ["kvasir_seg"], []),
        ([("kvasir_seg", True), ("kvasir_sessile", True)], [], ["kvasir_seg"]),
        (
            [("hyper-kvasir", True), ("etis", True), ("galar", False), ("sun-seg", True), ("monuseg", True)],
            ["galar", "hyper-kvasir"],
            ["etis", "sun-seg"],
        ),
        ([("kvasir-seg", True), ("kvasir-sessile", True)], [], ["kvasir-seg"]),
    ],
    ids=["unknown", "known", "one modality of several", "masks are missing", "counted twice", "DataDEL", "twice there"],
)
def test_roles(sources, pretraining, downstream):
    assert index.roles(index.from_rows(rows_of(*sources))) == (pretraining, downstream)


def test_an_id_occurs_once():
    with pytest.raises(MedDELError, match="'a/1' occurs twice"):
        index.from_rows(rows_of(("a", False), ("a", False)))


def test_real_sequences_become_videos(realdata):
    table = index.build_index(realdata / "cvc_clinicdb")
    assert table.num_rows == 612
    assert table["mask"].null_count == 0
    assert len(table["video"].unique()) == 29
    assert index.roles(table) == ([], ["cvc_clinicdb"])
