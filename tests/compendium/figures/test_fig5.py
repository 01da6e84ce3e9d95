"""Deleted images and their partners, on selections made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from compendium.figures.fig5 import clusters, duplicates, likeness
from compendium.figures.pictures import Pictures
from meddel.errors import MedDELError
from meddel.images import index
from meddel.select import SELECTION_SCHEMA


def selected(*rows: tuple) -> pa.Table:
    """A selection of rows (id, kept, reason, partner, cosine, distance, cluster)."""
    names = ["id", "kept", "reason", "partner", "cosine", "distance", "cluster"]
    return pa.Table.from_pylist(
        [{**dict(zip(names, row, strict=True)), "rank": rank} for rank, row in enumerate(rows)], SELECTION_SCHEMA
    )


@pytest.fixture
def selection() -> pa.Table:
    """Five images: c goes for b, b for a; e is an outlier."""
    return selected(
        ("a", True, "kept", None, None, 0.1, 0),
        ("b", False, "duplicate", "a", 0.9, 0.2, 0),
        ("c", False, "duplicate", "b", 0.8, 0.3, 0),
        ("d", True, "kept", None, None, 0.1, 1),
        ("e", False, "outlier", None, None, 0.95, 1),
    )


@pytest.fixture
def images() -> np.ndarray:
    """a, b and c are one picture ever darker; d and e are unrelated noise."""
    rng = np.random.default_rng(0)
    picture, noise = rng.integers(0, 256, (32, 32, 3)), rng.integers(0, 256, (2, 32, 32, 3))
    return np.stack([picture, picture * 0.8, picture * 0.5, *noise]).astype(np.uint8)


def test_pairs_know_whether_the_partner_is_kept(images: np.ndarray, selection: pa.Table) -> None:
    table = duplicates(images, selection, np.random.default_rng(0))
    assert table[["row", "partner", "partner_kept"]].to_numpy().tolist() == [[1, 0, True], [2, 1, False]]
    assert table.cosine.tolist() == pytest.approx([0.9, 0.8])


def test_likeness_ignores_brightness_and_sees_structure(images: np.ndarray) -> None:
    alike, unlike, same = likeness(images, np.array([0, 0, 3]), np.array([2, 3, 3]))
    assert alike > 0.99 and same == pytest.approx(1) and abs(unlike) < 0.3
    flat = np.full((1, 32, 32, 3), 7, np.uint8)
    assert likeness(flat, np.array([0]), np.array([0])).tolist() == [0.0]


def test_partners_win_against_chance_where_they_are_alike(images: np.ndarray, selection: pa.Table) -> None:
    # c's partner is b; b's is a, which is also one of the two kept images that may be drawn: then it is a tie
    table = duplicates(images, selection, np.random.default_rng(0))
    assert set(table.closer) <= {0.5, 1.0} and (table.to_partner > 0.99).all()
    swapped = images[[0, 3, 2, 1, 4]]
    assert duplicates(swapped, selection, np.random.default_rng(0)).to_partner.max() < 0.3


def test_duplicates_refuse_what_it_cannot_compare(images: np.ndarray, selection: pa.Table) -> None:
    with pytest.raises(MedDELError, match="4 images and 5"):
        duplicates(images[:4], selection, np.random.default_rng(0))
    alone = selected(("a", True, "kept", None, None, 0.1, 0))
    with pytest.raises(MedDELError, match="no image was deleted"):
        duplicates(images[:1], alone, np.random.default_rng(0))


def test_clusters_are_counted_and_ordered_by_redundancy(selection: pa.Table) -> None:
    table = clusters(selection)
    assert table.cluster.tolist() == [0, 1]
    assert table[["images", "outliers", "kept"]].to_numpy().tolist() == [[3, 0, 1], [2, 1, 1]]
    assert table.redundancy[0] == pytest.approx(0.85) and np.isnan(table.redundancy[1])


def test_pictures_are_read_when_asked_for(tmp_path: Path, images: np.ndarray) -> None:
    (tmp_path / "set").mkdir()
    for name, image in zip("ab", images, strict=False):
        Image.fromarray(image).save(tmp_path / "set" / f"{name}.png")
    pictures = Pictures(index.build_index(tmp_path), 24)
    assert len(pictures) == 2 and pictures[1].shape == (24, 24, 3) and pictures[1].mean() < pictures[0].mean()
    (tmp_path / "set" / "b.png").unlink()
    with pytest.raises(MedDELError, match=r"b\.png"):
        pictures[1]
