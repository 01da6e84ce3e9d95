"""The pass that every eps is read from, against a full ranking at each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compendium.live import OnePass, one_pass
from meddel import select
from meddel.errors import MedDELError
from tests.meddel.select.cases import embeddings_of, index_of, rng

KEEPS = ("near", "far", "random")


@pytest.fixture(scope="module")
def pool() -> tuple[np.ndarray, object]:
    """Images of which many are copies, so that cosines and distances tie; the rows are not in the order of the ids."""
    copies = rng(2).integers(0, 140, 200)
    return embeddings_of(200, seed=1)[copies], index_of(200).take(rng(5).permutation(200))


@pytest.fixture(scope="module")
def passed(pool: tuple[np.ndarray, object]) -> OnePass:
    return one_pass(*pool, rng(3), k=6, keeps=KEEPS)


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("eps", [1e-9, 0.1, 0.3, 0.5, 0.6, 0.9, 2.0])
def test_the_ranking_is_the_full_one_to_the_last_bit(
    pool: tuple[np.ndarray, object], passed: OnePass, eps: float, keep: str
) -> None:
    found, full = passed.ranking(eps, keep), select.rank(*pool, rng(3), k=6, eps=eps, keep=keep)
    for field in dataclasses.fields(full):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(full, field.name), field.name)


@pytest.mark.parametrize("keep", KEEPS)
def test_the_ranking_is_the_full_one_where_eps_is_a_distance(
    pool: tuple[np.ndarray, object], passed: OnePass, keep: str
) -> None:
    eps = float(np.sort(passed.distances)[120])
    full = select.rank(*pool, rng(3), k=6, eps=eps, keep=keep)
    np.testing.assert_array_equal(passed.ranking(eps, keep).order, full.order)
    assert 0 < full.outlier.sum() < 80


@pytest.mark.parametrize("keep", KEEPS)
def test_clusters_of_one_image_have_no_cosine(keep: str) -> None:
    x, index = embeddings_of(5), index_of(5)
    found = one_pass(x, index, rng(), k=5, keeps=(keep,)).ranking(0.5, keep)
    assert not np.isfinite(found.cosine).any()
    np.testing.assert_array_equal(found.order, select.rank(x, index, rng(), k=5, eps=0.5, keep=keep).order)


def test_settings_that_the_pass_was_not_made_for_are_refused(passed: OnePass) -> None:
    with pytest.raises(MedDELError, match="eps = 0"):
        passed.ranking(0, "near")
    with pytest.raises(MedDELError, match="k = 9 clusters of 5 images"):
        one_pass(embeddings_of(5), index_of(5), rng(), k=9)
    near = one_pass(embeddings_of(5), index_of(5), rng(), keeps=("near",))
    with pytest.raises(MedDELError, match="no keep rule 'far'; choose one of near"):
        near.ranking(0.9, "far")
