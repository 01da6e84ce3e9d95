"""SemDeDup, prototypes, D4 and density-based pruning: examples by hand and their definitions in plain NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax

from meddel import select
from meddel.errors import MedDELError
from meddel.select.pruning import complexity, quotas

ANGLES = (-30, -10, 0, 12, 29)  # degrees; their centroid points to 0.2


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def index_of(n: int) -> pa.Table:
    return pa.table({"id": [f"source/{row:05d}" for row in range(n)]})


def on_a_circle(*degrees: float) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def embeddings_of(n: int, d: int = 12, groups: int = 6, seed: int = 0) -> np.ndarray:
    """Groups of unequal tightness and size, and rows of unequal length."""
    rng = np.random.default_rng(seed)
    group = np.minimum(rng.geometric(0.35, size=n) - 1, groups - 1)
    x = 3 * rng.normal(size=(groups, d))[group] + (0.2 + 0.4 * group[:, None]) * rng.normal(size=(n, d))
    return x * rng.uniform(0.5, 2, size=(n, 1))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def centroids_of(rows: np.ndarray, cluster: np.ndarray) -> dict[int, np.ndarray]:
    """The mean directions of the clusters."""
    means = {int(c): rows[cluster == c].mean(axis=0) for c in np.unique(cluster)}
    return {c: mean / np.linalg.norm(mean) for c, mean in means.items()}


def ranked(name: str, x: np.ndarray, **settings: object) -> list[int]:
    """The rows in the order of their ranks."""
    table = select.get(name)(x, index_of(len(x)), 1, rng(), **settings)
    return np.argsort(table["rank"]).tolist()


@pytest.mark.parametrize(("keep", "expected"), [
    ("far", (-30, 29, -10, 12, 0)),  # M: none, cos 59, cos 20, cos 17, cos 10
    ("near", (0, -30, 29, 12, -10)),  # M: none, cos 20, cos 17, cos 12, cos 10
])  # fmt: skip
def test_semdedup_on_five_images(keep: str, expected: tuple[int, ...]) -> None:
    assert [ANGLES[row] for row in ranked("semdedup", on_a_circle(*ANGLES), k=1, keep=keep)] == list(expected)


def test_semdedup_says_whose_duplicate_an_image_is() -> None:
    rows = select.get("semdedup")(on_a_circle(*ANGLES), index_of(5), 3, rng(), k=1).to_pylist()
    assert [row["reason"] for row in rows] == ["kept", "kept", "duplicate", "duplicate", "kept"]
    assert [row["partner"] and int(row["partner"][-1]) for row in rows] == [None, 0, 1, 4, 0]
    degrees = np.degrees(np.arccos([row["cosine"] for row in rows[1:]]))
    np.testing.assert_allclose(degrees, [20, 10, 17, 59], atol=0.01)


@pytest.mark.parametrize("keep", ["far", "near"])
def test_semdedup_is_its_definition_at_every_threshold(keep: str) -> None:
    x = embeddings_of(150)
    table = select.get("semdedup")(x, index_of(150), 1, rng(3), k=9, keep=keep).to_pandas()
    rows, cluster = unit(x), table.cluster.to_numpy()
    centroids = centroids_of(rows, cluster)
    greatest = np.full(150, -np.inf)
    for c, centroid in centroids.items():
        members = np.flatnonzero(cluster == c)
        apart = np.linalg.norm(rows[members] - centroid, axis=1)
        np.testing.assert_allclose(table.distance[members], apart, atol=1e-6)
        order = members[np.argsort(apart * (1 if keep == "near" else -1), kind="stable")]
        for place, row in enumerate(order[1:], start=1):
            greatest[row] = (rows[order[:place]] @ rows[row]).max()
    np.testing.assert_allclose(table.cosine.fillna(-np.inf), greatest, atol=1e-6)
    for threshold in np.quantile(greatest, [0.1, 0.4, 0.8]):
        stay = greatest <= threshold
        kept = select.get("semdedup")(x, index_of(150), int(stay.sum()), rng(3), k=9, keep=keep)["kept"]
        np.testing.assert_array_equal(kept, stay)


def test_of_exact_twins_semdedup_keeps_one() -> None:
    copies = rng(2).permutation(np.repeat(np.arange(30), rng(3).integers(1, 5, size=30)))
    x = embeddings_of(30, seed=1)[copies]
    for keep in ("far", "near", "random"):
        table = select.get("semdedup")(x, index_of(len(x)), 30, rng(), k=4, keep=keep)
        assert sorted(copies[table["kept"].to_numpy()]) == list(range(30))


def test_prototypes_on_five_images() -> None:
    x = on_a_circle(*ANGLES)
    hard, easy = (ranked(f"prototypes-{which}", x, k=1) for which in ("hard", "easy"))
    assert [ANGLES[row] for row in hard] == [-30, 29, 12, -10, 0]
    assert easy == hard[::-1]


def test_the_difficulty_is_the_cosine_distance_to_the_nearest_prototype() -> None:
    x = embeddings_of(120)
    table = select.get("prototypes-hard")(x, index_of(120), 20, rng(), k=7).to_pandas()
    centroids = np.stack(list(centroids_of(unit(x), table.cluster.to_numpy()).values()))
    difficulty = 1 - (unit(x) @ centroids.T).max(axis=1)
    np.testing.assert_allclose(table.distance**2 / 2, difficulty, atol=1e-6)
    assert difficulty[table.kept].min() >= difficulty[~table.kept].max() - 1e-9
    assert set(table.reason[~table.kept]) == {"prototypical"}
    easy = select.get("prototypes-easy")(x, index_of(120), 100, rng(), k=7).to_pandas()
    assert set(easy.id[~easy.kept]) == set(table.id[table.kept])
    assert set(easy.reason[~easy.kept]) == {"atypical"}


def test_equal_images_go_by_their_ids() -> None:
    x = on_a_circle(50, 0, 0, 0, 0)
    assert ranked("prototypes-hard", x, k=1) == [0, 1, 2, 3, 4]
    assert ranked("prototypes-easy", x, k=1) == [1, 2, 3, 4, 0]


def test_d4_on_three_twins_and_two_others() -> None:
    x = on_a_circle(0, 0, 0, 40, 81)
    assert ranked("prototypes-hard", x, k=1) == [4, 0, 1, 2, 3]  # the centroid points to 23
    # SemDeDup leaves 81, one twin and 40; their centroid points to 40.3
    table = select.get("d4")(x, index_of(5), 2, rng(), k=1, dedup=0.6)
    assert np.argsort(table["rank"]).tolist() == [4, 0, 3, 1, 2]
    assert table["reason"].to_pylist() == ["kept", "duplicate", "duplicate", "prototypical", "kept"]
    assert table["partner"].to_pylist()[1:3] == ["source/00000"] * 2


def test_d4_is_semdedup_then_prototypes() -> None:
    x, generator = embeddings_of(120), rng(5)
    left = select.get("semdedup")(x, index_of(120), 90, generator, k=6).to_pandas()
    rows = np.flatnonzero(left.kept)
    hard = select.get("prototypes-hard")(x[rows], index_of(120).take(rows), 40, generator, k=6).to_pandas()
    table = select.get("d4")(x, index_of(120), 40, rng(5), k=6).to_pandas()
    assert set(table.id[table.kept]) == set(hard.id[hard.kept])
    assert set(table.id[table.reason == "duplicate"]) == set(left.id[~left.kept])
    filled = select.get("d4")(x, index_of(120), 100, rng(5), k=6).to_pandas()
    gone = left.sort_values("rank").id[100:]
    assert set(filled.id[~filled.kept]) == set(gone)


def test_complexity_by_hand() -> None:
    member, distance = np.array([0, 0, 1, 2]), np.sqrt([0.2, 0.6, 1.0, 0.4])  # cosine distances 0.1, 0.3, 0.5, 0.2
    centroids = on_a_circle(0, 90, 180)
    np.testing.assert_allclose(complexity(centroids, member, distance, 1), [0.2, 0.5, 0.2], atol=1e-12)
    np.testing.assert_allclose(complexity(centroids, member, distance, 20), [0.3, 0.5, 0.3], atol=1e-12)
    assert complexity(centroids[:1], member[:2], distance[:2]) == [0]


@pytest.mark.parametrize(("share", "sizes", "total", "expected"), [
    ([0.5, 0.3, 0.2], [9, 9, 9], 10, [5, 3, 2]),
    ([0.5, 0.3, 0.2], [2, 9, 9], 10, [2, 5, 3]),  # 2, 4.5 and 3.5 before rounding
    ([0.98, 0.01, 0.01], [9, 9, 9], 9, [7, 1, 1]),
    ([0.98, 0.01, 0.01], [9, 9, 9], 2, [2, 0, 0]),
    ([0.2, 0.2, 0.6], [1, 4, 2], 7, [1, 4, 2]),
    ([1.0], [5], 3, [3]),
])  # fmt: skip
def test_quotas_by_hand(share: list[float], sizes: list[int], total: int, expected: list[int]) -> None:
    assert quotas(np.array(share), np.array(sizes), total).tolist() == expected


SHARES = st.lists(st.tuples(st.floats(0.01, 10), st.integers(1, 6)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=150)
@given(SHARES, st.data())
def test_quotas_are_the_best_whole_numbers(clusters: list[tuple[float, int]], data: st.DataObject) -> None:
    share, sizes = np.array([c[0] for c in clusters]), np.array([c[1] for c in clusters])
    share, total = share / share.sum(), data.draw(st.integers(1, int(sizes.sum())))
    least = 1 if total >= len(sizes) else 0
    found = quotas(share, sizes, total)
    assert found.sum() == total and (found >= least).all() and (found <= sizes).all()
    possible = np.array([x for x in product(*(range(least, size + 1) for size in sizes)) if sum(x) == total])
    best = np.square(possible - total * share).sum(axis=1).min()
    assert np.square(found - total * share).sum() <= best + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_quotas_round_the_optimum_of_the_programme(seed: int) -> None:
    generator = rng(seed)
    share, sizes = softmax(generator.normal(size=12)), generator.integers(1, 40, size=12)
    total = int(generator.integers(12, sizes.sum()))
    solved = minimize(
        lambda x: np.square(x - total * share).sum() / 2,
        np.ones(12) * sizes * total / sizes.sum(),
        jac=lambda x: x - total * share,
        bounds=[(1, size) for size in sizes],
        constraints={"type": "eq", "fun": lambda x: x.sum() - total, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-9, "maxiter": 1000},
    )
    assert solved.success
    assert np.abs(quotas(share, sizes, total) - solved.x).max() < 1 + 1e-3


@pytest.mark.parametrize("budget", [3, 20, 70])
def test_density_pruning_is_its_definition(budget: int) -> None:
    x, index = embeddings_of(150), index_of(150)
    table = select.get("density-pruning")(x, index, budget, rng(1), k=8, dedup=0.6, neighbours=3).to_pandas()
    duplicate = ~select.get("semdedup")(x, index, 90, rng(1), k=8)["kept"].to_numpy()
    assert (table.reason[duplicate] == "duplicate").all() and not table.kept[duplicate].any()
    stay = table[~duplicate]
    assert set(stay.reason) == {"kept", "prototypical"}
    centroids = centroids_of(unit(x)[~duplicate], stay.cluster.to_numpy())
    apart = {c: sorted(1 - centroids[c] @ other for o, other in centroids.items() if o != c)[:3] for c in centroids}
    intra = (stay.distance**2 / 2).groupby(stay.cluster).mean()
    power = {c: np.exp(np.mean(apart[c]) * intra[c] / 0.1) for c in centroids}
    share = np.array([power[c] / sum(power.values()) for c in sorted(centroids)])
    quota = quotas(share, stay.groupby("cluster").size().to_numpy(), budget)
    assert stay.groupby("cluster").kept.sum().tolist() == quota.tolist()
    for _, group in stay.groupby("cluster"):
        assert group.distance[group.kept].min() >= group.distance[~group.kept].max() or group.kept.nunique() == 1


def test_varied_clusters_give_more_than_dense_ones() -> None:
    dense = on_a_circle(*np.linspace(-2, 2, 40))
    varied = on_a_circle(*np.linspace(110, 190, 40))
    table = select.get("density-pruning")(np.concatenate([dense, varied]), index_of(80), 20, rng(), k=2, dedup=1.0)
    kept = table["kept"].to_numpy()
    assert kept[40:].sum() > kept[:40].sum() > 0


@pytest.mark.parametrize(("name", "setting", "said"), [
    ("semdedup", {"k": 11}, "k = 11 clusters of 10"),
    ("semdedup", {"keep": "nearest"}, "nearest"), ("prototypes-hard", {"k": 0}, "k = 0"),
    ("prototypes-easy", {"k": 11}, "k = 11"), ("d4", {"dedup": 0}, "outside"), ("d4", {"dedup": 1.1}, "outside"),
    ("d4", {"k": 11}, "k = 11"), ("density-pruning", {"temperature": 0}, "temperature"),
    ("density-pruning", {"temperature": float("nan")}, "temperature"),
    ("density-pruning", {"neighbours": 0}, "at least"), ("density-pruning", {"dedup": 2}, "outside"),
])  # fmt: skip
def test_settings_out_of_range_are_refused(name: str, setting: dict, said: str) -> None:
    with pytest.raises(MedDELError, match=said):
        select.get(name)(embeddings_of(10), index_of(10), 5, rng(), **setting)
