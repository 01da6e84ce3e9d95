"""The map of the embeddings: the same each time, and every group where it belongs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from compendium import figures
from compendium.figures import style
from compendium.live import embedding_map as maps
from meddel import select
from meddel.errors import MedDELError
from meddel.select.ranking import Ranking
from tests.meddel.select.cases import embeddings_of, index_of, rng

N, K = 120, 8


@pytest.fixture(scope="module")
def index() -> pa.Table:
    """Three centres; videos of six images; the last ten images of no video and no centre."""
    row = np.arange(N)
    known = row < N - 10
    centre = np.where(known, np.char.add("c", (row % 3).astype(str)), None)
    video = np.where(known, np.char.add("v", (row // 6).astype(str)), None)
    return index_of(N).append_column("centre", pa.array(centre)).append_column("video", pa.array(video))


@pytest.fixture(scope="module")
def ranking(index: pa.Table) -> Ranking:
    return select.rank(embeddings_of(N), index, rng(), k=K, eps=0.6)


@pytest.fixture(scope="module")
def shown() -> maps.Plane:
    return maps.plane(embeddings_of(N))


def groups_of(figure: object) -> dict[str, np.ndarray]:
    """The points of each group, by its name in the legend without the count."""
    [axis] = figure.axes
    return {group.get_label().split(" (")[0]: np.asarray(group.get_offsets()) for group in axis.collections}


def test_the_plane_keeps_as_much_variance_as_a_plane_can(shown: maps.Plane) -> None:
    unit = embeddings_of(N) / np.linalg.norm(embeddings_of(N), axis=1, keepdims=True)
    values = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(shown.shares, values[:2] / values.sum(), rtol=1e-5)
    np.testing.assert_allclose(np.square(shown.points).sum(axis=0), values[:2], rtol=1e-5)
    again = maps.plane(embeddings_of(N))
    np.testing.assert_array_equal(shown.points, again.points)


def test_what_is_kept_is_what_a_selection_keeps(shown: maps.Plane, ranking: Ranking, index: pa.Table) -> None:
    for ratio in (0.1, 0.5, 1.0):
        points = groups_of(maps.map_view(shown, ranking, index, colour="kept", ratio=ratio))
        table = select.get("meddel")(embeddings_of(N), index, select.budget_for(ratio, N), rng(), k=K, eps=0.6)
        full = table["kept"].to_numpy()
        np.testing.assert_array_equal(points["kept"], shown.points[full])
        assert sum(map(len, points.values())) == N


@pytest.mark.parametrize("colour", ["cluster", "video", "centre"])
def test_the_largest_groups_stand_where_their_images_do(
    shown: maps.Plane, ranking: Ranking, index: pa.Table, colour: str
) -> None:
    figure = maps.map_view(shown, ranking, index, colour=colour)
    points = groups_of(figure)
    values = (
        np.array([f"cluster {cluster}" for cluster in ranking.cluster])
        if colour == "cluster"
        else np.array(index[colour].to_pylist(), dtype=object)
    )
    named = [name for name in points if name != "others"]
    assert len(named) == min(6, len(set(values[values != np.array(None)])))
    for name in named:
        np.testing.assert_array_equal(points[name], shown.points[values == name])
        assert f"{name}: {np.count_nonzero(values == name)}" in figures.alt(figure)
    assert sum(map(len, points.values())) == N
    assert ("10 of 120 images have none" in figures.alt(figure)) == (colour != "cluster")


def test_images_without_a_video_are_said_to_have_none(shown: maps.Plane, ranking: Ranking) -> None:
    figure = maps.map_view(shown, ranking, index_of(N), colour="video")
    assert "The video of no image is known" in figures.alt(figure)
    assert not figure.legends


def test_a_slider_and_a_choice_change_the_map(
    shown: maps.Plane, ranking: Ranking, index: pa.Table, drawn: list[object]
) -> None:
    colour, ratio, _ = maps.map_sliders(shown, ranking, index).children
    for choice in ("video", "centre"):
        colour.value = choice
    ratio.value = 0.5
    assert colour.value == "kept", "who moves the ratio wants to see what is kept"
    assert len({figures.alt(figure) for figure in drawn}) == 4
    again = maps.map_view(shown, ranking, index, colour="kept", ratio=0.5)
    assert style.encoded(drawn[-1], "png") == style.encoded(again, "png")


def test_what_can_not_be_drawn_is_refused(shown: maps.Plane, ranking: Ranking, index: pa.Table) -> None:
    with pytest.raises(MedDELError, match="can't colour by 'colour'"):
        maps.map_view(shown, ranking, index, colour="colour")
    with pytest.raises(MedDELError, match="an index of 3"):
        maps.map_view(shown, ranking, index[:3])
    with pytest.raises(MedDELError, match="no map of embeddings"):
        maps.plane(embeddings_of(1))


def test_equal_embeddings_have_a_map(index: pa.Table) -> None:
    same = np.ones((N, 4), np.float32)
    figure = maps.map_view(maps.plane(same), select.rank(same, index, rng(), k=1), index)
    assert "0% of the variance" in figures.alt(figure)
