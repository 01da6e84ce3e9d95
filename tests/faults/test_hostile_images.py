"""Images that lie, that are of an odd kind, or that are no files: right pixels, or a quarantine row that says why."""

from __future__ import annotations

import csv
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddel.errors import MedDELError
from meddel.images import read as images
from meddel.images.index import build_index

MEMORY = 3 << 30  # bytes of addresses that a child may have; NumPy, Arrow and Pillow take one of them
IN_A_CHILD = """
import resource, sys
from pathlib import Path
from meddel.images import index
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
index.build_index(Path(sys.argv[1]), quarantine=Path(sys.argv[1]) / "quarantine.csv")
"""
NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def encoded(picture: Image.Image, kind: str, **settings: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **settings)
    return stream.getvalue()


def png(width: int, height: int, depth: int = 8, colour: int = 0, packed: bytes = zlib.compress(bytes(100))) -> bytes:
    """A PNG of these claims and bytes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def jpeg_of_claimed_size(width: int, height: int) -> bytes:
    content = bytearray(encoded(Image.fromarray(NOISE), "JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def with_header(kind: str, place: int, form: str, *values: int) -> bytes:
    """A file of Pillow's whose header claims something else."""
    content = bytearray(encoded(Image.fromarray(NOISE), kind))
    struct.pack_into(form, content, place, *values)
    return bytes(content)


def tiff_that_claims(width: int, height: int) -> bytes:
    picture = Image.new("L", (8, 8))
    content = bytearray(encoded(picture, "TIFF"))
    (first,) = struct.unpack_from("<I", content, 4)
    for entry in range(struct.unpack_from("<H", content, first)[0]):
        place = first + 2 + 12 * entry
        (tag,) = struct.unpack_from("<H", content, place)
        if tag in (256, 257):
            struct.pack_into("<HII", content, place + 2, 4, 1, width if tag == 256 else height)
    return bytes(content)


LIES: dict[str, tuple[bytes, str]] = {
    "bomb.png": (png(40_000, 40_000), "178 million"),
    "thousand-million.png": (png(1_000_000, 1_000), "178 million"),
    "wide.png": (png(2**31 - 1, 1), "178 million"),
    "bomb.jpg": (jpeg_of_claimed_size(65_000, 65_000), "178 million"),
    "bomb.bmp": (with_header("BMP", 18, "<ii", 100_000, 100_000), "178 million"),
    "bomb.tif": (tiff_that_claims(60_000, 60_000), "178 million"),
    "taller.jpg": (jpeg_of_claimed_size(4_000, 3_000), "cut off or broken"),
    "more.png": (png(3_000, 3_000), "cut off or broken"),
    "text.png": (png(8, 8, packed=b"no deflate at all"), "cut off or broken|can't be decoded"),
    "cut.jpg": (encoded(Image.fromarray(NOISE), "JPEG", quality=95)[:-200], "cut off or broken"),
    "cut.png": (encoded(Image.fromarray(NOISE), "PNG")[:-200], "cut off or broken"),
    "cut.tif": (encoded(Image.fromarray(NOISE), "TIFF")[:-200], "cut off or broken|can't be decoded"),
    "cut.webp": (encoded(Image.fromarray(NOISE), "WEBP")[:-200], "cut off|decoded|no image"),
    "empty.png": (b"", "empty"),
    "text.jpg": (b"not an image\n", "no image"),
    "program.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "no image"),
    "page.png": (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "no image"),
    "none-wide.png": (png(0, 9), "no image|can't be decoded|cut off"),
}


@pytest.mark.fault("image that lies", "quarantine row")
@pytest.mark.parametrize("name", LIES)
def test_a_file_that_lies_is_told_apart(tmp_path: Path, name: str) -> None:
    content, said = LIES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MedDELError, match=said) as caught:
        build_index(tmp_path)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(images.UNREADABLE):
        images.read_rgb(content)


@pytest.mark.fault("image that lies", "bounded memory")
def test_lies_take_no_memory(tmp_path: Path) -> None:
    for name, (content, _) in LIES.items():
        (tmp_path / name).write_bytes(content)
    Image.fromarray(NOISE).save(tmp_path / "good.png")
    with (tmp_path / "sparse.jpg").open("wb") as stream:
        stream.truncate(20 << 30)
    command = [sys.executable, "-c", IN_A_CHILD, str(tmp_path), str(MEMORY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "quarantine.csv").open(newline="") as stream:
        rows = {Path(row["path"]).name: row["problem"] for row in csv.DictReader(stream)}
    assert rows.keys() == {*LIES, "sparse.jpg"}
    assert "larger than any image" in rows["sparse.jpg"]


ODD = {
    "cmyk.jpg": encoded(Image.fromarray(NOISE).convert("CMYK"), "JPEG", quality=95),
    "grey.jpg": encoded(Image.fromarray(NOISE).convert("L"), "JPEG"),
    "progressive.jpg": encoded(Image.fromarray(NOISE), "JPEG", progressive=True),
    "palette.png": encoded(Image.fromarray(NOISE).quantize(16), "PNG"),
    "bits.png": encoded(Image.fromarray(NOISE).convert("1"), "PNG"),
    "cmyk.tif": encoded(Image.fromarray(NOISE).convert("CMYK"), "TIFF"),
    "lab.tif": encoded(Image.new("LAB", (9, 7), (120, 130, 140)), "TIFF"),
    "packed.tif": encoded(Image.fromarray(NOISE), "TIFF", compression="tiff_lzw"),
    "really-a-gif.png": encoded(Image.fromarray(NOISE).quantize(16), "GIF"),
}


@pytest.mark.fault("image of an odd kind", "right pixels")
@pytest.mark.parametrize("name", ODD)
def test_odd_kinds_give_the_pixels_that_pillow_gives(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(ODD[name])
    table = build_index(tmp_path)
    with Image.open(tmp_path / name) as picture:
        expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(images.read_rgb(ODD[name])), expected)
    assert (table["height"][0].as_py(), table["width"][0].as_py()) == expected.shape[:2]


@pytest.mark.fault("image of an odd kind", "right pixels")
@pytest.mark.parametrize(("kind", "more"), [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_adobe_deflate"})])
def test_sixteen_bits_become_eight(kind: str, more: dict) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (9, 7), dtype=np.uint16)
    deep[0, 0] = 65535
    shown = np.asarray(images.read_rgb(encoded(Image.fromarray(deep), kind, **more)))
    np.testing.assert_array_equal(shown, np.repeat((deep >> 8).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.fault("image of an odd kind", "right pixels")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_floats_without_a_value_do_not_spoil_the_others(odd: float) -> None:
    values = np.array([[0, 1], [2, odd]], np.float32)
    shown = np.asarray(images.read_rgb(encoded(Image.fromarray(values), "TIFF")))[..., 0]
    known = values[np.isfinite(values)].astype(float)
    expected = 255 * (known - known.min()) / np.ptp(known)
    np.testing.assert_allclose(shown.ravel()[: len(known)], expected, atol=1)
    images.read_rgb(encoded(Image.fromarray(np.full((2, 2), odd, np.float32)), "TIFF"))


@pytest.mark.fault("image of an odd kind", "right pixels")
def test_transparent_palettes_lie_over_black() -> None:
    picture = Image.new("P", (4, 2), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.paste(1, (2, 0, 4, 2))
    shown = np.asarray(images.read_rgb(encoded(picture, "PNG", transparency=0)))
    assert shown[0, 0].tolist() == [0, 0, 0] and shown[0, 3].tolist() == [200, 100, 50]


@pytest.mark.fault("image of an odd kind", "first picture of an animation")
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (12, 8), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    more = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **more)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.n_frames == 3
    shown = np.asarray(images.read_rgb(content))
    assert shown.shape == (8, 12, 3) and (shown == (250, 0, 0)).all()


@pytest.mark.fault("EXIF-rotated image", "right pixels")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [*range(10), 255, 65535])
def test_every_orientation_is_undone_and_no_other_number_turns(kind: str, orientation: int) -> None:
    stored = Image.fromarray(NOISE)
    exif = Image.Exif()
    exif[0x0112] = orientation
    more = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(stored, kind, exif=exif, **more)
    with Image.open(io.BytesIO(content)) as picture:
        plain = np.asarray(picture)
    turned = {
        2: plain[:, ::-1], 3: plain[::-1, ::-1], 4: plain[::-1], 5: plain.swapaxes(0, 1),
        6: np.rot90(plain, -1), 7: np.rot90(plain, 2).swapaxes(0, 1), 8: np.rot90(plain),
    }.get(orientation, plain)  # fmt: skip
    np.testing.assert_array_equal(np.asarray(images.read_rgb(content)), turned)
    assert images.upright_size(content) == turned.shape[1::-1]
    assert images.read_foreground(content).shape == turned.shape[:2]


@pytest.mark.fault("EXIF-rotated image", "broken EXIF")
def test_broken_exif_leaves_the_picture_as_it_is_stored() -> None:
    for exif in (b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0", b"Exif\0\0", b"Exif\0\0" + bytes(range(200))):
        content = encoded(Image.fromarray(NOISE), "JPEG", exif=exif)
        assert images.upright_size(content) == images.read_rgb(content).size == (40, 24)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def circle(path: Path) -> None:
    path.symlink_to(path.name)


NO_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "folder.jpg": (Path.mkdir, "a folder with an image's name"),
    "pipe.jpg": (pipe, "a folder, a pipe or a device"),
    "device.png": (lambda path: path.symlink_to("/dev/zero"), "a folder, a pipe or a device"),
    "secret.jpg": (lambda path: path.symlink_to("/etc/passwd"), "no image, or of an unknown kind"),
    "lost.jpg": (lambda path: path.symlink_to("not-there"), "can't be read: No such file"),
    "circle.jpg": (circle, "can't be read: Too many levels"),
    os.fsdecode(b"caf\xe9.jpg"): (lambda path: path.write_bytes(ODD["grey.jpg"]), "its name is not UTF-8"),
}


@pytest.mark.fault("image that is no file", "quarantine row")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", NO_FILES, ids=ascii)
def test_what_is_no_file_is_told_and_the_rest_goes_on(tmp_path: Path, name: str) -> None:
    make, said = NO_FILES[name]
    folder = tmp_path / "photos"
    folder.mkdir()
    make(folder / name)
    Image.fromarray(NOISE).save(folder / "good.png")
    table = build_index(folder, quarantine=tmp_path / "quarantine.csv")
    assert table["id"].to_pylist() == ["photos/good"]
    with (tmp_path / "quarantine.csv").open(newline="", encoding="utf-8") as stream:
        [row] = csv.DictReader(stream)
    assert said in row["problem"]
    assert Path(row["path"]).name == name.encode(errors="surrogateescape").decode(errors="backslashreplace")


@pytest.mark.fault("image that is no file", "right result")
def test_names_with_line_breaks_are_names(tmp_path: Path) -> None:
    Image.fromarray(NOISE).save(tmp_path / 'two\nlines,"quoted".png')
    (tmp_path / "bad\nname.png").write_bytes(b"x")
    table = build_index(tmp_path, quarantine=tmp_path / "quarantine.csv")
    assert table["path"].to_pylist() == [str(tmp_path / 'two\nlines,"quoted".png')]
    with (tmp_path / "quarantine.csv").open(newline="") as stream:
        assert [row["path"] for row in csv.DictReader(stream)] == [str(tmp_path / "bad\nname.png")]
