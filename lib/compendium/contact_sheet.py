"""A contact sheet: a few images of every set side by side, masks outlined, to see what a run works on (section 3.1)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from compendium.figures import style
from meddel.errors import MedDELError
from meddel.images import pixels
from meddel.images import read as images


def contact_sheet(index: pa.Table, columns: int = 8, size: int = 160) -> Figure:
    """Draw a row of images for every source of an index.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`. Of every source, images are taken at even distances in the order of their ids,
        which for video is the order of time.
    columns : int
        Images per source, at most.
    size : int
        Pixels per side to which an image is squeezed. An outline of the mask is drawn where there is one.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        The index is empty, `columns` is below 1, or an image is gone or has changed.
    """
    if columns < 1 or not index.num_rows:
        raise MedDELError(f"no sheet of {index.num_rows} images in {columns} columns", fix="give at least one of each")
    sources = sorted(index["source"].unique().to_pylist())
    lines = []
    with style.styled():
        figure, axes = style.new(len(sources), columns, 1.15 * columns, 1.36 * len(sources) + 0.35)
        for axis in axes:
            axis.axis("off")
        for row, source in enumerate(sources):
            part = index.filter(pc.equal(index["source"], source))
            masks = part.num_rows - part["mask"].null_count
            counted = f"{part.num_rows:,} images" + (f", {masks:,} with a mask" if masks else "")
            places = np.unique(np.linspace(0, part.num_rows - 1, min(columns, part.num_rows)).astype(int))
            for axis, image in zip(axes[row * columns :], part.take(places).to_pylist(), strict=False):
                _show(axis, image, size)
            # A title would widen the first column to its own width; a note outside the layout does not.
            heading = {"xytext": (0, 4), "textcoords": "offset points", "fontsize": 8.5}
            axes[row * columns].annotate(
                f"{source}: {counted}", (0, 1), xycoords="axes fraction", **heading
            ).set_in_layout(False)
            lines.append(f"{source}: {counted}")
        figure.get_layout_engine().set(h_pad=0.13)
        outlined = ", masks outlined" if index["mask"].null_count < index.num_rows else ""
        style.message(figure, f"The {len(sources)} sets of this run{outlined}")
    return style.describe(figure, f"Up to {columns} images of every set, one row a set. {'; '.join(lines)}.")


def _show(axis: Axes, row: dict[str, str], size: int) -> None:
    axis.imshow(pixels.square(Path(row["path"]), row["sha256"], size))
    if row["mask"]:
        drawn = Image.fromarray(images.read_foreground(Path(row["mask"]).read_bytes()).astype(np.float32))
        foreground = np.asarray(drawn.resize((size, size), Image.Resampling.BOX))
        if foreground.max() > 0.5 > foreground.min():
            axis.contour(foreground, [0.5], colors=[style.YELLOW], linewidths=1.2)
