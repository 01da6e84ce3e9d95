"""What every selector promises: nested, exact, repeatable, and broken input refused by name."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from meddel import select as selectors
from meddel.errors import MedDELError
from meddel.select import algorithm1
from tests.meddel.select.cases import embeddings_of, index_of, kept, rng

NOT_NESTED = ("density-pruning",)  # its quotas depend on the budget
NOT_DRAWN = ("facility-location", "hardness", "herding")  # no chance, or none that matters for so few images


def selector(name: str) -> Callable[..., pa.Table]:
    """The selector; hardness, which needs them, gets errors made of the embeddings."""
    select = selectors.get(name)
    if name != "hardness":
        return select
    return lambda x, *rest: select(x, *rest, errors=np.square(x, dtype=float).sum(axis=tuple(range(1, x.ndim))))


@pytest.mark.parametrize("name", selectors.names())
def test_every_selector_is_nested_exact_and_repeatable(name: str) -> None:
    x, index, select = embeddings_of(90).astype(np.float16), index_of(90), selector(name)
    smaller: set[str] = set()
    for ratio in (0.001, 0.05, 0.1, 0.2, 0.33, 0.5, 0.77, 1.0):
        budget = selectors.budget_for(ratio, 90)
        table = select(x, index, budget, rng(7))
        assert table.schema == selectors.SELECTION_SCHEMA
        assert table["id"].equals(index["id"])
        assert table.equals(select(x, index, budget, rng(7)))
        assert sorted(table["rank"].to_pylist()) == list(range(90))
        np.testing.assert_array_equal(table["kept"], np.array(table["rank"]) < budget)
        np.testing.assert_array_equal(table["kept"], np.array(table["reason"]) == "kept")
        assert len(kept(table)) == budget
        assert smaller <= kept(table) or name in NOT_NESTED
        smaller = kept(table)


@pytest.mark.parametrize("name", selectors.names())
def test_the_order_of_the_rows_does_not_matter(name: str) -> None:
    x, index, select = embeddings_of(80), index_of(80), selector(name)
    x[40:50] = x[:10]  # ties, too
    shuffled = rng(1).permutation(80)
    one = select(x, index, 20, rng(2))
    other = select(x[shuffled], index.take(pa.array(shuffled)), 20, rng(2))
    assert one.equals(other.sort_by("id"))


@pytest.mark.parametrize("name", sorted({*selectors.names()} - {*NOT_DRAWN}))
def test_another_seed_gives_another_ranking(name: str) -> None:
    x, index, select = embeddings_of(80), index_of(80), selectors.get(name)
    assert not select(x, index, 20, rng(0))["rank"].equals(select(x, index, 20, rng(1))["rank"])


def test_random_draws_every_image_equally_often() -> None:
    x, index = embeddings_of(10), index_of(10)
    drawn = sum(np.array(selectors.get("random")(x, index, 3, rng(seed))["kept"], int) for seed in range(2000))
    np.testing.assert_allclose(drawn / 2000, 0.3, atol=0.05)
    reasons = selectors.get("random")(x, index, 3, rng())["reason"].to_pylist()
    assert sorted(set(reasons)) == ["kept", "not drawn"]


@pytest.mark.parametrize(("ratio", "n", "expected"), [
    (0.05, 90, 5), (0.05, 89, 4), (0.145, 100, 15), (0.33, 88_282, 29_133), (1.0, 7, 7), (1e-9, 7, 1), (1, 3, 3),
])  # fmt: skip
def test_budgets_round_halves_up(ratio: float, n: int, expected: int) -> None:
    assert selectors.budget_for(ratio, n) == expected


@pytest.mark.parametrize("ratio", [0, 1.2, -0.1, float("nan")])
def test_ratios_outside_are_refused(ratio: float) -> None:
    with pytest.raises(MedDELError, match=r"outside \(0, 1\]"):
        selectors.budget_for(ratio, 10)


@pytest.mark.parametrize("name", selectors.names())
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_the_image_of_a_broken_embedding_is_named(name: str, value: float) -> None:
    x = np.ones((5000, 3), np.float16)
    x[4321] = value
    with pytest.raises(MedDELError, match=r"length 0|NaN") as error:
        selector(name)(x, index_of(5000), 5, rng())
    assert "source/04321" in str(error.value)


@pytest.mark.parametrize("name", selectors.names())
def test_input_that_fits_no_selector_is_refused(name: str) -> None:
    x, index, select = embeddings_of(10), index_of(10), selector(name)
    doubled = pa.table({"id": ["a"] * 10, "path": ["a"] * 10})
    for embeddings, table, budget in [
        (x, index, 0), (x, index, 11), (x, index_of(9), 5), (x.astype(int), index, 5), (x[:, 0], index, 5),
        (x[:0], index_of(0), 1), (x, doubled, 5),
    ]:  # fmt: skip
        with pytest.raises(MedDELError):
            select(embeddings, table, budget, rng())


def test_the_registry_knows_its_selectors() -> None:
    assert {"meddel", "random"} <= set(selectors.names())
    assert selectors.get("meddel") is algorithm1.select
    assert selectors.settings_of("random") == ()
    assert selectors.settings_of("meddel") == ("k", "iterations", "eps", "keep", "backend", "threads")
    with pytest.raises(MedDELError, match="choose one of"):
        selectors.get("best")
    with pytest.raises(MedDELError, match="already"):
        selectors.register("meddel")(algorithm1.select)


@pytest.mark.parametrize("keep", ["far", "random"])
def test_the_variants_are_meddel_with_another_keep_rule(keep: str) -> None:
    x, index = embeddings_of(80), index_of(80)
    assert selectors.get(f"meddel-{keep}")(x, index, 20, rng()).equals(
        algorithm1.select(x, index, 20, rng(), keep=keep)
    )


def test_kept_and_reasons_go_to_two_files(tmp_path: Path) -> None:
    index = index_of(6)
    degrees = np.radians([-30, -10, 0, 12, 29, 170])
    x = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    selection = algorithm1.select(x, index, 2, rng(), k=1, eps=1.2)
    selectors.write_kept_csv(selection, index, tmp_path / "kept.csv", tmp_path / "reasons.csv")
    with (tmp_path / "kept.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["rank", "id", "path"],
            ["0", "source/00002", "/images/2, 2.png"],
            ["1", "source/00000", "/images/0, 0.png"],
        ]
    with (tmp_path / "reasons.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"][-1] for row in rows] == ["4", "3", "1", "5"]
    assert [row["reason"] for row in rows] == ["duplicate"] * 3 + ["outlier"]
    assert [row["partner"] for row in rows] == ["source/00003", "source/00002", "source/00002", ""]
    assert [row["cosine"] for row in rows] == ["0.956305", "0.978148", "0.984808", ""]
    assert float(rows[3]["distance"]) > 1.2
    with pytest.raises(MedDELError, match="not of the same images"):
        selectors.write_kept_csv(selection, index_of(5), tmp_path / "a.csv", tmp_path / "b.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.csv", "reasons.csv"]
