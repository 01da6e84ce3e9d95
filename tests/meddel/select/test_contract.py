"""The contract of selectors: this library's keep it, and every rule broken on purpose is found and named."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from meddel import select as selectors
from meddel.errors import MedDELError
from meddel.select import contract


def ids_of(index: pa.Table) -> list[str]:
    return sorted(index["id"].to_pylist())


def good(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    return ids_of(index)[:budget], None


def drawn(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], dict[str, str]]:
    ids = [ids_of(index)[place] for place in rng.permutation(index.num_rows)]
    return ids[:budget], dict.fromkeys(ids[budget:], "unlucky")


def one_too_few(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    return ids_of(index)[: budget - 1], None


def never_all(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    return ids_of(index)[: min(budget, index.num_rows - 1)], None


def twice_the_same(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    return ids_of(index)[:1] * budget, None


def foreign(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    return [f"other/{place}" for place in range(budget)], None


def rows_for_ids(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[np.ndarray, None]:
    return np.arange(budget), None


def ids_alone(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> list[str]:
    return ids_of(index)[:budget]


def unseeded(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    return drawn(x, index, budget, np.random.default_rng())[0], None


def globally_drawn(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    random.random()
    return good(x, index, budget, rng)


def numpy_reseeded(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    np.random.seed(0)  # noqa: NPY002 - what the rule forbids
    return good(x, index, budget, rng)


def scaling_in_place(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    x /= 2
    return good(x, index, budget, rng)


def needs_two(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    return ids_of(index)[: round(budget * (index.num_rows - 1) / (index.num_rows - 1))], None


def needs_spread(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    if len(x) > 1 and not np.ptp(x):
        raise ArithmeticError("no spread")
    return good(x, index, budget, rng)


def single_floats(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[list[str], None]:
    if x.dtype != np.float32:
        raise TypeError("float32 only")
    return good(x, index, budget, rng)


def first_rows(x: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple[pa.ChunkedArray, None]:
    return index["id"][:budget], None


@pytest.mark.parametrize("name", selectors.names())
def test_every_registered_selector_keeps_the_contract(name: str) -> None:
    def select(x: np.ndarray, *rest: Any) -> pa.Table:
        settings = {"errors": np.square(x, dtype=float).sum(axis=1)} if name == "hardness" else {}
        return selectors.get(name)(x, *rest, **settings)

    assert contract.check(select, invariant=selectors.is_invariant(name)) == []


@pytest.mark.parametrize("select", [good, drawn])
def test_own_selectors_that_return_ids_keep_the_contract(select: Callable) -> None:
    assert contract.check(select) == []
    contract.require(select)


@pytest.mark.parametrize(("select", "said"), [
    (one_too_few, "with 30 images and budgets from 1 to 30: it keeps 0 images for a budget of 1"),
    (never_all, "with 30 images and budgets from 1 to 30: it keeps 29 images for a budget of 30"),
    (twice_the_same, "with 30 images and budgets from 1 to 30: it keeps 'source-0/000' twice"),
    (foreign, "with 30 images and budgets from 1 to 30: it keeps 'other/0', which is no id of the index"),
    (rows_for_ids, "which is no id of the index"),
    (ids_alone, "it returns list, neither a selection nor a pair (ids, reasons)"),
    (unseeded, "with the same seed twice: it gives two selections; take all chance from rng"),
    (globally_drawn, "with the global random numbers watched: it uses or changes those of random"),
    (numpy_reseeded, "with the global random numbers watched: it uses or changes those of numpy"),
    (scaling_in_place, "with 30 images and budgets from 1 to 30: it changes the embeddings"),
    (needs_two, "with one image: it ends with ZeroDivisionError"),
    (needs_spread, "with equal images: it ends with ArithmeticError: no spread"),
    (single_floats, "with float16 and float64: it ends with TypeError: float32 only"),
    (first_rows, "with the rows in another order: it selects others"),
], ids=lambda value: getattr(value, "__name__", ""))  # fmt: skip
def test_the_rule_that_a_selector_breaks_is_named(select: Callable, said: str) -> None:
    broken = contract.check(select)
    matching = [sentence for sentence in broken if said in sentence]
    assert len(matching) == 1, broken
    assert select is unseeded or len(broken) == 1, broken
    with pytest.raises(MedDELError) as error:
        contract.require(select)
    assert said in str(error.value) and f"selector '{select.__name__}'" in str(error.value)


def test_the_check_itself_leaves_the_global_random_numbers_alone() -> None:
    before = random.getstate(), torch.get_rng_state()
    assert contract.check(good) == []
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])


def test_who_declares_to_depend_on_the_order_of_the_rows_may() -> None:
    assert contract.check(first_rows, invariant=False) == []


def test_what_has_no_name_can_be_checked() -> None:
    contract.require(partial(good))
    with pytest.raises(MedDELError, match="partial"):
        contract.require(partial(foreign))


def selection_of(n: int, budget: int) -> tuple[pa.Table, pa.Table]:
    """A good selection and its index."""
    index = pa.table({"id": [f"s/{row}" for row in range(n)], "path": [f"/{row}" for row in range(n)]})
    return selectors.get("random")(np.ones((n, 2)), index, budget, np.random.default_rng(0)), index


def with_column(table: pa.Table, name: str, values: list) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize(("spoil", "said"), [
    (lambda table: table.drop_columns("cosine"), "other columns than SELECTION_SCHEMA"),
    (lambda table: table.slice(1), "ids of its table are not those of the index"),
    (lambda table: table.sort_by([("id", "descending")]), "in the same order"),
    (lambda table: with_column(table, "rank", [0, 1, 2, 3, 3]), "ranks are not the numbers from 0 to 4"),
    (lambda table: with_column(table, "kept", [True] * 5), "keeps 5 images for a budget of 2"),
    (lambda table: with_column(table, "rank", [4 - rank for rank in table["rank"].to_pylist()]), "first ranks"),
    (lambda table: with_column(table, "reason", ["kept"] * 5), "reason is not 'kept' for just the images"),
    (lambda table: with_column(table, "reason", [None] * 5), "no value where one must be"),
])  # fmt: skip
def test_a_table_that_is_no_selection_is_refused_in_a_sentence(spoil: Callable, said: str) -> None:
    table, index = selection_of(5, 2)
    assert contract.as_selection(table, index, 2, "mine") is table
    with pytest.raises(MedDELError, match=said):
        contract.as_selection(spoil(table), index, 2, "mine")


@pytest.mark.parametrize(("reasons", "expected"), [
    (None, ["kept", "not drawn", "not drawn", "kept"]),
    ({"s/1": "blurred"}, ["kept", "blurred", "not drawn", "kept"]),
])  # fmt: skip
def test_ids_and_reasons_become_a_selection(reasons: Any, expected: list[str]) -> None:
    _, index = selection_of(4, 2)
    for ids in (["s/3", "s/0"], np.array(["s/3", "s/0"]), pa.array(["s/3", "s/0"])):
        table = contract.as_selection((ids, reasons), index, 2, "mine")
        assert table.schema == selectors.SELECTION_SCHEMA
        assert table["rank"].to_pylist() == [1, 2, 3, 0]
        assert table["kept"].to_pylist() == [True, False, False, True]
        assert table["reason"].to_pylist() == expected


@pytest.mark.parametrize(("result", "said"), [
    (("s/0", None), "not a sequence of ids"),
    ((3, None), "not a sequence of ids"),
    ((["s/0", "s/1"], "dark"), "the reasons are a str"),
    ((["s/0", "s/1"], {"s/2": "kept"}), "'kept' as a reason to delete"),
    ((["s/0", "s/1"], {"s/2": None}), "None as a reason to delete"),
])  # fmt: skip
def test_ids_and_reasons_that_make_no_selection_are_refused_in_a_sentence(result: Any, said: str) -> None:
    _, index = selection_of(4, 2)
    with pytest.raises(MedDELError, match=said):
        contract.as_selection(result, index, 2, "mine")
