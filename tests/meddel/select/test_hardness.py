"""Which images are kept for how hard they are to rebuild."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from meddel.errors import MedDELError
from meddel.select import hardness
from tests.meddel.select.cases import index_of, ranked, rng


@pytest.mark.parametrize(
    ("which", "order"), [("hard", [1, 3, 4, 0, 2]), ("easy", [2, 0, 3, 4, 1]), ("middle", [3, 0, 4, 2, 1])]
)
def test_the_hardest_the_easiest_or_the_middle_come_first(which: str, order: list[int]) -> None:
    errors = np.array([0.2, 0.9, 0.1, 0.5, 0.5])
    for budget in (1, 3, 5):
        table = hardness.hardness(np.ones((5, 2), np.float16), index_of(5), budget, rng(), errors=errors, which=which)
        assert ranked(table) == order
        assert table["kept"].to_numpy().sum() == budget


def test_errors_may_come_by_row_or_by_id_in_any_order_of_the_rows() -> None:
    errors, index, x = rng().random(30), index_of(30), np.ones((30, 2))
    one = hardness.hardness(x, index, 7, rng(), errors=errors)
    by_id = dict(zip(index["id"].to_pylist(), errors, strict=True))
    shuffled = rng(1).permutation(30)
    for given in (errors[shuffled], {**by_id, "source/another": 0.5}):
        assert one.equals(hardness.hardness(x, index.take(pa.array(shuffled)), 7, rng(9), errors=given).sort_by("id"))


@pytest.mark.parametrize(("errors", "said"), [
    (None, "needs the reconstruction error"), (np.ones(4), "5 images but"), (np.ones(5, int), "int64"),
    (np.array([1, 2, np.nan, 4, 5]), "source/00002"), ({"source/00000": 1.0, "source/00002": 1.0}, "source/00001"),
])  # fmt: skip
def test_errors_that_do_not_fit_are_refused(errors: object, said: str) -> None:
    with pytest.raises(MedDELError, match=said):
        hardness.hardness(np.ones((5, 2)), index_of(5), 2, rng(), errors=errors)


def test_a_hardness_that_is_unknown_is_refused() -> None:
    with pytest.raises(MedDELError, match="choose one of hard, easy, middle"):
        hardness.hardness(np.ones((5, 2)), index_of(5), 2, rng(), errors=np.ones(5), which="worst")
