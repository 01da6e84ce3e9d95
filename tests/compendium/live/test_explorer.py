"""The explorer's answers against full selections, its page, and its sliders."""

from __future__ import annotations

import re

import numpy as np
import pytest

from compendium.live import explorer
from meddel import select
from meddel.errors import MedDELError
from tests.meddel.select.cases import embeddings_of, index_of, kept, rng

N, K = 150, 6
CARD = re.compile(r'alt="(kept|deleted) image ([^"]+)".*?</figcaption>', re.DOTALL)


@pytest.fixture(scope="module")
def explored() -> explorer.Explored:
    images = rng(1).integers(0, 256, (N, 16, 20, 3), dtype=np.uint8)
    return explorer.explore(embeddings_of(N), index_of(N), images, rng(4), k=K)


def ids(explored: explorer.Explored, chosen: np.ndarray) -> set[str]:
    return set(np.array(explored.ids)[chosen])


@pytest.mark.parametrize("keep", ["near", "far", "random"])
@pytest.mark.parametrize("eps", [0.4, 1.2])
@pytest.mark.parametrize("ratio", [0.02, 0.5, 1.0])
def test_a_ratio_keeps_what_a_selection_keeps(explored: explorer.Explored, ratio: float, eps: float, keep: str) -> None:
    found = explorer.answer(explored, ratio=ratio, eps=eps, keep=keep)
    full = select.get("meddel")(
        embeddings_of(N), index_of(N), select.budget_for(ratio, N), rng(4), k=K, eps=eps, keep=keep
    )
    assert ids(explored, found.kept) == kept(full)
    as_many = found.ranking.ascending
    assert (found.eta is not None) == (found.budget in np.searchsorted(as_many, as_many[np.isfinite(as_many)], "right"))
    if found.eta is not None:
        same = select.at_threshold(embeddings_of(N), index_of(N), found.eta, rng(4), k=K, eps=eps, keep=keep)
        assert kept(same) == kept(full)


@pytest.mark.parametrize("eta", [-1, 0.3, 0.99])
def test_a_threshold_keeps_what_a_selection_keeps(explored: explorer.Explored, eta: float) -> None:
    eps, keep = 0.6, "far"
    found = explorer.answer(explored, ratio=0.5, eta=eta, eps=eps, keep=keep)
    full = select.at_threshold(embeddings_of(N), index_of(N), eta, rng(4), k=K, eps=eps, keep=keep)
    assert ids(explored, found.kept) == kept(full)


def test_the_page_shows_a_kept_image_and_those_whose_partner_it_is(explored: explorer.Explored) -> None:
    full = select.get("meddel")(embeddings_of(N), index_of(N), 30, rng(4), k=K, eps=0.6).to_pandas().set_index("id")
    gone = full[(full.reason == "duplicate") & full.partner.isin(full.index[full.kept])]
    counts = gone.partner.value_counts()
    for place in (1, 2, 1000):
        page = explorer.explorer_view(explored, ratio=0.2, eps=0.6, place=place)
        [(fate, head), *others] = CARD.findall(page)
        assert fate == "kept"
        assert {fate for fate, _ in others} == {"deleted"}
        mine = gone[gone.partner == head]
        assert {name for _, name in others} <= set(mine.index)
        assert len(others) == min(12, len(mine))
        assert sorted(counts, reverse=True)[min(place, len(counts)) - 1] == len(mine)
        captions = [match[0] for match in CARD.finditer(page)]
        assert f"distance {full.distance[head]:.3f}" in captions[0]
        for caption, (_, name) in zip(captions[1:], others, strict=True):
            assert f"cosine {full.cosine[name]:.5f}<br>distance {full.distance[name]:.3f}" in caption


def test_the_page_says_the_counts(explored: explorer.Explored) -> None:
    full = select.get("meddel")(embeddings_of(N), index_of(N), 30, rng(4), k=K, eps=0.6).to_pandas()
    counts = full.reason.value_counts()
    page = explorer.explorer_view(explored, ratio=0.2, eps=0.6)
    assert f"30 of {N} images kept (20.0%)" in page
    assert f"{counts['duplicate']} duplicates, {counts['outlier']} outliers, 0 first of a cluster" in page
    assert page == explorer.explorer_view(explored, ratio=0.2, eps=0.6)
    everything = explorer.explorer_view(explored, ratio=1.0, eps=0.6)
    assert f"{counts['outlier']} outliers fill up the ratio" in everything
    assert "No kept image made another one redundant" in everything
    assert "<img" not in everything


def test_each_slider_changes_the_page_and_the_one_moved_last_decides(
    explored: explorer.Explored, drawn: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    cut, ratio, eta, eps, keep, place, _ = explorer.explorer_sliders(explored, ratio=0.2, eps=0.6).children
    assert drawn[-1].data == explorer.explorer_view(explored, ratio=0.2, eps=0.6)
    near = min((value for _, value in eta.options), key=lambda value: abs(value - 0.8))
    for control, value in ((ratio, 0.3), (eta, near), (eps, 0.5), (keep, "far"), (place, 2)):
        before = drawn[-1].data
        control.value = value
        assert drawn[-1].data != before, control.description
    settings = {"ratio": 0.3, "eta": near, "eps": 0.5, "keep": "far", "place": 2}
    assert (cut.value, drawn[-1].data) == ("eta", explorer.explorer_view(explored, **settings))
    ratio.value = 0.1
    assert cut.value == "ratio"
    cut.value, eps.value = "eta", 0.01
    assert "every image is farther than eps = 0.01" in capsys.readouterr().out


def test_rows_that_do_not_fit_are_refused(explored: explorer.Explored) -> None:
    with pytest.raises(MedDELError, match=f"2 images for an index of {N}"):
        explorer.explore(embeddings_of(N), index_of(N), explored.images[:2], rng())
    with pytest.raises(MedDELError, match="no cosine"):
        explorer.explorer_view(explored, eta=2)
    with pytest.raises(MedDELError, match="eps = 0"):
        explorer.explorer_view(explored, eps=0)
