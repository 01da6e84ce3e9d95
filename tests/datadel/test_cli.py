"""The commands that get data: from the list of sets to a folder that is prepared, checked and cleaned."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from datadel import cache, manifest
from meddel.images import index
from tests.conftest import Done
from tests.datadel.archives_by_hand import mask, pack, picture

Meddel = Callable[..., Done]
TOP = "ETIS-LaribPolypDB"


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """A folder into which a browser has put ETIS's archive, with five images."""
    tree = {f"{TOP}/{TOP}/{i}.tif": picture(i, "TIFF") for i in range(5)}
    tree |= {f"{TOP}/Ground Truth/p{i}.tif": mask(i, 30, "TIFF") for i in range(5)}
    folder = tmp_path / "Downloads"
    folder.mkdir()
    (folder / f"{TOP}.rar").write_bytes(pack(f"{TOP}.rar", tree))
    return folder


def lines(done: Done) -> list[str]:
    assert (done.code, done.err) == (0, ""), done
    return done.out.splitlines()


def test_the_list_shows_every_set_with_its_state(meddel: Meddel, data_root: Path) -> None:
    shown = lines(meddel("data", "list"))
    rows = {line.split()[0]: line for line in shown[2:]}
    assert list(rows) == list(manifest.names())
    for name, row in rows.items():
        one = manifest.load(name)
        assert one.access in row.split() and row.endswith("missing") and (one.paper_name or "") in row


def test_a_set_goes_all_the_way(meddel: Meddel, data_root: Path, downloads: Path) -> None:
    first = lines(meddel("fetch", "etis", "--source", downloads, "--accept"))
    assert first[-1] == "next: meddel data prepare etis"
    assert lines(meddel("data", "list"))[2 + manifest.names().index("etis")].endswith("fetched")
    assert lines(meddel("data", "prepare", "etis"))[-1].startswith("etis: 5 images, 5 with a mask: ")
    prepared = cache.prepared("etis")
    assert index.build_index(prepared.parent)["source"].unique().to_pylist() == ["etis"]
    assert lines(meddel("data", "verify", "etis")) == ["etis: 1 archives and 10 prepared files are as they were"]
    status = lines(meddel("data", "status", "etis"))
    assert "archive: ETIS-LaribPolypDB.rar, size not stated: fetched" in status
    assert status[-1].startswith("prepared: 5 images (the source says 196), 5 with a mask") and "40 x 32" in status[-1]
    (prepared / "images" / "3.tif").write_bytes(b"changed")
    done = meddel("data", "verify", "etis")
    assert done.code == 1 and "gone or has changed" in done.err and "3.tif" in done.err
    freed = lines(meddel("data", "remove", "etis"))
    assert freed[0].startswith("etis: ") and freed[0].endswith("are free again")
    assert not prepared.exists() and lines(meddel("data", "verify")) == ["nothing is here yet: meddel fetch NAME"]


def test_a_changed_archive_is_not_trusted_again(meddel: Meddel, data_root: Path, downloads: Path) -> None:
    lines(meddel("fetch", "etis", "--source", downloads, "--accept"))
    path = cache.archive_path("etis", manifest.load("etis").archives[0])
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b"!")
    done = meddel("data", "verify", "etis")
    assert done.code == 1 and done.err.count("\n") == 1 and "ETIS-LaribPolypDB.rar" in done.err


def test_a_dry_run_adds_up_and_fetches_nothing(meddel: Meddel, data_root: Path) -> None:
    shown = lines(meddel("fetch", "hyper-kvasir", "kvasir-seg", "--dry-run"))
    assert len(shown) == 6 and shown[-1].startswith("to fetch: 5 archives, ~58.6 GB")
    assert not data_root.exists() or not list(data_root.rglob("*.zip"))


@pytest.mark.parametrize("name", ["cvc-300", "polypgen2021", "sun-seg"])
def test_what_a_person_has_to_get_is_said(meddel: Meddel, data_root: Path, name: str) -> None:
    done, one = meddel("fetch", name, "--accept"), manifest.load(name)
    assert done.code == 1 and done.err.count("\n") == 1
    assert one.landing in done.err and one.archives[0].name in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fetch", "kvasir-sge"), "did you mean kvasir-seg?"),
        (("fetch", "kvasir-seg"), "pass --accept"),
        (("fetch", "imageclefmed", "--accept"), "nothing to fetch"),
        (("data", "prepare", "kvasir-seg"), "meddel fetch kvasir-seg"),
        (("data", "prepare", "etis", "cvc-300", "--source", "."), "one set at a time"),
        (("data", "decontaminate", "etis", "kvasir-seg", "--out", "x"), "meddel data prepare etis"),
    ],
)
def test_mistakes_get_one_line(meddel: Meddel, data_root: Path, arguments: tuple[str, ...], said: str) -> None:
    done = meddel(*arguments)
    assert done.code == 1 and done.out == "" and done.err.count("\n") == 1 and said in done.err, done.err


def test_a_pool_is_cleaned_of_a_test_set(meddel: Meddel, data_root: Path, downloads: Path, tmp_path: Path) -> None:
    lines(meddel("data", "prepare", "etis", "--source", downloads))
    pool = tmp_path / "pool"
    pool.mkdir()
    for name, seed in (("same", 2), ("other", 77), ("another", 78)):
        (pool / f"{name}.tif").write_bytes(picture(seed, "TIFF"))
    (pool / "recoded.png").write_bytes(picture(3, "PNG"))
    said = lines(meddel("data", "decontaminate", pool, "etis", "--out", tmp_path / "clean"))
    assert said[-1].startswith("2 of 4 images are among 5 to test on")
    assert index.read_index(tmp_path / "clean" / "index.parquet")["id"].to_pylist() == ["pool/another", "pool/other"]
    with (tmp_path / "clean" / "duplicates.csv").open(newline="", encoding="utf-8") as stream:
        pairs = {row["id"]: (row["duplicate_of"], row["kind"]) for row in csv.DictReader(stream)}
    assert pairs == {"pool/same": ("etis/2", "same file"), "pool/recoded": ("etis/3", "same pixels")}
    (pool / "again.tif").write_bytes(picture(77, "TIFF"))
    said = lines(meddel("data", "duplicates", pool, "--out", tmp_path / "repeats"))
    assert said[-1].startswith("1 of 5 images repeat an earlier one (1 same file)")
