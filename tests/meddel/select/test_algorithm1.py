"""MedDEL's rule on examples made by hand, by brute force and on degenerate input."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meddel_kernels as kernels
from meddel.errors import MedDELError
from meddel.select import algorithm1, eta_curve, eta_for
from meddel_kernels.cuda.device import current
from tests.meddel.select.cases import embeddings_of, index_of, kept, on_a_circle, rng

KEEPS = ("near", "far", "random")
ANGLES = (-30, -10, 0, 12, 29)  # degrees; their mean points to 0.2


def ids_of(angles: tuple[int, ...]) -> set[str]:
    return {f"source/{ANGLES.index(angle):05d}" for angle in angles}


@pytest.mark.parametrize(
    ("keep", "degrees", "stay"),
    [
        ("near", 15, (0, 29, -30)),
        ("near", 18, (0, -30)),  # 12 deletes 29 although it is deleted itself: not greedy
        ("far", 15, (-30, 29, 12, -10)),
        ("far", 18, (-30, 29, -10)),
        ("far", 59.5, (-30,)),
    ],
)
def test_the_rule_on_five_images(keep: str, degrees: float, stay: tuple[int, ...]) -> None:
    eta = float(np.cos(np.radians(degrees)))
    selection = algorithm1.at_threshold(on_a_circle(*ANGLES), index_of(5), eta, rng(), k=1, keep=keep)
    assert kept(selection) == ids_of(stay)


def test_why_each_of_five_images_stayed_or_went() -> None:
    rows = algorithm1.select(on_a_circle(*ANGLES, 170), index_of(6), 2, rng(), k=1, eps=1.2).to_pylist()
    assert [row["rank"] for row in rows] == [1, 4, 0, 3, 2, 5]
    assert [row["reason"] for row in rows] == ["kept", "duplicate", "kept", "duplicate", "duplicate", "outlier"]
    assert [row["partner"] and int(row["partner"][-1]) for row in rows] == [1, 2, None, 2, 3, None]
    degrees = np.degrees(np.arccos([rows[row]["cosine"] for row in (0, 1, 3, 4)]))
    np.testing.assert_allclose(degrees, [20, 10, 12, 17], atol=0.01)
    assert rows[2]["cosine"] is None
    assert rows[5]["cosine"] is None
    centroid = on_a_circle(*ANGLES, 170).mean(axis=0)
    expected = np.linalg.norm(on_a_circle(*ANGLES, 170) - centroid, axis=1)
    np.testing.assert_allclose([row["distance"] for row in rows], expected, atol=1e-6)
    assert [row["cluster"] for row in rows] == [0] * 6


def test_a_cosine_equal_to_eta_stays() -> None:
    x = np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]])  # the cosine is 1/2 without rounding
    assert len(kept(algorithm1.at_threshold(x, index_of(2), 0.5, rng(), k=1))) == 2
    assert len(kept(algorithm1.at_threshold(x, index_of(2), np.nextafter(0.5, 0), rng(), k=1))) == 1


def test_an_outlier_puts_nobody_out() -> None:
    x = on_a_circle(0, 0, 0, 0, 90, 90)
    rows = algorithm1.at_threshold(x, index_of(6), 0.5, rng(), k=1, keep="far").to_pylist()
    assert [row["reason"] for row in rows] == ["kept", *["duplicate"] * 3, *["outlier"] * 2]


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("eta", [0.2, 0.6, 0.9])
def test_the_rule_within_each_cluster_by_brute_force(keep: str, eta: float) -> None:
    x, index = embeddings_of(150), index_of(150)
    table = algorithm1.at_threshold(x, index, eta, rng(4), k=6, eps=0.6, keep=keep).to_pandas()
    ranking = algorithm1.rank(x, index, rng(4), k=6, eps=0.6, keep=keep)
    unit = kernels.unit_rows(x)
    assert 0 < ranking.outlier.sum() < 75
    np.testing.assert_array_equal(ranking.outlier, ranking.distance > 0.6)
    distances = kernels.assign(unit, _centroids(unit, ranking.cluster))[1]
    np.testing.assert_allclose(ranking.distance, distances, rtol=0, atol=1e-12)
    for cluster in range(6):
        rows = np.flatnonzero((ranking.cluster == cluster) & ~ranking.outlier)
        if keep == "random":  # the order is the generator's: take it from who has whom as a partner
            firsts = [row for row in rows if ranking.partner[row] < 0]
            assert len(firsts) == 1
            continue
        order = rows[np.argsort(ranking.distance[rows] * (1 if keep == "near" else -1), kind="stable")]
        for place, row in enumerate(order):
            greatest = max((unit[row] @ unit[other] for other in order[:place]), default=-np.inf)
            assert ranking.cosine[row] == pytest.approx(greatest, abs=1e-12)
            assert table.kept[row] == (greatest <= eta)


def _centroids(unit: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    return np.stack(
        [unit[cluster == c][0] + (unit[cluster == c] - unit[cluster == c][0]).mean(axis=0) for c in range(6)]
    )


def test_near_keeps_the_nearest_and_far_the_farthest() -> None:
    x, index = embeddings_of(120), index_of(120)
    near, far = (algorithm1.select(x, index, 8, rng(), k=8, eps=2, keep=keep).to_pandas() for keep in ("near", "far"))
    np.testing.assert_array_equal(near.distance, far.distance)
    by_cluster = near.groupby("cluster").distance
    assert set(near.id[near.kept]) == set(near.id[by_cluster.idxmin()])
    assert set(far.id[far.kept]) == set(far.id[by_cluster.idxmax()])


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_of_exact_twins_exactly_one_stays(keep: str, dtype: type) -> None:
    distinct = embeddings_of(30, seed=1).astype(dtype)
    copies = rng(2).permutation(np.repeat(np.arange(30), rng(3).integers(1, 5, size=30)))
    x, index = distinct[copies], index_of(len(copies))
    for table in (
        algorithm1.select(x, index, 30, rng(), k=4, eps=2, keep=keep),
        algorithm1.at_threshold(x, index, 0.9999, rng(), k=4, eps=2, keep=keep),
    ):
        assert sorted(copies[table["kept"].to_numpy()]) == list(range(30))
        gone = table.filter(pc.invert(table["kept"])).to_pylist()
        position = {image: row for row, image in enumerate(index["id"].to_pylist())}
        assert all(copies[position[row["id"]]] == copies[position[row["partner"]]] for row in gone)
        assert all(row["cosine"] == pytest.approx(1) for row in gone)


@pytest.mark.parametrize("keep", KEEPS)
def test_the_curve_rises_and_says_what_each_threshold_keeps(keep: str) -> None:
    x, index = embeddings_of(100), index_of(100)
    ranking = algorithm1.rank(x, index, rng(3), k=5, eps=0.6, keep=keep)
    eta, ratio = eta_curve(ranking)
    assert eta[0] == -1
    assert (np.diff(eta) > 0).all()
    assert (np.diff(ratio) > 0).all()
    assert ratio[-1] == 1 - ranking.outlier.mean()
    for threshold in (-1.0, -0.3, 0.0, 0.5, 0.8, 0.95, 1.0, float(eta[7])):
        table = algorithm1.at_threshold(x, index, threshold, rng(3), k=5, eps=0.6, keep=keep)
        expected = ratio[np.searchsorted(eta, threshold, side="right") - 1]
        assert len(kept(table)) == round(expected * 100)
        assert table.equals(algorithm1.select(x, index, len(kept(table)), rng(3), k=5, eps=0.6, keep=keep))


def test_eta_for_is_the_least_threshold_that_reaches_the_ratio() -> None:
    x, index = embeddings_of(100), index_of(100)
    ranking = algorithm1.rank(x, index, rng(3), k=5, eps=0.6)
    for ratio in (0.1, 0.2, 0.5):
        eta = eta_for(ranking, ratio)
        assert len(kept(algorithm1.at_threshold(x, index, eta, rng(3), k=5, eps=0.6))) == 100 * ratio
        below = algorithm1.at_threshold(x, index, np.nextafter(eta, -1), rng(3), k=5, eps=0.6)
        assert len(kept(below)) == 100 * ratio - 1
    assert eta_for(ranking, 0.01) == -1  # each of the five clusters keeps one image
    assert eta_for(ranking, 1.0) is None  # the outliers lie beyond every threshold
    with pytest.raises(MedDELError, match="outside"):
        eta_for(ranking, 1.2)


def test_outliers_fill_up_by_distance() -> None:
    x, index = embeddings_of(100), index_of(100)
    ranking = algorithm1.rank(x, index, rng(), k=5, eps=0.5)
    outliers = int(ranking.outlier.sum())
    assert outliers > 10
    np.testing.assert_array_equal(ranking.outlier[ranking.order], np.arange(100) >= 100 - outliers)
    assert (np.diff(ranking.distance[ranking.order[-outliers:]]) >= 0).all()
    table = algorithm1.select(x, index, 100 - outliers + 3, rng(), k=5, eps=0.5)
    assert pc.sum(pc.equal(table["reason"], "outlier")).as_py() == outliers - 3
    assert len(kept(table)) == 100 - outliers + 3


def test_the_first_images_of_large_clusters_lead() -> None:
    x = on_a_circle(0, 1, 90, 91, 92, 180)
    rows = algorithm1.select(x, index_of(6), 2, rng(), k=3, iterations=100).to_pylist()
    lead = sorted(rows, key=lambda row: row["rank"])[:3]
    sizes = [sum(row["cluster"] == other["cluster"] for other in rows) for row in lead]
    assert sizes == sorted(sizes, reverse=True)
    assert lead[2]["reason"] == "not drawn"
    assert lead[2]["partner"] is None


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_small_and_degenerate_inputs(data: st.DataObject) -> None:
    n, d = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 3))
    row = st.lists(st.integers(-2, 2).map(float), min_size=d, max_size=d).filter(any)
    x = np.array(data.draw(st.lists(row, min_size=n, max_size=n)), np.float16)
    k, budget = data.draw(st.none() | st.integers(1, n)), data.draw(st.integers(1, n))
    eps, keep = data.draw(st.sampled_from([0.1, 0.9, 2.0])), data.draw(st.sampled_from(KEEPS))
    table = algorithm1.select(x, index_of(n), budget, rng(data.draw(st.integers(0, 9))), k=k, eps=eps, keep=keep)
    assert len(kept(table)) == budget
    cosines = [value for value in table["cosine"].to_pylist() if value is not None]
    assert all(-1 <= value <= 1 for value in cosines)


@pytest.mark.parametrize("keep", KEEPS)
def test_one_image_and_equal_images(keep: str) -> None:
    assert len(kept(algorithm1.select(np.ones((1, 4)), index_of(1), 1, rng(), keep=keep))) == 1
    equal = np.full((20, 8), 0.1, np.float16)
    table = algorithm1.at_threshold(equal, index_of(20), 0.99, rng(), keep=keep)
    assert len(kept(table)) == 1
    assert table["distance"].to_pylist() == [0.0] * 20


@pytest.mark.parametrize("setting", [
    {"k": 11}, {"k": 0}, {"iterations": 0}, {"eps": 0.0}, {"eps": float("nan")}, {"keep": "nearest"},
])  # fmt: skip
def test_settings_out_of_range_are_refused(setting: dict) -> None:
    with pytest.raises(MedDELError, match=f"{next(iter(setting.values()))}|at least 1"):
        algorithm1.select(embeddings_of(10), index_of(10), 5, rng(), **setting)


def test_thresholds_that_keep_nothing_are_refused() -> None:
    with pytest.raises(MedDELError, match="no cosine"):
        algorithm1.at_threshold(embeddings_of(10), index_of(10), 1.1, rng())
    with pytest.raises(MedDELError, match="raise eps"):
        algorithm1.at_threshold(on_a_circle(0, 120, 240), index_of(3), 0.5, rng(), k=1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_neither_back_end_nor_threads_change_a_byte(dtype: type) -> None:
    x, index = embeddings_of(1500, 70, groups=60).astype(dtype), index_of(1500)
    expected = algorithm1.rank(x, index, rng(), k=150, backend="reference")
    for threads in (1, 2, 5):
        ranking = algorithm1.rank(x, index, rng(), k=150, backend="cpu", threads=threads)
        for name in ("order", "cosine", "partner", "distance", "cluster", "outlier"):
            assert getattr(ranking, name).tobytes() == getattr(expected, name).tobytes(), name


def test_a_back_end_that_can_not_run_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    x, index = embeddings_of(20), index_of(20)
    monkeypatch.setattr("meddel_kernels.cuda.device.available", lambda: False)
    monkeypatch.setattr("meddel_kernels.cuda.device.current", current.__wrapped__)
    with pytest.raises(MedDELError, match='back end "cuda" needs an NVIDIA GPU'):
        algorithm1.rank(x, index, rng(), backend="cuda")
    with pytest.raises(MedDELError, match="unknown back end 'gpu'; choose one of auto, cpu, cuda"):
        algorithm1.rank(x, index, rng(), backend="gpu")
    with pytest.raises(MedDELError, match="0 threads; give at least 1"):
        algorithm1.rank(x, index, rng(), threads=0)
