"""Fingerprints: what a view survives, what tells equal images, and how the table is kept."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from datadel import fingerprint as module
from datadel.fingerprint import FINGERPRINT_SCHEMA, fingerprint, fingerprints, hashes, looks
from datadel.overlap import COSINE, RADIUS
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images import index

Change = Callable[[Image.Image], bytes]


def texture(seed: int, size: tuple[int, int] = (300, 240)) -> Image.Image:
    """A smooth picture with structure of several sizes, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells in (3, 6, 12, 24):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), float) / cells**0.5
    return Image.fromarray((255 * (total - total.min()) / np.ptp(total)).astype(np.uint8))


def written(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def table(*prints: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([{"id": str(i), **row} for i, row in enumerate(prints)], schema=FINGERPRINT_SCHEMA)


def are_near(*prints: dict[str, Any], trimmed: bool = False) -> bool:
    """Whether two fingerprints satisfy the rule."""
    (a, b), (x, y) = hashes(table(*prints), trimmed), looks(table(*prints), trimmed).astype(float)
    cosine = x @ y / max(1e-9, np.linalg.norm(x) * np.linalg.norm(y))
    return bool(np.bitwise_count(a ^ b).sum() <= RADIUS and cosine >= COSINE)


def scaled(across: float, down: float) -> Change:
    return lambda image: written(image.resize((round(image.width * across), round(image.height * down))))


SURVIVED: dict[str, Change] = {
    "JPEG of quality 30": lambda image: written(image, "JPEG", quality=30),
    "JPEG of quality 95": lambda image: written(image, "JPEG", quality=95),
    "WebP": lambda image: written(image, "WEBP", quality=60),
    "half the size": scaled(0.5, 0.5),
    "twice the size": scaled(2, 2),
    "eight times the size": scaled(8, 8),
    "squeezed": scaled(1, 0.6),
    "grey": lambda image: written(image.convert("L")),
    "tiny": lambda image: written(image.resize((48, 40))),
    "CMYK": lambda image: written(image.convert("CMYK"), "JPEG", quality=90),
    "a little brighter": lambda image: written(image.point(lambda value: 0.9 * value + 12)),
}


@pytest.mark.parametrize("change", SURVIVED.values(), ids=SURVIVED)
def test_a_changed_copy_is_near_and_other_pictures_are_not(change: Change) -> None:
    pictures = [texture(seed) for seed in range(4)]
    before = [fingerprint(written(picture)) for picture in pictures]
    after = [fingerprint(change(picture)) for picture in pictures]
    for i, j in itertools.product(range(4), repeat=2):
        assert are_near(before[i], after[j]) == (i == j)


def test_black_borders_are_left_out_of_the_second_view() -> None:
    picture = texture(7)
    framed = Image.new("RGB", (400, 280), (4, 4, 4))
    framed.paste(picture, (70, 20))
    with_border, without = fingerprint(written(framed, "JPEG", quality=75)), fingerprint(written(picture))
    assert not are_near(with_border, without)
    assert are_near(with_border, without, trimmed=True)
    assert (without["hash"], without["look"]) == (without["hash_trimmed"], without["look_trimmed"])


@pytest.mark.parametrize("grey", [0, 3, 128, 255])
@pytest.mark.parametrize("size", [(200, 150), (1, 1), (3, 500)])
def test_flat_images_have_no_look(grey: int, size: tuple[int, int]) -> None:
    for kind in ("PNG", "JPEG"):
        prints = table(fingerprint(written(Image.new("L", size, grey), kind)))
        assert not looks(prints).any() and not looks(prints, trimmed=True).any()


def test_equal_pixels_are_told_apart_from_nearly_equal_ones() -> None:
    picture = texture(3)
    turned = Image.Exif()
    turned[0x0112] = 3
    same = [
        written(picture),
        written(picture, "BMP"),
        written(picture.rotate(180), "PNG", exif=turned),
        written(picture.convert("RGBA")),
    ]
    assert len({fingerprint(content)["pixels"] for content in same}) == 1
    changed = picture.copy()
    changed.putpixel((5, 5), (0, 0, 0))
    other_shape = Image.frombytes("RGB", (picture.height, picture.width), picture.tobytes())
    different = [fingerprint(written(image))["pixels"] for image in (picture, changed, other_shape)]
    assert len(set(different)) == 3


@pytest.fixture
def pictures(tmp_path: Path) -> pa.Table:
    """The index of nine pictures."""
    (tmp_path / "set").mkdir()
    for seed in range(9):
        texture(seed, (90, 70)).save(tmp_path / "set" / f"{seed}.jpg", quality=90)
    return index.build_index(tmp_path / "set")


def test_the_table_follows_the_index_and_is_kept_with_its_provenance(pictures: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "out" / "prints.parquet"
    made = fingerprints(pictures, path)
    assert made.schema == FINGERPRINT_SCHEMA and made["id"].equals(pictures["id"])
    assert made["sha256"].to_pylist() == pictures["sha256"].to_pylist()
    assert made.equals(fingerprints(pictures))
    assert artefacts.read_provenance(path).data_hash == index.data_hash(pictures)
    assert (hashes(made).shape, hashes(made).dtype, looks(made).shape) == ((9, 4), np.uint64, (9, 256))
    for file in (tmp_path / "set").iterdir():
        file.unlink()
    assert fingerprints(pictures, path).equals(made), "read, not made again"
    with pytest.raises(MedDELError, match=r"can't read an indexed image: .*0\.jpg.*; index the folder again"):
        fingerprints(pictures)
    assert fingerprints(pictures.slice(0, 0)).num_rows == 0


def test_work_that_was_cut_off_goes_on_behind_the_last_part(
    pictures: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fingerprints(pictures)
    monkeypatch.setattr(module, "_PART", 4)
    path, last = tmp_path / "out" / "prints.parquet", Path(pictures["path"][8].as_py())
    content = last.read_bytes()
    last.write_bytes(content + b"more")
    with pytest.raises(MedDELError, match="the image has changed since it was indexed"):
        fingerprints(pictures, path)
    parts = sorted(found.name for found in (tmp_path / "out").glob("*.parts/*"))
    assert parts == ["000000000.parquet", "000000004.parquet"] and not path.exists()
    last.write_bytes(content)
    Path(pictures["path"][0].as_py()).unlink()
    assert fingerprints(pictures, path).equals(expected), "the first part is not made again"
    assert sorted(found.name for found in (tmp_path / "out").iterdir()) == ["prints.parquet", "prints.parquet.json"]


def test_a_folder_that_cannot_be_written_is_one_clear_line(pictures: pa.Table, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MedDELError, match="can't write"):
        fingerprints(pictures, tmp_path / "file" / "prints.parquet")
