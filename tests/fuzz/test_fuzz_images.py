"""Spoilt image files are read or refused, by all readers alike, and quarantined by the index."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from meddel.errors import MedDELError
from meddel.images import read as images
from meddel.images.index import build_index
from tests.fuzz.mutations import mutated

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8))
WITH_EXIF = Image.Exif()
WITH_EXIF[0x0112] = 6
KINDS: dict[str, tuple[str, str, dict]] = {
    "JPEG": ("JPEG", "RGB", {"exif": WITH_EXIF}),
    "progressive JPEG": ("JPEG", "CMYK", {"progressive": True}),
    "PNG": ("PNG", "RGBA", {"exif": WITH_EXIF}),
    "palette PNG": ("PNG", "P", {"transparency": 0}),
    "16-bit PNG": ("PNG", "I;16", {}),
    "WebP": ("WEBP", "RGBA", {"exif": WITH_EXIF}),
    "GIF": ("GIF", "P", {"save_all": True, "append_images": [NOISE.convert("P")]}),
    "TIFF": ("TIFF", "RGB", {"exif": WITH_EXIF}),
    "float TIFF": ("TIFF", "F", {}),
    "packed TIFF": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "BMP": ("BMP", "RGB", {}),
}


def encoded(name: str) -> bytes:
    kind, mode, more = KINDS[name]
    stream = io.BytesIO()
    (NOISE.convert("L") if mode == "I;16" else NOISE).convert(mode).save(stream, kind, **more)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_images(fuzz: Callable, tmp_path: Path, name: str) -> None:
    def check(content: bytes) -> None:
        try:
            size = images.upright_size(content)
            picture = images.read_rgb(content)
        except images.UNREADABLE:
            return
        assert picture.mode == "RGB" and picture.size == size
        assert images.read_foreground(content).shape == size[::-1]
        assert min(images.read_rgb(content, at_least=4).size) > 0

    fuzz(name, check, mutated(encoded(name)))


@pytest.mark.filterwarnings("ignore")
def test_folders(fuzz: Callable, tmp_path: Path) -> None:
    NOISE.save(tmp_path / "good.png")

    def check(content: bytes) -> None:
        (tmp_path / "odd.png").write_bytes(content)
        table = build_index(tmp_path, quarantine=tmp_path / "quarantine.csv")
        told = (tmp_path / "quarantine.csv").read_text().count("odd.png")
        assert table.num_rows + told == 2

    fuzz("folder of images", check, mutated(encoded("PNG")))


NAMES = b"name,centre,video,frame,split\n" + b"".join(b"p%d,a,v,%d,train\n" % (i, i) for i in range(3))


@pytest.mark.parametrize("name", ["frames.csv", "labels.csv", "sequences.csv"])
def test_tables_beside_images(fuzz: Callable, tmp_path: Path, name: str) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        NOISE.save(tmp_path / "images" / f"p{number}.png")

    def check(content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        assert build_index(tmp_path).num_rows == 3

    known = [NAMES.replace(b"v,1", b"v,99999999999"), NAMES.replace(b"train", b"\xff"), b"\0", b"name\n,\n"]
    fuzz(name, check, mutated(NAMES), known)


def test_names(fuzz: Callable, tmp_path: Path) -> None:
    """Any bytes are a file's name, but for NUL and the slash."""

    def check(name: bytes) -> None:
        path = Path(f"{tmp_path}/{name.decode(errors='surrogateescape')}.png")
        try:
            path.write_bytes(good)
        except OSError:  # a name that the disk does not take
            return
        with suppress(MedDELError):  # the only file is hidden, or its name is no text
            assert build_index(tmp_path, quarantine=tmp_path / "quarantine.csv").num_rows == 1
        path.unlink()

    good = encoded("PNG")
    plain = st.binary(min_size=1, max_size=20).filter(lambda name: not {0, 47} & {*name})
    fuzz("file name", check, plain, [b"\xff", b"\n", b".", b"a\r\nb", b"\x1b[2J", b"=1+1"])
