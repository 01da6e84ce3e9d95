"""One binary mask for each image, from whatever a set draws: several files, JPEG, labels, colours or polygons."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from meddel.errors import MedDELError
from meddel.images import read as images


def united(paths: Sequence[Path], size: tuple[int, int]) -> bytes:
    """Return the union of an image's masks as a PNG of 0 and 255.

    Parameters
    ----------
    paths : sequence of Path
        Mask files as ``images.read_foreground`` reads them (a JPEG is cut at 127), or ``.xml`` files of Aperio's
        ImageScope with a polygon for each region (MoNuSeg).
    size : (int, int)
        Width and height of the upright image in pixels.

    Raises
    ------
    MedDELError
        A mask can't be read, or has another size.
    """
    foreground = np.zeros(size[::-1], bool)
    for path in paths:
        try:
            drawn = _polygons(path, size) if path.suffix == ".xml" else images.read_foreground(images.read_file(path))
        except (*images.UNREADABLE, ElementTree.ParseError, KeyError) as error:
            raise MedDELError("the mask can't be read", path, "fetch the archive again") from error
        if drawn.shape != foreground.shape:
            sizes = f"mask of {drawn.shape[1]} x {drawn.shape[0]} pixels, image of {size[0]} x {size[1]}"
            raise MedDELError(sizes, path, "report it to the set's authors, or make the mask as large as the image")
        foreground |= drawn
    stream = io.BytesIO()
    Image.fromarray(foreground).convert("L").save(stream, "PNG")
    return stream.getvalue()


def _polygons(path: Path, size: tuple[int, int]) -> np.ndarray:
    canvas = Image.new("1", size)
    pen = ImageDraw.Draw(canvas)
    for region in ElementTree.parse(path).iter("Region"):
        corners = [(float(vertex.attrib["X"]), float(vertex.attrib["Y"])) for vertex in region.iter("Vertex")]
        if len(corners) > 2:
            pen.polygon(corners, fill=1)
    return np.asarray(canvas)
