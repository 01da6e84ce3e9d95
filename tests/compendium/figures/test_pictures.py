"""The contact sheet shows the images it says it shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from PIL import Image

from compendium import figures
from meddel.errors import MedDELError
from meddel.images import index


@pytest.fixture
def pictures(tmp_path: Path) -> pa.Table:
    """Ten grey images of rising brightness without masks, and two with masks of their left halves."""
    for number in range(10):
        _save(np.full((20, 30, 3), 20 * number, np.uint8), tmp_path / "plain" / f"{number}.png")
    half = np.zeros((20, 30), np.uint8)
    half[:, :15] = 255
    for number in range(2):
        _save(np.full((20, 30, 3), 90, np.uint8), tmp_path / "masked" / "images" / f"{number}.png")
        _save(half, tmp_path / "masked" / "masks" / f"{number}.png")
    return index.build_index(tmp_path)


def _save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def shown(figure: Figure, columns: int) -> list[list[np.ndarray]]:
    """The pictures on a sheet, row by row."""
    rows = [figure.axes[start : start + columns] for start in range(0, len(figure.axes), columns)]
    return [[np.asarray(image.get_array()) for axis in row for image in axis.get_images()] for row in rows]


def test_images_are_evenly_spaced_and_of_the_size_asked_for(pictures: pa.Table) -> None:
    masked, plain = shown(figures.contact_sheet(pictures, columns=4, size=24), 4)
    assert [int(image.mean()) for image in plain] == [0, 60, 120, 180]
    assert len(masked) == 2 and {image.shape for image in masked + plain} == {(24, 24, 3)}


def test_masks_are_outlined_and_counted(pictures: pa.Table) -> None:
    figure = figures.contact_sheet(pictures, columns=2, size=30)
    outlines = [axis.collections[0].get_paths()[0].vertices for axis in figure.axes if axis.collections]
    assert len(outlines) == 2
    assert all(np.allclose(outline[:, 0], 14.5) for outline in outlines), "between the two halves"
    text = figures.alt(figure)
    assert "masked, 2 images, 2 with a mask" in text and "plain, 10 images" in text


def test_a_source_with_few_images_leaves_cells_empty(pictures: pa.Table) -> None:
    masked, plain = shown(figures.contact_sheet(pictures, columns=12), 12)
    assert (len(masked), len(plain)) == (2, 10)


def test_refuses_an_empty_index_and_no_columns(pictures: pa.Table) -> None:
    for table, columns in ((pictures.slice(0, 0), 8), (pictures, 0)):
        with pytest.raises(MedDELError, match="no sheet"):
            figures.contact_sheet(table, columns=columns)


def test_an_image_that_changed_is_named(pictures: pa.Table) -> None:
    path = Path(pictures["path"][0].as_py())
    _save(np.zeros((20, 30, 3), np.uint8), path)
    with pytest.raises(MedDELError, match="changed"):
        figures.contact_sheet(pictures)
