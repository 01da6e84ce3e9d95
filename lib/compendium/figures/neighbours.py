"""Fig. 5: a kept image beside its deleted neighbours (section 4.5)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compendium.figures import style
from meddel.errors import MedDELError


def fig5(images: np.ndarray, selection: pa.Table, groups: int = 3, neighbours: int = 5) -> Figure:
    """Draw the kept images that replace most others, each with some of those that it replaces.

    Parameters
    ----------
    images : ndarray of uint8 [n, height, width, 3]
        In the selection's row order; a memory map will do.
    selection : pa.Table
        SELECTION with partners and cosines.
    groups : int
        Rows: kept images.
    neighbours : int
        Columns: deleted neighbours of each, from the most to the least similar, evenly spaced.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        The numbers of rows differ, or no image was deleted as a duplicate of a kept one.
    """
    table = selection.to_pandas()
    if len(table) != len(images):
        raise MedDELError(f"{len(images)} images and {len(table)} selected rows", fix="give equal rows")
    place = dict(zip(table.id, range(len(table)), strict=True))
    gone = table[(table.reason == "duplicate") & table.partner.isin(table.id[table.kept])]
    if gone.empty:
        raise MedDELError("no image was deleted as a duplicate of a kept one", fix="lower the ratio")
    counts = gone.partner.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    sentences = []
    with style.styled():
        shown = counts.index[:groups]
        figure, axes = style.new(len(shown), neighbours + 1, 1.45 * (neighbours + 1), 1.68 * len(shown) + 0.4)
        for axis in axes:
            axis.axis("off")
        for row, kept in enumerate(shown):
            line = axes[row * (neighbours + 1) : (row + 1) * (neighbours + 1)]
            mine = gone[gone.partner == kept].sort_values(["cosine", "id"], ascending=[False, True])
            chosen = mine.iloc[np.unique(np.linspace(0, len(mine) - 1, min(neighbours, len(mine))).astype(int))]
            _show(line[0], images[place[kept]], f"kept for {counts[kept]:,}", style.BLUE)
            for axis, other in zip(line[1:], chosen.itertuples(), strict=False):
                _show(axis, images[place[other.id]], f"cosine {other.cosine:.3f}", style.RED)
            sentences.append(
                f"{kept} for {counts[kept]:,} with cosines {mine.cosine.max():.3f} to {mine.cosine.min():.3f}"
            )
        style.message(figure, "Kept images (blue) and neighbours deleted for them (red)")
    return style.describe(
        figure, f"Rows of pictures, a kept image and up to {neighbours} deleted neighbours: {'; '.join(sentences)}."
    )


def _show(axis: Axes, image: np.ndarray, title: str, colour: str) -> None:
    axis.axis("on")
    axis.imshow(np.asarray(image))
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    axis.set_title(title, loc="center", fontsize=8)
    for spine in axis.spines.values():
        spine.set(visible=True, color=colour, linewidth=2)
