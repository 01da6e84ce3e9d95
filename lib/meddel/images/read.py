"""Decode images and masks of any common kind in one way: 8-bit RGB, upright; masks as foreground or not.

EXIF orientation is undone, as viewers and annotation tools show images upright and masks are drawn on what they show.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageChops

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
# Whatever a file is called, no other decoder sees it: Pillow has some which start programs (EPS) or read far more.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
_JPEG, _BLOCK = ("JPEG", "MPO"), 64
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
_MOST_PIXELS = 2 * 89_478_485  # where Pillow refuses as well
_MOST_BYTES = 8 * _MOST_PIXELS  # four channels of 16 bits, without compression
_LABEL_NUMBERS = 32
_ORIENTATION = 0x0112
_TURNS = {  # not ImageOps.exif_transpose, which rewrites the EXIF and fails where that is broken
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
T = TypeVar("T")
R = TypeVar("R")


def read_file(path: Path) -> bytes:
    """Return the bytes of an image file; refuse a pipe, a device, or more bytes than any image has, by an OSError."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "a folder, a pipe or a device, no file")
    if found.st_size > _MOST_BYTES:
        raise OSError(errno.EFBIG, "larger than any image of 178 million pixels is")
    return path.read_bytes()


def upright_size(content: bytes) -> tuple[int, int]:
    """Return width and height in pixels of an image file, upright, after decoding it to its last byte.

    Bytes which are no image, a truncated one or one of more than 178 million pixels raise one of `UNREADABLE`.
    """
    with _opened(content) as image:
        width, height = image.size
        turned = _orientation(image) >= 5
        image.draft("L", (1, 1))  # a JPEG is read through to its end, but its pixels needn't be computed in full
        image.load()
    return (height, width) if turned else (width, height)


def read_rgb(content: bytes, at_least: int | None = None) -> Image.Image:
    """Decode an image file to 8-bit RGB, upright.

    Greyscale and palette images become RGB, transparency is laid over black, more than 8 bits are scaled so that the
    full range of 12 or 16 bits becomes 0 to 255 and floats so that their own range does. Errors are as for
    `upright_size`.

    Parameters
    ----------
    content : bytes
        The file's bytes.
    at_least : int or None
        Pixels per side which are enough: a large JPEG is then decoded at 1/2, 1/4 or 1/8 of its size, but not below.
    """
    with _opened(content) as image:
        if at_least is not None:
            image.draft("RGB", (at_least, at_least))
        return _as_rgb(_upright(image))


def read_foreground(content: bytes) -> np.ndarray:
    """Decode a mask file to foreground (True) and background: bool [height, width].

    Foreground is where the brightest channel is above 127, which also holds for coloured masks and for the ringing of a
    JPEG. A lossless greyscale mask with values below 32 only holds label numbers: there it is everything above 0.
    """
    with _opened(content) as image:
        lossy = image.format in _JPEG
        upright = _upright(image)
        if upright.mode == "L" or upright.mode.startswith("I"):
            values = np.asarray(upright)
            if not lossy and values.max(initial=0) < _LABEL_NUMBERS:
                return values > 0
        if upright.mode == "L":
            return values > 127
        bands = _as_rgb(upright).split()
        return np.asarray(functools.reduce(ImageChops.lighter, bands)) > 127


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield ``function(item)`` in the items' order, computed by a thread for each usable core, few items ahead."""
    workers = usable_cores()
    remaining = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        pending = deque(pool.submit(function, item) for item in islice(remaining, 8 * workers))
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in pending:
                future.cancel()


def usable_cores() -> int:
    """Return the number of cores which this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """Open an image file; whatever its bytes lead to is raised as one of `UNREADABLE`."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.format in _JPEG and 8 * len(content) * _BLOCK < image.width * image.height:
                raise OSError("truncated: fewer bits than blocks of pixels")  # libjpeg would fill it with grey
            yield image
    except UNREADABLE:
        raise
    except Exception as error:  # the decoders raise whatever broken bytes lead to, MemoryError too
        raise ValueError(f"broken image: {type(error).__name__} {error}") from error


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none, or none with a meaning."""
    if image.format == "PNG":
        image.load()  # its EXIF may come after the pixels
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return int(value) if value in _TURNS else 1
    except Exception:  # broken EXIF: the picture is shown as it is stored
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """Return the loaded image, turned as its EXIF asks; without a copy where there is nothing to turn."""
    turn = _TURNS.get(_orientation(image))
    image.load()
    return image if turn is None else image.transpose(turn)


def _as_rgb(upright: Image.Image) -> Image.Image:
    if upright.mode[0] in "IF":
        upright = Image.fromarray(_to_8_bits(np.asarray(upright)))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        black = Image.new("RGBA", upright.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(black, upright)
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        known = np.isfinite(values)
        low = float(values.min(where=known, initial=np.inf))
        high = float(values.max(where=known, initial=-np.inf))
        if high <= low:
            return np.zeros(values.shape, np.uint8)
        scaled = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
        scaled -= low
        scaled *= 255 / (high - low)
        return scaled.astype(np.uint8)
    values = np.maximum(values, 0)
    bits = int(values.max()).bit_length()
    depth = next(depth for depth in (8, 12, 16, 32) if bits <= depth)
    return (values >> (depth - 8)).astype(np.uint8)
