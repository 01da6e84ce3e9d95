"""Open image and mask files of any common kind in one way: 8-bit RGB, upright; masks as foreground or not.

EXIF orientation is undone, because viewers and annotation tools show images upright and masks are drawn on what they
show: a mask must have the size of the upright image.
"""

from __future__ import annotations

import functools
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from PIL import Image, ImageChops, ImageOps

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
_LABEL_NUMBERS = 32
T = TypeVar("T")
R = TypeVar("R")


def upright_size(content: bytes) -> tuple[int, int]:
    """Return width and height in pixels of an image file, upright, after decoding it to its last byte.

    Raises
    ------
    One of `UNREADABLE`
        The bytes are no image, a truncated one, or one of more than 178 million pixels.
    """
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) >= 5
        image.draft("L", (1, 1))  # a JPEG is read through to its end, but its pixels needn't be computed in full
        image.load()
    return (height, width) if turned else (width, height)


def read_rgb(content: bytes, at_least: int | None = None) -> Image.Image:
    """Decode an image file to 8-bit RGB, upright.

    Greyscale and palette images become RGB, transparency is laid over black, more than 8 bits are scaled so that the
    full range of 12 or 16 bits becomes 0 to 255 and floats so that their own range does.

    Parameters
    ----------
    content : bytes
        The file's bytes.
    at_least : int or None
        Pixels per side that are enough: a large JPEG is then decoded at 1/2, 1/4 or 1/8 of its size, but not below.

    Raises
    ------
    One of `UNREADABLE`
        As in `upright_size`.
    """
    with Image.open(io.BytesIO(content)) as image:
        if at_least is not None:
            image.draft("RGB", (at_least, at_least))
        # In its place: a copy of a large image takes longer than decoding it.
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
        return _as_rgb(image)


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
        low, high = np.nanmin(values), np.nanmax(values)
        return np.nan_to_num(255 * (values - low) / max(high - low, np.finfo(np.float32).tiny)).astype(np.uint8)
    values = np.maximum(values, 0).astype(np.int64)
    bits = int(values.max()).bit_length()
    depth = next(depth for depth in (8, 12, 16, 32) if bits <= depth)
    return (values >> (depth - 8)).astype(np.uint8)


def read_foreground(content: bytes) -> np.ndarray:
    """Decode a mask file to foreground (True) and background.

    Foreground is where the brightest channel is above 127, which also holds for coloured masks and for the ringing of a
    JPEG. A lossless greyscale mask whose values all lie below 32 holds label numbers (0/1, or classes): there
    everything above 0 is foreground.

    Returns
    -------
    np.ndarray
        bool [height, width].

    Raises
    ------
    One of `UNREADABLE`
        As in `upright_size`.
    """
    with Image.open(io.BytesIO(content)) as image:
        lossy = image.format == "JPEG"
        upright = ImageOps.exif_transpose(image)
    if upright.mode == "L" or upright.mode.startswith("I"):
        values = np.asarray(upright)
        if not lossy and values.max(initial=0) < _LABEL_NUMBERS:
            return values > 0
    if upright.mode == "L":
        return values > 127
    bands = _as_rgb(upright).split()
    return np.asarray(functools.reduce(ImageChops.lighter, bands)) > 127


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield ``function(item)`` in the items' order, computed by as many threads as there are usable cores.

    Few items are in work at a time, so that neither memory nor a slow reader of the results matters.
    """
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
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
