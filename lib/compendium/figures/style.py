"""The look of all figures: one palette, one set of sizes, alt text, and files that are the same for the same figure."""

from __future__ import annotations

import base64
import colorsys
import html
import io
import math
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from meddel import artefacts, wording

# Okabe and Ito's palette: distinct for the common forms of colour blindness, and in this order also in grey.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442",
)  # fmt: skip
GREY, LIGHT = "#666666", "#C8C8C8"
CLUSTERS = (BLUE, ORANGE, GREEN, PURPLE, SKY, "#222222")
ARMS = {"none": GREY, "all": BLUE, "random": ORANGE, "meddel": RED}
NAMES = wording.NAMES

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "meddel",
    "svg.fonttype": "none",
}


class Drawing(Figure):
    """A figure that a notebook shows as an image with its alt text, whatever backend pyplot may use there."""

    def _repr_html_(self) -> str:
        image = base64.b64encode(encoded(self, "png")).decode()
        return f'<img alt="{html.escape(alt(self))}" src="data:image/png;base64,{image}">'


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style inside the block and leave matplotlib's settings as they were."""
    with mpl.rc_context(_RC):
        yield


def new(rows: int, columns: int, width: float, height: float, **axes: object) -> tuple[Figure, list[Axes]]:
    """Return a figure of `width` x `height` inches and its axes in reading order; `axes` as for ``Figure.subplots``."""
    figure = Drawing(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **axes).ravel())


def colours(count: int) -> list[str]:
    """Return `count` colours that can be told apart: those of the palette, then ones far from all before."""
    chosen = [mpl.colors.to_rgb(colour) for colour in (RED, BLUE, GREEN, PURPLE, ORANGE, SKY)][:count]
    others = [colorsys.hls_to_rgb(hue / 36, light, 0.6) for light in (0.25, 0.4, 0.55, 0.7) for hue in range(36)]
    while len(chosen) < count:
        chosen.append(max(others, key=lambda colour: min(math.dist(colour, known) for known in chosen)))
    return [mpl.colors.to_hex(colour).upper() for colour in chosen]


def message(figure: Figure, text: str) -> None:
    """Write the figure's one message above it, wrapped to its width."""
    characters = int(figure.get_figwidth() * 12)
    figure.suptitle(textwrap.fill(text, characters), x=0.01, ha="left", fontsize=10.5, fontweight="bold")


def describe(figure: Figure, text: str) -> Figure:
    """Attach alt text to a figure and return the figure."""
    figure.set_label(text)
    return figure


def alt(figure: Figure) -> str:
    """Return the alt text of a figure."""
    return str(figure.get_label())


def save(figure: Figure, folder: Path, name: str, dpi: int = 150) -> list[Path]:
    """Write ``<name>.png`` and ``<name>.svg`` to `folder`, whole or not at all, with the alt text inside.

    Equal figures give equal bytes: no date is written.

    Parameters
    ----------
    figure : Figure
        A figure of this package.
    folder : Path
        Made if it is not there.
    name : str
        File name without suffix.
    dpi : int
        Dots per inch of the PNG.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    MedDELError
        The folder can't be written.
    """
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    for path in paths:
        artefacts.write_bytes(path, encoded(figure, path.suffix[1:], dpi))
    return paths


def encoded(figure: Figure, suffix: Literal["png", "svg"], dpi: int = 150) -> bytes:
    """Return the figure as a PNG or an SVG with its alt text inside and without a date."""
    stream = io.BytesIO()
    undated = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}[suffix]
    with styled():
        figure.savefig(stream, format=suffix, dpi=dpi, metadata={"Description": alt(figure), **undated})
    return stream.getvalue()


def read_alt(path: Path) -> str:
    """Return the alt text that `save` put into a PNG, or an empty string."""
    with Image.open(path) as image:
        return str(image.info.get("Description", ""))
