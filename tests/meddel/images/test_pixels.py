"""Images and masks are decoded once, to squares; a cache is used only for the very same data."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddel.errors import MedDELError
from meddel.images import index, pixels


@pytest.fixture
def folder(tmp_path) -> Path:
    """One set: image 0 is red, 1 green with a mask on its left three eighths (a JPEG), 2 noise without a mask."""
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    Image.new("RGB", (48, 32), (255, 0, 0)).save(root / "images" / "0.png")
    Image.new("RGB", (48, 32), (0, 255, 0)).save(root / "images" / "1.png")
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "images" / "2.jpg")
    drawn = np.zeros((32, 48), dtype=np.uint8)
    Image.fromarray(drawn).save(root / "masks" / "0.png")
    drawn[:, :18] = 255
    Image.fromarray(drawn).save(root / "masks" / "1.jpg", quality=60)
    return root


def test_squares_in_the_order_of_the_index(folder, tmp_path):
    table = index.build_index(folder)
    decoded = pixels.decode(table, 8, tmp_path / "out")
    assert decoded.ids == ["set/0", "set/1", "set/2"]
    assert decoded.size == 8
    assert (decoded.images.dtype, decoded.images.shape) == (np.uint8, (3, 8, 8, 3))
    assert (decoded.masks.dtype, decoded.masks.shape) == (np.uint8, (3, 8, 8))
    assert isinstance(decoded.images, np.memmap)
    assert not decoded.images.flags.writeable
    assert (decoded.images[0] == (255, 0, 0)).all()
    assert (decoded.images[1] == (0, 255, 0)).all()
    assert decoded.has_mask.tolist() == [True, True, False]
    assert not decoded.masks[[0, 2]].any()
    np.testing.assert_array_equal(decoded.masks[1], np.tile([1, 1, 1, 0, 0, 0, 0, 0], (8, 1)))


def test_a_mask_pixel_needs_more_than_half_of_its_area(folder, tmp_path):
    decoded = pixels.decode(index.build_index(folder), 4, tmp_path)  # the edge at 3/8 halves the second column
    np.testing.assert_array_equal(decoded.masks[1], np.tile([1, 0, 0, 0], (4, 1)))


def test_downscaling_is_antialiased(folder, tmp_path):
    small = np.asarray(pixels.decode(index.build_index(folder), 8, tmp_path).images[2], dtype=float)
    assert abs(small.mean() - 127.5) < 4
    assert small.std() < 15


def test_rows_are_found_by_id(folder, tmp_path):
    decoded = pixels.decode(index.build_index(folder), 8, tmp_path)
    assert decoded.rows(["set/2", "set/0"]).tolist() == [2, 0]
    with pytest.raises(MedDELError, match="no decoded image 'set/9'"):
        decoded.rows(["set/9"])


def test_a_finished_cache_is_opened_and_another_size_or_index_is_not(folder, tmp_path):
    table, out = index.build_index(folder), tmp_path / "out"
    pixels.decode(table, 8, out)
    stamp = (out / "images.npy").stat().st_mtime_ns
    (folder / "images" / "0.png").unlink()
    pixels.decode(table, 8, out)
    assert (out / "images.npy").stat().st_mtime_ns == stamp
    assert pixels.decode(table.slice(1), 8, out).ids == ["set/1", "set/2"]
    assert pixels.decode(table.slice(1), 6, out).images.shape == (2, 6, 6, 3)


def test_data_without_masks_stores_none(folder, tmp_path):
    decoded = pixels.decode(index.build_index(folder).slice(2), 8, tmp_path / "out")
    assert decoded.masks.shape == (1, 8, 8)
    assert not (tmp_path / "out" / "masks.npy").exists()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "can't read an indexed image"),
        (lambda path: Image.new("RGB", (48, 32)).save(path), "has changed since it was indexed"),
    ],
    ids=["gone", "changed"],
)
@pytest.mark.parametrize("name", ["images/1.png", "masks/1.jpg"])
def test_an_image_that_changed_is_named_and_nothing_is_left(folder, tmp_path, spoil, problem, name):
    table = index.build_index(folder)
    spoil(folder / name)
    with pytest.raises(MedDELError, match=rf"{problem}.*{name}"):
        pixels.decode(table, 8, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_nothing_half_written(folder, tmp_path):
    table = index.build_index(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(MedDELError, match="can't write"):
            pixels.decode(table, 128, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "out").iterdir()) == []
    assert pixels.decode(table, 128, tmp_path / "out").images.shape == (3, 128, 128, 3)


def test_a_size_below_1_is_refused(folder, tmp_path):
    with pytest.raises(MedDELError, match="size 0"):
        pixels.decode(index.build_index(folder), 0, tmp_path)


def test_real_masks_keep_their_area(realdata, tmp_path):
    table = index.build_index(realdata / "cvc_clinicdb").slice(0, 40)
    decoded = pixels.decode(table, 64, tmp_path)
    for mask, path in zip(decoded.masks, table["mask"].to_pylist(), strict=True):
        assert abs(mask.mean() - (np.asarray(Image.open(path)) > 127).mean()) < 0.01
