"""Kept-lists as they come in: what is taken, and the one line for what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from compendium.workshop import pictures
from compendium.workshop.leaderboard import kept_list, upload
from meddel import select as selectors
from meddel.errors import MedDELError

IDS = ["north/v0000_f0000", "north/v0000_f0001", "south/v0000_f0000"]


@pytest.mark.parametrize(
    "text",
    [
        "rank,id,path\n0,south/v0000_f0000,/x.jpg\n1,north/v0000_f0001,/y.jpg\n",
        "id\nsouth/v0000_f0000\nnorth/v0000_f0001\n",
        "south/v0000_f0000\nnorth/v0000_f0001",
        "\ufeffid\r\nsouth/v0000_f0000\r\n\r\nnorth/v0000_f0001\r\n",
        "path\n/home/me/pool/south/images/v0000_f0000.jpg\nC:\\pool\\north\\images\\v0000_f0001.jpg\n",
        "south/images/v0000_f0000.jpg\nnorth/v0000_f0001.png\n",
        'ID\n"south/v0000_f0000"\n north/v0000_f0001 \n',
    ],
    ids=["meddel select", "ids", "no header", "another system's", "paths", "relative paths", "quotes and spaces"],
)
def test_ids_and_paths_are_taken(text: str) -> None:
    assert kept_list.read(text.encode(), IDS) == ["north/v0000_f0001", "south/v0000_f0000"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the list is empty"),
        (b"\n\n", "the list is empty"),
        (b"id\n", "the list keeps no image"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b'id\n"north/v0000', "the list is no CSV"),
        (b"name,age\na,1\n", r"no column id or path, but 'name' \(line 1\)"),
        (b"id\nnorth/v0000_f0000\nwest/v1\n", r"'west/v1' is no image of the pool \(line 3\)"),
        (b"path\n/v0000_f0000.jpg\n", "is no image of the pool"),
        (b"id\nnorth/v0000_f0000\nnorth/images/v0000_f0000.jpg\n", r"is kept twice \(lines 2 and 3\)"),
        (b"rank,id\n0,north/v0000_f0000\n1\n", r"fewer than 2 cells \(line 3\)"),
        (b"id\n" + b"x" * 500, "'x{60}...' is no image"),
        (b"x" * (kept_list.MAX_BYTES + 1), "more than 1,000,000 bytes"),
    ],
    ids=[
        *("nothing", "empty lines", "no rows", "bytes", "quote", "columns", "unknown", "no folder", "twice"),
        *("short line", "long id", "too large"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(content: bytes, told: str) -> None:
    with pytest.raises(MedDELError, match=told) as error:
        kept_list.read(content, IDS)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_what_meddel_select_writes_is_taken(tmp_path: Path) -> None:
    pool = pictures.pool(4)
    x = pictures.describe(pool.images)
    table = selectors.get("meddel")(x, pool.index, 5, np.random.default_rng(0))
    selectors.write_kept_csv(table, pool.index, tmp_path / "kept.csv", tmp_path / "reasons.csv")
    kept = table.filter(table["kept"])["id"].to_pylist()
    written = (tmp_path / "kept.csv").read_bytes()
    assert kept_list.read(written, pool.ids) == sorted(kept)
    paths = [row["path"] for row in csv.DictReader(io.StringIO(written.decode()))]
    assert kept_list.read("\n".join(paths).encode(), pool.ids) == sorted(kept)


def test_the_files_of_the_pool_have_its_ids_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = pictures.CONFIG.model_copy(update={"frames_per_source": 3})
    monkeypatch.setattr(pictures, "CONFIG", few)
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")
    folder = pictures.write(tmp_path / "pool")
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")}
    pool = pictures.pool(3)
    assert written == set(pool.index["path"].to_pylist())
    assert kept_list.read("\n".join(sorted(written)).encode(), pool.ids) == pool.ids


def test_the_pool_is_the_same_whenever_it_is_drawn_and_shorter_ones_are_part_of_it() -> None:
    one, other, more = pictures.pool(3), pictures.pool(3), pictures.pool(5)
    assert one.index.equals(other.index)
    np.testing.assert_array_equal(one.images, other.images)
    assert set(one.ids) <= set(more.ids)
    assert pictures.labelled(pictures.TESTED[0]).masks.any()


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\nb", "a\x00b"], ids=repr)
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(MedDELError, match="a name has 1 to 40 printable characters"):
        upload.checked_name(name)


@pytest.mark.parametrize("length", [None, "", "-1", "ten", "²"], ids=repr)
def test_an_upload_says_how_long_it_is(length: str | None) -> None:
    with pytest.raises(MedDELError, match="does not say how long"):
        upload.body(io.BytesIO(b"id"), length)


def test_an_upload_that_ends_early_is_refused() -> None:
    with pytest.raises(MedDELError, match="cut off"):
        upload.body(io.BytesIO(b"id"), "3")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "multipart/form-data"),
        (b"junk", "multipart/form-data; boundary=x"),
        (
            b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nme\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
    ],
    ids=["nothing", "junk", "no list"],
)
def test_a_form_without_its_fields_is_refused(content: bytes, kind: str) -> None:
    with pytest.raises(MedDELError, match="the form lacks a name or a list"):
        upload.form(content, f"multipart/form-data{kind}")
