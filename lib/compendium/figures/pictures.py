"""Images side by side: rows of framed pictures, and the contact sheet of a run (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure
from PIL import Image

from compendium.figures import style
from meddel.errors import MedDELError
from meddel.images import pixels, read


class Picture(NamedTuple):
    """One image, the line above it, the colour of its frame ("" for none), and the outline of a mask if any."""

    image: np.ndarray
    title: str = ""
    colour: str = ""
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Pictures:
    """The images of an index as squares of `size` pixels, each read from its file when it is asked for."""

    index: pa.Table
    size: int = 192

    def __len__(self) -> int:
        return self.index.num_rows

    def __getitem__(self, row: int) -> np.ndarray:
        """Return one image: uint8 [size, size, 3], RGB. A file that is gone or has changed is a `MedDELError`."""
        path, sha256 = (self.index[name][int(row)].as_py() for name in ("path", "sha256"))
        return pixels.square(Path(path), sha256, self.size)


def spread(count: int, most: int) -> np.ndarray:
    """Return at most `most` of the positions 0 to count - 1, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))


@style.styled()
def draw(rows: Sequence[tuple[str, Sequence[Picture]]], columns: int, message: str, alt: str) -> Figure:
    """Draw rows of pictures, each with a label on its left."""
    figure, axes = style.new(len(rows), columns, 1.3 * columns + 0.6, 1.5 * len(rows) + 0.4)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
    for number, (label, shown) in enumerate(rows):
        line = axes[number * columns : (number + 1) * columns]
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        for axis, one in zip(line, shown, strict=False):
            axis.imshow(np.asarray(one.image))
            axis.set_title(one.title, loc="center", fontsize=8)
            if one.colour:
                axis.spines[:].set(visible=True, color=one.colour, linewidth=2)
            if one.mask is not None and one.mask.max() > 0.5 > one.mask.min():
                axis.contour(one.mask, [0.5], colors=[style.YELLOW], linewidths=1.2)
    return style.finish(figure, message, alt)


def contact_sheet(index: pa.Table, columns: int = 8, size: int = 160) -> Figure:
    """Draw up to `columns` images for every source of an INDEX, at even distances in the order of their ids.

    Images are squeezed to `size` pixels a side; the mask is outlined where there is one.
    """
    if columns < 1 or not index.num_rows:
        raise MedDELError(f"no sheet of {index.num_rows} images in {columns} columns", fix="give at least one of each")
    rows, lines = [], []
    for source in sorted(index["source"].unique().to_pylist()):
        part = index.filter(pc.equal(index["source"], source))
        masks = part.num_rows - part["mask"].null_count
        counted = [source, f"{part.num_rows:,} images", *([f"{masks:,} with a mask"] if masks else [])]
        shown = part.take(spread(part.num_rows, columns)).to_pylist()
        rows.append(("\n".join(counted), [_with_mask(row, size) for row in shown]))
        lines.append(", ".join(counted))
    outlined = ", masks outlined" if index["mask"].null_count < index.num_rows else ""
    said = f"Up to {columns} images of every set, one row a set. {'; '.join(lines)}."
    return draw(rows, columns, f"The {len(rows)} sets of this run{outlined}", said)


def _with_mask(row: dict[str, Any], size: int) -> Picture:
    image, mask = pixels.square(Path(row["path"]), row["sha256"], size), None
    if row["mask"]:
        drawn = Image.fromarray(read.read_foreground(Path(row["mask"]).read_bytes()).astype(np.float32))
        mask = np.asarray(drawn.resize((size, size), Image.Resampling.BOX))
    return Picture(image, mask=mask)
