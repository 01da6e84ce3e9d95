"""Image files of every kind become upright 8-bit RGB, masks become foreground, broken bytes are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from meddel.images import read as images


def encoded(picture: Image.Image, kind: str = "PNG", **settings) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **settings)
    return stream.getvalue()


def halves(left, right, mode: str = "L", size: tuple[int, int] = (32, 16)) -> Image.Image:
    picture = Image.new(mode, size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_rgb_is_unchanged(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(pixels), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert images.upright_size(content) == (7, 9)
    np.testing.assert_array_equal(images.read_rgb(content), pixels)


@pytest.mark.parametrize(
    ("picture", "left", "right"),
    [
        (halves(10, 200), (10, 10, 10), (200, 200, 200)),
        (halves(0, 1, "1"), (0, 0, 0), (255, 255, 255)),
        (halves((250, 10, 20), (1, 2, 3), "RGB").quantize(2), (250, 10, 20), (1, 2, 3)),
        (halves((100, 200, 50, 255), (100, 200, 50, 0), "RGBA"), (100, 200, 50), (0, 0, 0)),
        (Image.fromarray(np.repeat([[0, 65535]], 16, 1).repeat(16, 0).astype(np.uint16)), (0,) * 3, (255,) * 3),
        (Image.fromarray(np.repeat([[0, 4095]], 16, 1).repeat(16, 0).astype(np.uint16)), (0,) * 3, (255,) * 3),
    ],
    ids=["grey", "bits", "palette", "transparent", "16 bit", "12 of 16 bit"],
)
def test_other_kinds_become_rgb(picture, left, right):
    result = np.asarray(images.read_rgb(encoded(picture)))
    assert result.shape == (16, 32, 3)
    assert tuple(result[8, 4]) == left
    assert tuple(result[8, 28]) == right


def test_floats_fill_the_range():
    content = encoded(Image.fromarray(np.array([[-2.0, 0.0], [0.0, 2.0]], dtype=np.float32)), "TIFF")
    np.testing.assert_array_equal(np.asarray(images.read_rgb(content))[..., 0], [[0, 127], [127, 255]])


def test_orientation_is_undone():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: the left half comes to the top
    content = encoded(halves(0, 255), "JPEG", exif=exif)
    assert images.upright_size(content) == (16, 32)
    upright = np.asarray(images.read_rgb(content))
    assert upright.shape == (32, 16, 3)
    assert upright[:12].max() < 30
    assert upright[20:].min() > 225


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_that_is_cut_off_is_refused(kind):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    images.upright_size(content)
    with pytest.raises(images.UNREADABLE):
        images.upright_size(content[: len(content) * 2 // 3])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
@pytest.mark.filterwarnings("ignore")
def test_spoilt_bytes_are_read_or_refused_alike_by_all_readers(kind):
    rng = np.random.default_rng(2)
    content = encoded(Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)), kind)
    for _ in range(60):
        spoilt = bytearray(content)
        for place in rng.integers(0, 200, 3):
            spoilt[place] = rng.integers(0, 256)
        try:
            images.upright_size(bytes(spoilt))
        except images.UNREADABLE:
            continue
        images.read_rgb(bytes(spoilt))
        images.read_foreground(bytes(spoilt))


@pytest.mark.parametrize(
    "content",
    [
        encoded(halves(0, 255)),
        encoded(halves(0, 255), "JPEG", quality=40),
        encoded(halves(0, 1)),
        encoded(halves(0, 3)),
        encoded(halves(0, 1, "1")),
        encoded(halves((0, 0, 0), (255, 0, 0), "RGB")),
        encoded(halves((0, 0, 0), (128, 0, 0), "RGB").quantize(2)),
        encoded(Image.fromarray(np.repeat([[0, 1]], 16, 1).repeat(16, 0).astype(np.uint16))),
    ],
    ids=["0/255", "jpeg", "0/1", "classes", "bits", "red", "palette", "16 bit labels"],
)
def test_masks_of_every_kind_become_foreground(content):
    foreground = images.read_foreground(content)
    assert foreground.dtype == bool
    np.testing.assert_array_equal(foreground, np.arange(32) >= 16 + np.zeros((16, 1)))


def test_the_ringing_of_an_empty_jpeg_mask_is_background():
    assert not images.read_foreground(encoded(Image.new("L", (16, 16), 5), "JPEG")).any()


def test_threads_keep_the_order_and_pass_errors_on():
    assert list(images.in_threads(lambda i: i * i, range(500))) == [i * i for i in range(500)]
    results = images.in_threads(lambda i: 1 // (3 - i), range(500))
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
