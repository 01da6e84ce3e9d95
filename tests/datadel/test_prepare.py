"""A set is prepared whole, once, whatever breaks in between; what can't be used is listed, and the rest goes on."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datadel import manifest, prepare
from datadel.unpack import unpack_set
from meddel.errors import MedDELError
from meddel.images import index
from tests.datadel.archives_by_hand import mask, pack, picture

FOLDERS = "Kvasir-SEG/images", "Kvasir-SEG/masks"


def unpacked_by_a_person(folder: Path, images: dict[str, bytes], masks: dict[str, bytes]) -> Path:
    for name, files in zip(FOLDERS, (images, masks), strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for key, content in files.items():
            (folder / name / f"{key}.jpg").write_bytes(content)
    return folder


def quarantined(out: Path) -> dict[str, str]:
    with (out / "quarantine.csv").open(newline="", encoding="utf-8") as stream:
        return {Path(row["path"]).name: row["problem"] for row in csv.DictReader(stream)}


def test_what_cannot_be_used_is_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    images = {name: picture(i) for i, name in enumerate("abcd")}
    masks = {name: mask(3, 9, "JPEG") for name in "abcd"} | {"b": mask(3, 9, "JPEG", (20, 16)), "c": b"no image"}
    images["d"] = images["d"][:200]
    source, out = unpacked_by_a_person(tmp_path / "source", images, masks), tmp_path / "kvasir-seg"
    table = prepare.prepare(manifest.load("kvasir-seg"), {None: source}, out)
    assert table["id"].to_pylist() == ["kvasir-seg/a"]
    problems = quarantined(out)
    assert "20 x 16 pixels, image of 40 x 32" in problems["b.jpg"]
    assert "can't be read" in problems["c.jpg"]
    assert "broken" in problems["d.jpg"] or "cut off" in problems["d.jpg"]


def test_a_folder_that_holds_nothing_of_the_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(MedDELError, match="nothing that the manifest of kvasir-seg describes"):
        prepare.prepare(manifest.load("kvasir-seg"), {None: tmp_path / "source"}, tmp_path / "out")
    assert not (tmp_path / "out" / "index.parquet").exists()


def test_a_folder_with_other_things_is_not_emptied(tmp_path: Path) -> None:
    source = unpacked_by_a_person(tmp_path / "source", {"a": picture(1)}, {"a": mask(1, 9, "JPEG")})
    (tmp_path / "out" / "images").mkdir(parents=True)
    (tmp_path / "out" / "images" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(MedDELError, match="holds something else"):
        prepare.prepare(manifest.load("kvasir-seg"), {None: source}, tmp_path / "out")
    assert (tmp_path / "out" / "images" / "mine.jpg").read_bytes() == b"mine"


def test_it_is_done_once_and_anew_when_the_source_has_changed(tmp_path: Path) -> None:
    images, masks = {"a": picture(1), "b": picture(2)}, {"a": mask(1, 9, "JPEG"), "b": mask(2, 9, "JPEG")}
    source, out = unpacked_by_a_person(tmp_path / "source", images, masks), tmp_path / "out"
    one = manifest.load("kvasir-seg")
    first = prepare.prepare(one, {None: source}, out)
    (out / "masks" / "a.png").unlink()
    assert prepare.prepare(one, {None: source}, out).equals(first)
    with pytest.raises(MedDELError, match=r"gone or has changed .*a\.png"):
        prepare.verify(out)
    (source / FOLDERS[0] / "b.jpg").unlink()
    (source / FOLDERS[1] / "b.jpg").unlink()
    (source / FOLDERS[1] / "a.jpg").write_bytes(mask(5, 9, "JPEG"))
    second = prepare.prepare(one, {None: source}, out)
    assert second["id"].to_pylist() == ["out/a"] and not (out / "images" / "b.jpg").exists()
    assert second["mask_sha256"][0] != first["mask_sha256"][0]
    assert prepare.verify(out) == 2


def test_no_image_takes_space_twice(tmp_path: Path) -> None:
    source = unpacked_by_a_person(tmp_path / "source", {"a": picture(1)}, {"a": mask(1, 9, "JPEG")})
    prepare.prepare(manifest.load("kvasir-seg"), {None: source}, tmp_path / "out")
    assert os.path.samefile(source / FOLDERS[0] / "a.jpg", tmp_path / "out" / "images" / "a.jpg")


def test_interrupted_it_completes_to_the_same_bytes(tmp_path: Path) -> None:
    images = {f"{i:04d}": picture(i) for i in range(600)}
    masks = {name: mask(i % 20, 30, "JPEG") for i, name in enumerate(images)}
    source = unpacked_by_a_person(tmp_path / "source", images, masks)
    code = (
        "import sys; from pathlib import Path; from datadel import manifest, prepare;"
        "prepare.prepare(manifest.load('kvasir-seg'), {None: Path(sys.argv[1])}, Path(sys.argv[2]))"
    )

    def start(out: Path) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", code, source, out], stderr=subprocess.DEVNULL)

    assert start(tmp_path / "whole" / "set").wait() == 0
    broken = tmp_path / "broken" / "set"
    process = start(broken)
    while not list(broken.glob("masks/*.png"))[5:]:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    assert not (broken / "index.parquet").exists()
    assert start(broken).wait() == 0

    def files(folder: Path) -> dict[str, bytes]:
        parts = [*folder.glob("images/*"), *folder.glob("masks/*"), folder / "frames.csv"]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in parts}

    assert files(broken) == files(tmp_path / "whole" / "set") and len(files(broken)) == 1201


def test_prepared_sets_are_a_folder_to_run_on(data_root: Path, tmp_path: Path) -> None:
    for name, key in (("kvasir-seg", "a"), ("kvasir-sessile", "b")):
        one = manifest.load(name)
        top = "Kvasir-SEG" if name == "kvasir-seg" else "sessile-main-Kvasir-SEG"
        tree = {f"{top}/images/{key}.jpg": picture(1), f"{top}/masks/{key}.jpg": mask(1, 9, "JPEG")}
        (tmp_path / name).mkdir()
        (tmp_path / name / one.archives[0].name).write_bytes(pack("x.zip", tree))
        prepare.prepare(one, unpack_set(one, tmp_path / name), tmp_path / "all" / name)
    table = index.build_index(tmp_path / "all")
    assert table["id"].to_pylist() == ["kvasir-seg/a", "kvasir-sessile/b"]


def test_nothing_fetched_says_how_to_fetch(data_root: Path) -> None:
    with pytest.raises(MedDELError, match="meddel fetch kvasir-seg, or give --source"):
        unpack_set(manifest.load("kvasir-seg"))
