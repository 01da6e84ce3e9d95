"""Small images side by side with a line above each: how the workshop looks at its pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from compendium.figures import style
from meddel.errors import MedDELError


def sheet(images: np.ndarray, titles: Sequence[str], message: str, columns: int = 8) -> Figure:
    """Draw images in rows of `columns`.

    Parameters
    ----------
    images : uint8 [m, s, s, 3]
        At least one.
    titles : sequence of str
        One above each image; may be empty.
    message : str
        What is to be seen; also the alt text.
    columns : int
        At least 1.

    Raises
    ------
    MedDELError
        No images, or another number of titles.
    """
    if not len(images) or len(images) != len(titles):
        raise MedDELError(
            f"{len(images)} images and {len(titles)} titles", fix="give as many titles as images, at least one"
        )
    rows = -(-len(images) // columns)
    with style.styled():
        figure, axes = style.new(rows, columns, 1.15 * columns, 1.35 * rows + 0.4)
        for axis in axes:
            axis.axis("off")
        for axis, image, title in zip(axes, images, titles, strict=False):
            axis.imshow(image)
            axis.set_title(title, fontsize=7)
        style.message(figure, message)
    return style.describe(figure, f"{message}: {len(images)} images. {', '.join(filter(None, titles))}")
