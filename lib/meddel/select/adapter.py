"""Make a selection of what a person's own selector returns, or say in one sentence which rule it breaks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from meddel.errors import MedDELError
from meddel.select.inputs import check_budget, check_embeddings
from meddel.select.table import SELECTION_SCHEMA, selection


def adapted(select: Callable[..., Any], name: str) -> Callable[..., pa.Table]:
    """Return a person's selector as one that checks what goes in and what comes out.

    Parameters
    ----------
    select : callable
        ``select(embeddings, index, budget, rng, **settings)``, which returns what `as_selection` takes. It can only
        read the embeddings.
    name : str
        Its name, for errors.

    Returns
    -------
    callable
        Raises `MedDELError` as `check_budget`, `check_embeddings` and `as_selection` do, and where `select` writes into
        the embeddings. Other errors of `select` pass.
    """

    @functools.wraps(select)
    def checked(
        embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator, **settings: Any
    ) -> pa.Table:
        check_embeddings(embeddings, index)
        check_budget(budget, index.num_rows)
        seen = np.asarray(embeddings).view()
        seen.flags.writeable = False
        try:
            result = select(seen, index, budget, rng, **settings)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise MedDELError("it changes the embeddings", f"selector {name!r}", "work on a copy of them") from error
        return as_selection(result, index, budget, name)

    return checked


def as_selection(result: Any, index: pa.Table, budget: int, name: str) -> pa.Table:
    """Return a selector's result as a selection.

    Parameters
    ----------
    result : pyarrow.Table or (ids, reasons)
        A whole selection; or the `budget` ids to keep, best first, and why the others go: a dictionary by id, a
        sequence of a reason for each of them in the row order of `index`, or None. Who has no reason was ``not drawn``.
    index : pyarrow.Table
        n rows with ``id``.
    budget : int
        How many images had to be kept.
    name : str
        The selector's name, for errors.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`, in the row order of `index`. Who goes is ranked by id.

    Raises
    ------
    MedDELError
        One sentence that says which rule is broken.
    """
    if isinstance(result, pa.Table):
        broken = _broken(result, index, budget)
        if broken is None:
            return result
    elif isinstance(result, tuple) and len(result) == 2:
        kept, broken = _rows(result[0], index, budget)
        reason, unfit = (None, None) if broken else _reasons(result[1], index, kept)
        broken = broken or unfit
        if broken is None:
            by_id = pc.sort_indices(index["id"]).to_numpy().astype(np.int64)
            return selection(index, np.concatenate([kept, by_id[~np.isin(by_id, kept)]]), budget, reason=reason)
    else:
        broken = f"it returns {type(result).__name__}, neither a selection nor a pair (ids, reasons)"
    raise MedDELError(broken, f"selector {name!r}", "see the rules in meddel.select.base")


def _broken(table: pa.Table, index: pa.Table, budget: int) -> str | None:
    """Return the first rule that a table breaks."""
    if not table.schema.equals(SELECTION_SCHEMA):
        return "its table has other columns than SELECTION_SCHEMA"
    if not table["id"].combine_chunks().equals(index["id"].combine_chunks().cast(pa.string())):
        return "the ids of its table are not those of the index in the same order"
    if any(table[field.name].null_count for field in SELECTION_SCHEMA if not field.nullable):
        return "its table has no value where one must be"
    rank, kept = table["rank"].to_numpy(), table["kept"].to_numpy()
    if not np.array_equal(np.sort(rank), np.arange(index.num_rows)):
        return f"its ranks are not the numbers from 0 to {index.num_rows - 1}, each once"
    if kept.sum() != budget:
        return f"it keeps {kept.sum()} images for a budget of {budget}"
    if not np.array_equal(kept, rank < budget):
        return "the images that it keeps are not those of the first ranks"
    if not np.array_equal(kept, table["reason"].to_numpy() == "kept"):
        return "the reason is not 'kept' for just the images that it keeps"
    return None


def _rows(ids: Any, index: pa.Table, budget: int) -> tuple[np.ndarray, str | None]:
    """Return the rows of the ids to keep, and the rule that they break."""
    none = np.empty(0, np.int64)
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        return none, f"the ids to keep are a {type(ids).__name__}, not a sequence of ids"
    listed = ids.to_pylist() if isinstance(ids, pa.Array | pa.ChunkedArray) else list(ids)
    place = {name: row for row, name in enumerate(index["id"].to_pylist())}
    rows: dict[int, None] = {}
    for one in listed:
        row = place.get(one) if isinstance(one, str) else None
        if row is None:
            return none, f"it keeps {one!r}, which is no id of the index"
        if row in rows:
            return none, f"it keeps {one!r} twice"
        rows[row] = None
    if len(rows) != budget:
        return none, f"it keeps {len(rows)} images for a budget of {budget}"
    return np.fromiter(rows, np.int64, len(rows)), None


def _reasons(given: Any, index: pa.Table, kept: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Return the reason of each row, and the rule that they break."""
    reason = np.full(index.num_rows, "not drawn", object)
    gone = np.setdiff1d(np.arange(index.num_rows), kept)
    if given is None:
        return reason, None
    if isinstance(given, Mapping):
        said = [given.get(index["id"][int(row)].as_py(), "not drawn") for row in gone]
    elif isinstance(given, str) or not isinstance(given, Iterable):
        return reason, f"the reasons are a {type(given).__name__}, not a dictionary, a sequence or None"
    else:
        said = list(given)
    if len(said) != len(gone):
        return reason, f"it gives {len(said)} reasons for {len(gone)} images that go"
    odd = [one for one in said if not isinstance(one, str) or one in ("", "kept")]
    if odd:
        return reason, f"it gives {odd[0]!r} as a reason to go"
    reason[gone] = said
    return reason, None
