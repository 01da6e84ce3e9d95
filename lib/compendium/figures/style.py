"""The look of all figures: one palette, one set of sizes, alt text, and equal files for equal figures."""

from __future__ import annotations

import base64
import html
import io
import math
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import pandas as pd
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
RATIOS = (RED, ORANGE, PURPLE, GREEN, SKY, BLUE)
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
    """Apply the style inside the block (or the decorated function) and leave matplotlib's settings as they were."""
    with mpl.rc_context(_RC):
        yield


def new(rows: int, columns: int, width: float, height: float, **axes: object) -> tuple[Figure, list[Axes]]:
    """Return a figure of `width` x `height` inches and its axes in reading order; `axes` as for ``Figure.subplots``."""
    figure = Drawing(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **axes).ravel())


def panels(
    names: list[str], width: float, height: float, columns: int = 4, **axes: object
) -> tuple[Figure, list[Axes]]:
    """Return a figure with one titled panel of `width` x `height` inches for each name, and its axes."""
    columns = min(len(names), columns)
    rows = math.ceil(len(names) / columns)
    figure, drawn = new(rows, columns, max(4.8, 1.0 + width * columns), 1.4 + height * rows, **axes)
    for axis in drawn[len(names) :]:
        axis.remove()
    for axis, name in zip(drawn, names, strict=False):
        axis.set_title(name)
    return figure, drawn[: len(names)]


def label_outer(axes: list[Axes], x: str, y: str) -> None:
    """Label the lowest row and the first column of panels only."""
    for axis in axes:
        grid = axis.get_subplotspec()
        axis.set_xlabel(x if grid.is_last_row() else "")
        axis.set_ylabel(y if grid.is_first_col() else "")


def percent(ratio: float) -> str:
    """Return a share as text in percent, with no more digits than it has."""
    return f"{round(100 * ratio, 2):g} %"


def arm(selector: str, ratio: float) -> str:
    """Return the name of a selection with its ratio, as legends show it."""
    return NAMES.get(selector, selector) + ("" if selector in ("none", "all") else f", {percent(ratio)}")


def colours(count: int) -> list[str]:
    """Return `count` colours for rising ratios: of the palette while it lasts, then from dark to light."""
    if count <= len(RATIOS):
        return list(RATIOS[:count])
    return [mpl.colors.to_hex(colour) for colour in mpl.colormaps["turbo"].resampled(count)(range(count))]


def message(figure: Figure, text: str) -> None:
    """Write the figure's one message above it, wrapped to its width."""
    characters = int(figure.get_figwidth() * 12)
    figure.suptitle(textwrap.fill(text, characters), x=0.01, ha="left", fontsize=10.5, fontweight="bold")


def describe(figure: Figure, text: str) -> Figure:
    """Attach alt text to a figure and return the figure."""
    figure.set_label(text)
    return figure


def finish(figure: Figure, text: str, alt: str, legend: int = 0) -> Figure:
    """Give a figure its message, its alt text and, with `legend` columns above 0, the first panel's legend below it."""
    if legend:
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=legend)
    message(figure, text)
    return describe(figure, alt)


def spoken(values: pd.Series, digits: int = 1) -> str:
    """Return a series as text for alt texts, such as ``"a, b 1.5; a, c 2.0"``."""
    names = [", ".join(map(str, key)) if isinstance(key, tuple) else key for key in values.index]
    return "; ".join(f"{name} {value:.{digits}f}" for name, value in zip(names, values, strict=True))


def alt(figure: Figure) -> str:
    """Return the alt text of a figure."""
    return str(figure.get_label())


def save(figure: Figure, folder: Path, name: str, dpi: int = 150) -> list[Path]:
    """Write ``<name>.png`` and ``<name>.svg``, whole or not at all, and return their paths.

    The alt text is inside. Equal figures give equal bytes: no date is written.
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
