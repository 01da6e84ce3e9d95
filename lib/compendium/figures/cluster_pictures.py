"""Pictures of whole clusters, and of the images farthest from their centroids (section 4.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from compendium.figures import style

_COLOURS = {"kept": style.BLUE, "duplicate": style.RED, "outlier": "#222222", "not drawn": style.GREY}


def cluster_pictures(
    images: Sequence[np.ndarray], selection: pa.Table, chosen: Sequence[int], columns: int = 8
) -> Figure:
    """Draw clusters, one a row, from the image nearest to the centroid to the farthest, evenly spaced.

    Parameters
    ----------
    images : sequence of ndarray of uint8 [height, width, 3]
        In the selection's row order, such as `compendium.neighbours.Pictures`.
    selection : pa.Table
        SELECTION with clusters.
    chosen : sequence of int
        Clusters to draw.
    columns : int
        Greatest number of pictures a row.

    Returns
    -------
    Figure
        A frame's colour says what became of the image.
    """
    table = selection.to_pandas()
    lines = []
    for cluster in chosen:
        mine = table[table.cluster == cluster].sort_values(["distance", "id"])
        shown = mine.iloc[np.unique(np.linspace(0, len(mine) - 1, min(columns, len(mine))).astype(int))]
        lines.append((f"cluster {cluster}\n{len(mine):,} images\n{mine.kept.sum():,} kept", shown))
    message = "Clusters from centre to rim: kept (blue), duplicate (red), outlier (black)"
    sentences = [line[0].replace("\n", ", ") for line in lines]
    return _draw(images, lines, columns, message, f"Rows of pictures, a cluster each: {'; '.join(sentences)}.")


def farthest_pictures(images: Sequence[np.ndarray], selection: pa.Table, eps: float, columns: int = 8) -> Figure:
    """Draw the images farthest from their centroids, which the eps filter is there to find (section 3.2).

    Parameters
    ----------
    images, selection, columns
        As for `cluster_pictures`; two rows are drawn.
    eps : float
        The distance beyond which an image is an outlier.

    Returns
    -------
    Figure
    """
    table = selection.to_pandas().sort_values(["distance", "id"], ascending=[False, True])
    lines = [("", table.iloc[start : start + columns]) for start in (0, columns) if start < len(table)]
    beyond = int((table.distance > eps).sum())
    message = f"Farthest from their centroids: {beyond:,} of {len(table):,} images lie beyond eps = {eps:g} (black)"
    far, near = table.distance.iloc[[0, min(2 * columns, len(table)) - 1]]
    return _draw(
        images, lines, columns, message,
        f"The images farthest from their centroids, at distances from {far:.3f} to {near:.3f}; {beyond:,} lie beyond "
        f"eps = {eps:g}.",
    )  # fmt: skip


def _draw(
    images: Sequence[np.ndarray], lines: list[tuple[str, pd.DataFrame]], columns: int, message: str, alt: str
) -> Figure:
    with style.styled():
        figure, axes = style.new(len(lines), columns, 1.2 * columns, 1.42 * len(lines) + 0.4)
        for axis in axes:
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
        for row, (label, shown) in enumerate(lines):
            line = axes[row * columns : (row + 1) * columns]
            line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
            for axis, image in zip(line, shown.itertuples(), strict=False):
                axis.imshow(images[image.Index])
                axis.set_title(f"distance {image.distance:.2f}", loc="center", fontsize=8)
                axis.spines[:].set(visible=True, color=_COLOURS.get(image.reason, style.GREY), linewidth=2)
        style.message(figure, message)
    return style.describe(figure, alt)
