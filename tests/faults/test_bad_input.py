"""Bad input through the command line: one clear line, exit code 1, nothing lost and nothing half-written."""

from __future__ import annotations

import csv
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from meddel import artefacts
from meddel.store import Store
from tests.full_disk import files_up_to

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
ON_ANOTHER_DISK = """
import contextlib, io, json, sys
from compendium import cli

results = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["meddel", *arguments]
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            cli.main()
        except SystemExit as ended:
            results.append([ended.code or 0, said.getvalue()])
print(json.dumps(results), file=sys.__stdout__)
"""


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, and its content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def refused(done: tuple[int, str, str], *said: str) -> None:
    """Check that a command ended with exit code 1 and one line that holds all of `said`."""
    code, out, err = done
    assert (code, out) == (1, "")
    assert err.startswith("meddel: ") and err.endswith("\n") and err.count("\n") == 1, err
    assert [text for text in said if text not in err] == []


def quarantined(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as stream:
        return {Path(row["path"]).name: row["problem"] for row in csv.DictReader(stream)}


@pytest.fixture
def store(meddel: Callable, photos: Path, weights: Path, tmp_path: Path) -> Path:
    """A store of the twelve pictures."""
    assert meddel("embed", photos, "--out", tmp_path / "store", "--weights", weights).code == 0
    return tmp_path / "store"


@pytest.fixture
def sets(photos: Path, tmp_path: Path) -> Path:
    """A folder of sets: one to pre-train on, one with masks."""
    root = tmp_path / "sets"
    shutil.copytree(photos, root / "frames")
    shutil.copytree(photos, root / "polyps" / "images")
    (root / "polyps" / "masks").mkdir()
    for path in photos.iterdir():
        mask = np.zeros((40, 48), np.uint8)
        mask[10:30, 10:30] = 255
        Image.fromarray(mask).save(root / "polyps" / "masks" / path.name)
    return root


@pytest.mark.parametrize("command", ["embed", "run"])
def test_an_empty_folder(meddel: Callable, weights: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()
    given = ["embed", tmp_path / "empty", "--weights", weights]
    arguments = given if command == "embed" else ["run", "--data", tmp_path / "empty"]
    refused(meddel(*arguments, "--out", tmp_path / "out"), "no images in this folder", str(tmp_path / "empty"))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there(meddel: Callable, tmp_path: Path) -> None:
    for arguments in (["embed", tmp_path / "none"], ["run", "--data", tmp_path / "none"]):
        refused(meddel(*arguments, "--out", tmp_path / "out"), "no such folder", str(tmp_path / "none"))


def test_a_run_without_sources_or_without_masks(meddel: Callable, sets: Path, tmp_path: Path) -> None:
    strict = ("run", "--profile", "paper", "--data", sets / "polyps")  # it pools no training images
    refused(meddel(*strict, "--out", tmp_path / "a"), "nothing to pre-train on")
    refused(meddel("run", "--data", sets / "frames", "--out", tmp_path / "b"), "no set with masks")


@pytest.mark.fault("image that is cut off", "quarantine row")
def test_broken_images_are_listed_and_the_run_goes_on(
    meddel: Callable, sets: Path, weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    polyps = sets / "polyps"
    (polyps / "images" / "p00.png").write_text("no image at all")
    Image.open(polyps / "images" / "p01.png").save(polyps / "images" / "cut.jpg", quality=95)
    content = (polyps / "images" / "cut.jpg").read_bytes()
    (polyps / "images" / "cut.jpg").write_bytes(content[: len(content) // 2])
    (polyps / "images" / "p02.png").unlink()  # leaves its mask alone
    Image.new("L", (24, 20), 255).save(polyps / "masks" / "p03.png")
    shutil.copy(polyps / "images" / "p05.png", polyps / "images" / "p04.bmp.png")
    Image.open(polyps / "images" / "p05.png").save(polyps / "images" / "p05.bmp")
    before = tree(sets)
    with caplog.at_level(logging.WARNING):
        code, out, err = meddel("embed", sets, "--out", tmp_path / "store", "--weights", weights)
    assert (code, err) == (0, "")
    assert out.startswith("22 images, ")
    found = quarantined(tmp_path / "store" / "quarantine.csv")
    assert found.pop("p00.png") == "no image, or of an unknown kind"
    assert found.pop("cut.jpg") == "the image is cut off or broken"
    assert found.pop("p02.png") == "a mask without its image"
    assert found.pop("p03.png").startswith("mask of 24 x 20 pixels, image of 48 x 40")
    assert found.pop("p05.png") == "a second image of the name of p05.bmp"
    assert found == {}
    assert [record.getMessage() for record in caplog.records] == [
        f"5 of 27 files can't be used, listed in {tmp_path / 'store' / 'quarantine.csv'}"
    ]
    ids = Store.open(tmp_path / "store").index["id"].to_pylist()
    assert [name for name in ids if name.startswith("frames/")] == [f"frames/p{i:02d}" for i in range(12)]
    assert "polyps/p01" in ids and "polyps/cut" not in ids and "polyps/p03" not in ids
    assert tree(sets) == before


def test_only_broken_images(meddel: Callable, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("no image")
    done = meddel("embed", tmp_path / "photos", "--out", tmp_path / "store", "--weights", weights)
    refused(done, "none of 1 files can be used", "no image, or of an unknown kind", "a.png")
    assert list(quarantined(tmp_path / "store" / "quarantine.csv")) == ["a.png"]
    assert list(tree(tmp_path / "store")) == ["quarantine.csv"]


@pytest.mark.parametrize(("settings", "said"), [
    (("--ratio", "0"), "retention ratio 0.0 is outside (0, 1]"),
    (("--ratio", "1.2"), "retention ratio 1.2 is outside (0, 1]"),
    (("--ratio", "nan"), "retention ratio nan is outside (0, 1]"),
    (("--ratio", "0.5", "--k", "13"), "k = 13 clusters of 12 images; give a k from 1 to 12"),
    (("--eta", "1.2"), "eta 1.2 is no cosine"),
    (("--ratio", "0.5", "--eps", "0"), "eps = 0.0 is no distance above 0"),
])  # fmt: skip
def test_settings_out_of_range(
    meddel: Callable, store: Path, tmp_path: Path, settings: tuple[str, ...], said: str
) -> None:
    before = tree(tmp_path)
    refused(meddel("select", store, "--out", tmp_path / "kept.csv", *settings), said)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("ratio", "advice"), [("0", "give a fraction"), ("1.2", "divide percentages by 100")])
def test_ratios_outside_have_no_normdel(meddel: Callable, ratio: str, advice: str) -> None:
    refused(meddel("normdel", "--miou", "0.5", "--ratio", ratio), f"ratio {ratio} is outside (0, 1]", advice)


@pytest.mark.fault("embedding that is NaN or of length 0", "embedding")
@pytest.mark.parametrize(("scale", "said"), [(float("nan"), "holds NaN or infinity"), (0.0, "has length 0")])
def test_embeddings_that_are_broken_when_made(
    meddel: Callable, photos: Path, weights: Path, tmp_path: Path, scale: float, said: str
) -> None:
    tensors = {name: scale * tensor for name, tensor in load_file(weights).items()}
    with safe_open(weights, framework="pt") as file:
        save_file(tensors, tmp_path / "broken.safetensors", metadata=file.metadata())
    done = meddel("embed", photos, "--out", tmp_path / "store", "--weights", tmp_path / "broken.safetensors")
    refused(done, f"the embedding of photos/p00 {said}", str(photos / "p00.png"))
    refused(meddel("select", tmp_path / "store", "--ratio", 1, "--out", tmp_path / "kept.csv"), "unfinished")
    assert not list((tmp_path / "store").glob("shard-*"))


@pytest.mark.fault("embedding that is NaN or of length 0", "store")
@pytest.mark.parametrize(("value", "said"), [(np.nan, "NaN or infinity"), (0.0, "an embedding of length 0")])
@pytest.mark.parametrize("selector", ["meddel", "random"])
def test_embeddings_that_are_broken_in_the_store(
    meddel: Callable, store: Path, tmp_path: Path, selector: str, value: float, said: str
) -> None:
    embeddings = np.load(store / "shard-00000.npy")
    embeddings[7] = value
    np.save(store / "shard-00000.npy", embeddings)
    arguments = ("select", store, "--ratio", 0.5, "--selector", selector, "--out", tmp_path / "kept.csv")
    refused(meddel(*arguments), "a shard is missing or has changed")
    manifest = json.loads((store / "store.json").read_text())
    manifest["shards"][0]["sha256"] = artefacts.hash_of_file(store / "shard-00000.npy")
    (store / "store.json").write_text(json.dumps(manifest))
    refused(meddel(*arguments), said, "photos/p07")
    assert not list(tmp_path.glob("kept*"))


def test_weights_and_stores_that_are_not_there(meddel: Callable, photos: Path, tmp_path: Path) -> None:
    refused(meddel("embed", photos, "--out", tmp_path / "s", "--weights", tmp_path / "none.pth"), "no such weights")
    refused(meddel("select", tmp_path / "none", "--ratio", 1, "--out", tmp_path / "kept.csv"), "no store in this")


def test_a_file_where_the_output_folder_should_be(
    meddel: Callable, photos: Path, sets: Path, store: Path, weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    before = tree(tmp_path)
    for arguments in (
        ("embed", photos, "--weights", weights, "--out", tmp_path / "file"),
        ("select", store, "--ratio", 1, "--out", tmp_path / "file" / "kept.csv"),
        ("run", "--data", sets, "--out", tmp_path / "file" / "out"),
        ("run", "--only", "01", "--out", tmp_path / "file"),
    ):
        refused(meddel(*arguments), "can't write: ", str(tmp_path / "file"), "give another --out folder")
    assert tree(tmp_path) == before


@pytest.mark.fault("full disk", "embedding and selection")
@pytest.mark.parametrize("size", [10, 400, 650])
def test_a_full_disk_by_a_limit_on_files(
    meddel: Callable, photos: Path, weights: Path, tmp_path: Path, size: int
) -> None:
    arguments = ("embed", photos, "--out", tmp_path / "store", "--weights", weights)
    with files_up_to(size):
        refused(meddel(*arguments), "can't write: ", "free some space")
    assert all(not name.endswith((".part", ".npy", ".parquet")) for name in tree(tmp_path / "store"))
    assert meddel(*arguments).code == 0
    select = ("select", tmp_path / "store", "--ratio", 0.5, "--out", tmp_path / "kept.csv")
    with files_up_to(size):
        refused(meddel(*select), "can't write: File too large", "kept_reasons.csv", "free some space")
    assert not list(tmp_path.glob("*kept*"))
    assert meddel(*select).code == 0


@pytest.mark.fault("full disk", "study")
def test_a_run_on_a_full_disk(meddel: Callable, sets: Path, tmp_path: Path) -> None:
    with files_up_to(1000):
        refused(meddel("run", "--data", sets, "--out", tmp_path / "out"), "can't write: ", "index.parquet")
    assert list(tree(tmp_path / "out")) == ["quarantine.csv"]


@pytest.mark.fault("full disk", "a small disk of its own")
def test_a_disk_that_is_really_full_or_read_only(photos: Path, store: Path, weights: Path, tmp_path: Path) -> None:
    full, read_only = tmp_path / "full", tmp_path / "read_only"
    full.mkdir()
    read_only.mkdir()
    mount = f"""
    mount -t tmpfs -o size=64k none {full}
    dd if=/dev/zero of={full}/filler 2>/dev/null || true
    mount -t tmpfs -o size=64k none {read_only}
    mount -o remount,ro {read_only}
    """
    tried = shutil.which("unshare") and subprocess.run([*UNSHARE, "sh", "-ec", mount], capture_output=True)
    if not tried or tried.returncode:
        pytest.skip("this system lets nobody mount a small disk of their own (unshare --user --mount)")
    commands = [
        arguments
        for disk in (full, read_only)
        for arguments in (
            ("embed", str(photos), "--weights", str(weights), "--out", str(disk / "store")),
            ("select", str(store), "--ratio", "1", "--out", str(disk / "kept.csv")),
        )
    ]
    python = [sys.executable, "-c", ON_ANOTHER_DISK, json.dumps(commands)]
    script = f'{mount}\n"$@"\nls -AR {full} {read_only} >&2'
    done = subprocess.run([*UNSHARE, "sh", "-ec", script, "sh", *python], capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)
    reasons = [*["No space left on device"] * 2, *["Read-only file system"] * 2]
    for (code, said), reason, arguments in zip(results, reasons, commands, strict=True):
        refused(
            (code, "", said), f"can't write: {reason}", str(Path(arguments[-1]).parent), "give another --out folder"
        )
    left = {line for line in done.stderr.split() if not line.startswith("/")}
    assert left <= {"filler", "store"}, "a folder that was made, and nothing in it"
