"""Decontamination: what stands in a test split is found, named pair by pair, and removed; nothing else is."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from datadel.overlap import (
    COSINE,
    PAIRS_SCHEMA,
    RADIUS,
    contact_sheet,
    decontaminate,
    find_duplicates,
    without,
)
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images import index


def picture(seed: int, size: tuple[int, int] = (240, 200)) -> Image.Image:
    """A smooth picture, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    layers = [rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8) for cells in (4, 9, 18)]
    sizes = [np.asarray(Image.fromarray(layer).resize(size, Image.Resampling.BICUBIC), float) for layer in layers]
    return Image.fromarray((0.5 * sizes[0] + 0.3 * sizes[1] + 0.2 * sizes[2]).astype(np.uint8))


def folder(path: Path, **images: Image.Image | bytes) -> pa.Table:
    """The index of a new set of pictures, PNG if not given as bytes."""
    path.mkdir(parents=True)
    for name, image in images.items():
        if isinstance(image, bytes):
            (path / f"{name}.jpg").write_bytes(image)
        else:
            image.save(path / f"{name}.png")
    return index.build_index(path)


def jpeg(image: Image.Image, path: Path, quality: int = 60) -> bytes:
    image.save(path, "JPEG", quality=quality)
    return path.read_bytes()


@pytest.fixture
def sets(tmp_path: Path) -> tuple[pa.Table, pa.Table]:
    """A pool and a test split: of the pool, d is in no relation to the split, the others are."""
    content = jpeg(picture(1), tmp_path / "one.jpg")
    decoded = Image.open(tmp_path / "one.jpg").convert("RGB")
    framed = Image.new("RGB", (300, 220))
    framed.paste(picture(2), (40, 10))
    black = Image.new("RGB", (240, 200))
    pool = folder(
        tmp_path / "pool", a=content, b=decoded, c=framed, d=picture(3), e=picture(2).resize((120, 90)), f=black
    )
    test = folder(tmp_path / "test", x=content, y=picture(2), z=black, w=Image.new("RGB", (240, 200), (2, 1, 0)))
    return pool, test


def test_twins_of_every_kind_are_found_and_removed(sets: tuple[pa.Table, pa.Table], tmp_path: Path) -> None:
    pool, test = sets
    clean, found = decontaminate(pool, test, tmp_path / "out")
    assert found.schema == PAIRS_SCHEMA
    assert [(row["id"], row["duplicate_of"], row["kind"], row["trimmed"]) for row in found.to_pylist()] == [
        ("pool/a", "test/x", "same file", False),
        ("pool/b", "test/x", "same pixels", False),
        ("pool/c", "test/y", "near duplicate", True),
        ("pool/e", "test/y", "near duplicate", False),
        ("pool/f", "test/z", "same file", False),
    ]
    assert all((row["distance"], row["cosine"]) == (0, 1) for row in found.to_pylist() if "same" in row["kind"])
    assert all(row["distance"] <= RADIUS and COSINE <= row["cosine"] <= 1 for row in found.to_pylist())
    assert clean["id"].to_pylist() == ["pool/d"]
    assert index.read_index(tmp_path / "out" / "index.parquet").equals(clean)


def test_what_is_written_says_what_is_returned(sets: tuple[pa.Table, pa.Table], tmp_path: Path) -> None:
    pool, test = sets
    found = find_duplicates(pool, test, tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "duplicates.parquet").equals(found)
    with (tmp_path / "out" / "duplicates.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["id"], row["duplicate_of"], row["kind"]) for row in rows] == [
        (row["id"], row["duplicate_of"], row["kind"]) for row in found.to_pylist()
    ]
    assert Image.open(tmp_path / "out" / "duplicates.png").size == (1008, 356)
    parameters = artefacts.read_provenance(tmp_path / "out" / "duplicates.parquet").parameters
    assert (parameters["radius"], parameters["cosine"]) == (RADIUS, COSINE)
    for row in pool.to_pylist():
        Path(row["path"]).unlink()
    assert find_duplicates(pool, test, tmp_path / "out").equals(found), "read, not made again"
    with pytest.raises(MedDELError, match="can't read an indexed image"):
        find_duplicates(pool, test, tmp_path / "out", cosine=0.95)
    assert artefacts.read_provenance(tmp_path / "out" / "duplicates.parquet") is None, "unfinished"


def test_inside_one_set_the_later_image_names_the_earlier(tmp_path: Path) -> None:
    content = jpeg(picture(1), tmp_path / "one.jpg")
    decoded = Image.open(tmp_path / "one.jpg").convert("RGB")
    table = folder(tmp_path / "set", a=content, b=content, c=decoded, d=picture(1).resize((100, 90)), e=picture(2))
    found = find_duplicates(table)
    assert [(row["id"], row["duplicate_of"], row["kind"]) for row in found.to_pylist()] == [
        ("set/b", "set/a", "same file"),
        ("set/c", "set/a", "same pixels"),
        ("set/d", "set/a", "near duplicate"),
    ]
    assert without(table, found)["id"].to_pylist() == ["set/a", "set/e"]
    assert find_duplicates(table.slice(4)).num_rows == 0


def test_sets_without_rows_and_settings_that_make_no_sense(sets: tuple[pa.Table, pa.Table], tmp_path: Path) -> None:
    pool, test = sets
    empty = pool.slice(0, 0)
    assert (
        find_duplicates(empty, test).num_rows
        == find_duplicates(pool, empty).num_rows
        == find_duplicates(empty, out=tmp_path / "none").num_rows
        == 0
    )
    assert Image.open(tmp_path / "none" / "duplicates.png").size == (1008, 356)
    for radius, cosine in ((-1, 0.9), (257, 0.9), (3, 0.0), (3, 1.1)):
        with pytest.raises(MedDELError, match=f"radius {radius} or cosine {cosine} makes no sense"):
            find_duplicates(pool, test, radius=radius, cosine=cosine)


def test_the_contact_sheet_shows_the_least_alike_first_and_each_image_once(sets: tuple[pa.Table, pa.Table]) -> None:
    pool, test = sets
    rows = [
        ("pool/c", "test/y", "near duplicate", 30, 0.97, True),
        ("pool/c", "test/x", "near duplicate", 39, 0.961, True),
        ("pool/a", "test/x", "same file", 0, 1.0, False),
    ]
    table = pa.Table.from_pylist([dict(zip(PAIRS_SCHEMA.names, row, strict=True)) for row in rows], schema=PAIRS_SCHEMA)
    sheet = np.asarray(contact_sheet(table, pool, test))
    corners = [(28, 0, pool, "pool/c"), (188, 0, test, "test/y"), (28, 168, pool, "pool/a"), (188, 168, test, "test/x")]
    for top, left, of, name in corners:
        assert np.array_equal(sheet[top, left], _corner(of, name)), name
    assert (sheet[28:, 336:] == 255).all(), "two pairs"
    assert (sheet[:28, :160] < 128).any(), "a caption"


def _corner(table: pa.Table, name: str) -> np.ndarray:
    row = next(row for row in table.to_pylist() if row["id"] == name)
    square = Image.open(row["path"]).convert("RGB").resize((160, 160), Image.Resampling.BICUBIC)
    return np.asarray(square)[0, 0]


@pytest.fixture(scope="module")
def kvasir(realdata: Path) -> pa.Table:
    return index.build_index(realdata / "kvasir_seg")


def sessile_copies(realdata: Path, kvasir: pa.Table, path: Path) -> dict[str, str]:
    """Write the Kvasir-Sessile images anew, each encoded and resized in another way; return their originals' ids."""
    names = (realdata / "kvasir_seg" / "kvasir_sessile_names.txt").read_text().split()
    paths = dict(zip(kvasir["id"].to_pylist(), kvasir["path"].to_pylist(), strict=True))
    path.mkdir()
    originals = {}
    for number, name in enumerate(names):
        image = Image.open(paths[f"kvasir_seg/{name}"])
        across, down = ((1, 1), (0.5, 0.5), (2, 2), (1, 0.7), (1.6, 0.9))[number % 5]
        image = image.resize((round(across * image.width), round(down * image.height)))
        image.save(path / f"case{number:03d}.jpg", quality=(30, 50, 75, 95)[number % 4])
        originals[f"{path.name}/case{number:03d}"] = f"kvasir_seg/{name}"
    return originals


def test_a_renamed_subset_encoded_and_resized_anew_is_found(realdata: Path, kvasir: pa.Table, tmp_path: Path) -> None:
    originals = sessile_copies(realdata, kvasir, tmp_path / "renamed")
    clean, found = decontaminate(kvasir, index.build_index(tmp_path / "renamed"), tmp_path / "out")
    pairs = {(row["id"], row["duplicate_of"]) for row in found.to_pylist()}
    assert len(originals) == 196
    assert {(original, copy) for copy, original in originals.items()} <= pairs
    doubles = find_duplicates(kvasir).to_pylist()
    alike = {(row["id"], row["duplicate_of"]) for row in doubles} | {
        (row["duplicate_of"], row["id"]) for row in doubles
    }
    others = {(image, originals[copy]) for image, copy in pairs if image != originals[copy]}
    assert others <= alike, "only what the set itself holds twice"
    assert kvasir.num_rows - clean.num_rows == len({*originals.values()} | {image for image, _ in others})


def test_exact_copies_inside_a_real_set_are_counted(realdata: Path, tmp_path: Path) -> None:
    table = index.build_index(realdata / "wce_bleedgen")
    seen: set[str] = set()
    repeated = set()
    for row in table.to_pylist():
        digest = hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest()
        if digest in seen:
            repeated.add(row["id"])
        seen.add(digest)
    found = find_duplicates(table, out=tmp_path).to_pylist()
    assert {row["id"] for row in found if row["kind"] == "same file"} == repeated
    assert Counter(row["kind"] for row in found)["same file"] == len(repeated) == 156
    assert {row["kind"] for row in found} <= {"same file", "same pixels", "near duplicate"}


def test_near_twins_of_a_video_lie_in_the_same_sequence(realdata: Path) -> None:
    table = index.build_index(realdata / "cvc_clinicdb")
    sequence = dict(zip(table["id"].to_pylist(), table["video"].to_pylist(), strict=True))
    found = find_duplicates(table).to_pylist()
    assert len(found) > 100
    assert [row for row in found if sequence[row["id"]] != sequence[row["duplicate_of"]]] == []


def test_between_real_sets_nothing_is_found(realdata: Path, kvasir: pa.Table) -> None:
    video = index.build_index(realdata / "cvc_clinicdb")
    pool = index.build_index(realdata / "cpchild_nonpolyp")
    assert (
        find_duplicates(video, kvasir).num_rows
        == find_duplicates(pool, kvasir).num_rows
        == find_duplicates(pool, video).num_rows
        == 0
    )
