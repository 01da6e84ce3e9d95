"""Draw the text that processors burn into the picture: dates, times and settings, in a bitmap font of 3 x 5 pixels."""

from __future__ import annotations

import functools

import numpy as np

from endosim.compiled import compiled
from endosim.data_sets import TextLayout

_ROWS = {
    "0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711", "5": "74717", "6": "74757", "7": "71122",
    "8": "75757", "9": "75717", "A": "25755", "C": "74447", "E": "74647", "G": "74557", "H": "55755", "I": "72227",
    "N": "57755", "P": "75744", "R": "75765", "S": "74717", "T": "72222", "V": "55552", "X": "55255", "/": "11244",
    ":": "02020", ".": "00002", "-": "00700", "_": "00007", "#": "77777", " ": "00000",
}  # fmt: skip


@functools.lru_cache(maxsize=256)
def burn_in(layout: TextLayout, video: int, second: int, side: int) -> np.ndarray:
    """Return the text's cover, float32 [side, side] in [0, 1]; `video` decides date and patient, `second` the clock."""
    detail = 4
    cover = np.zeros((side, side), np.float32)
    zoom = max(2, round(side * detail / (160 if layout == "left" else 125)))
    day, month, year = 1 + video * 7 % 28, 1 + video * 5 % 12, 2011 + video * 3 % 9
    clock = f"{8 + video % 9:02d}:{video * 13 % 60:02d}:{second % 60:02d}"
    date = f"{day:02d}/{month:02d}/{year}"
    last = side * detail
    if layout == "left":
        texts = ("S N.A.", "SEX AGE", date, clock, "#####", f"CVP {video % 4}")
        places = (0.3, 0.34, 0.43, 0.47, 0.6, 0.66)
        for text, top in zip(texts, places, strict=True):
            _write(cover, detail, text, round(top * last), 6, zoom)
    elif layout == "top_right":
        _write(cover, detail, date, 8, last - (4 * len(date) + 1) * zoom, zoom)
        _write(cover, detail, clock, 8 + 7 * zoom, last - (4 * len(clock) + 1) * zoom, zoom)
        _write(cover, detail, f"G{video % 3} E{video % 5}", last - 8 * zoom, 8, zoom)
    elif layout == "corners":
        _write(cover, detail, clock, last - 8 * zoom, 8, zoom)
        _write(cover, detail, f"N.{video % 1000:03d}", 8, 8, zoom)
    cover.setflags(write=False)
    return cover


def _write(cover: np.ndarray, detail: int, text: str, top: int, left: int, zoom: int) -> None:
    """Add a line of text to `cover`; place and zoom are in parts of a pixel, `detail` of them a side."""
    bits = np.concatenate([_glyph(letter) for letter in text], axis=1)
    _add_dots(cover, bits, top, left, zoom, detail, 0.6 / detail**2)


@functools.cache
def _glyph(letter: str) -> np.ndarray:
    """Return a letter and the space after it, uint8 [5, 4], of 0 and 1."""
    return np.asarray([[int(row) >> bit & 1 for bit in (2, 1, 0)] + [0] for row in _ROWS[letter]], np.uint8)


@compiled()
def _add_dots(cover: np.ndarray, bits: np.ndarray, top: int, left: int, zoom: int, detail: int, ink: float) -> None:
    """Add `ink` to a pixel for each of its parts that a set bit, `zoom` parts wide, covers."""
    side = cover.shape[0] * detail
    for row in range(bits.shape[0]):
        for column in range(bits.shape[1]):
            y, x = top + row * zoom, left + column * zoom
            if bits[row, column] == 0:
                continue
            for i in range(y, min(y + zoom, side)):
                for j in range(x, min(x + zoom, side)):
                    cover[i // detail, j // detail] += ink
