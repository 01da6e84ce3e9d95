"""Tiling of the hardest patches, after OptiDEL (arXiv 2408.07107): new images for pre-training, four patches each.

OptiDEL cuts patches out of the images with SAM, ranks them by the error of a masked autoencoder, and puts the hardest
together, four to an image. Here a regular grid stands for SAM: it needs no further network and no weights to fetch, no
pixel is resized, and every patch has the same size; but a cell can cut through an object, which SAM avoids. What the
cells show need not belong together, as in OptiDEL.

Overexposed and otherwise disrupted frames are hard to rebuild too: give it the images that a filter for them left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel.errors import MedDELError
from meddel.progress import progress

PATCHES = 4  # in a tiled image, two by two


class Tiles(NamedTuple):
    """Result of `tile_hardest`, the hardest first.

    Attributes
    ----------
    images : uint8 [m, side, side, 3]
        RGB.
    row : int64 [m, 4]
        The image that each patch was cut from; patches from the top left to the bottom right.
    top, left : int64 [m, 4]
        Where it lay in that image, in pixels from its top left corner. It is a square of ``side / 2``.
    error : float32 [m, 4]
        Its error.
    """

    images: np.ndarray
    row: np.ndarray
    top: np.ndarray
    left: np.ndarray
    error: np.ndarray


def tile_hardest(images: np.ndarray, errors: np.ndarray, count: int, *, side: int | None = None) -> Tiles:
    """Cut the images into a grid and make `count` images of the ``4 count`` cells with the greatest error.

    The error of a cell is the mean of those of the encoder's patches in it. Cells that follow each other by falling
    error, ties by row and then by place, make one image.

    Parameters
    ----------
    images : uint8 [n, s, s, 3]
        RGB; may be a memory map, and decoded larger than the encoder sees them.
    errors : float [n, g * g]
        Of the encoder's patches, row by row from the top left: `meddel.pretrain.reconstruction.patch_errors`.
    count : int
        How many images to make, from 1 to a quarter of all cells.
    side : int or None
        Pixels per side of the new images, even; a cell has half of it, which must divide s, and the number of cells per
        side must divide g. None means s: four cells an image. With images decoded at twice the encoder's size and its
        size as `side` there are sixteen.

    Raises
    ------
    MedDELError
        Errors that don't fit the images or are not finite, a side that does not fit, or more images than there are
        cells for.
    """
    patches = _checked(images, errors)
    n, size, grid = len(images), images.shape[1], patches.shape[1]
    side = size if side is None else side
    cell = side // 2
    if side < 2 or side % 2 or size % cell or grid % (size // cell):
        what = f"images of {side} pixels can't be tiled from images of {size} pixels with {grid} x {grid} patches"
        raise MedDELError(what, fix="give an even side, half of which divides the images into a grid of whole patches")
    across = size // cell
    if not 1 <= count <= n * across**2 // PATCHES:
        what = f"can't make {count} images of {n * across**2} cells"
        raise MedDELError(what, fix=f"give a number from 1 to {n * across**2 // PATCHES}")
    each = grid // across
    hardness = patches.reshape(n, across, each, across, each).mean(axis=(2, 4)).ravel()
    hardest = np.argsort(-hardness, kind="stable")[: PATCHES * count].reshape(count, PATCHES)
    row, place = np.divmod(hardest, across**2)
    top, left = (cell * index for index in np.divmod(place, across))
    tiled = np.empty((count, side, side, 3), np.uint8)
    for number in progress(range(count), what="tile", unit="image"):
        for corner in range(PATCHES):
            y, x = top[number, corner], left[number, corner]
            below, right = (cell * index for index in divmod(corner, 2))
            source = images[row[number, corner], y : y + cell, x : x + cell]
            tiled[number, below : below + cell, right : right + cell] = source
    return Tiles(tiled, row, top, left, hardness[hardest].astype(np.float32))


def _checked(images: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return the errors as float64 [n, g, g], or refuse them or the images."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise MedDELError(f"images are {images.dtype} {images.shape}", fix="decode them as uint8 [n, s, s, 3]")
    grid = round(np.sqrt(errors.shape[1])) if errors.ndim == 2 else 0
    if not grid or errors.shape != (len(images), grid**2):
        what = f"errors of shape {errors.shape} for {len(images)} images"
        raise MedDELError(what, fix="pass those of patch_errors for these images")
    finite = np.isfinite(errors).all(axis=1)
    if not finite.all():
        what = "NaN or infinity for the error of a patch"
        raise MedDELError(what, f"row {int(np.argmin(finite))}", "compute the errors again")
    return np.asarray(errors, np.float64).reshape(-1, grid, grid)
