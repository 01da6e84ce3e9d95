"""What a selector is, what it returns, and what it refuses.

A selector is a function ``select(embeddings, index, budget, rng, **settings)``. It ranks *all* images once, first to
keep first, and keeps the first `budget` of the ranking: with the same generator a smaller budget gives a subset of a
larger one (5 % lies inside 10 %). Its result is a table of `SELECTION_SCHEMA`, one row an image in the row order of the
index, which says of every image why it stayed or went. It does not depend on the order of the rows: ids break ties.

To add one, write it in a file of its own, decorate it with ``@register("name")``, and import the file in
``meddel/selectors/__init__.py``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from meddel import artefacts, config
from meddel.errors import MedDELError

SELECTION_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("partner", pa.string()),
        pa.field("cosine", pa.float32()),
        pa.field("distance", pa.float32()),
        pa.field("cluster", pa.int32()),
    ]
)
"""`rank` 0 is the first to keep. `reason` is one of

- ``kept``
- ``outlier``: farther from its centroid than eps, namely at `distance`
- ``duplicate``: its greatest cosine to an earlier image of its cluster is `cosine`, reached with image `partner`
- ``not drawn``: the budget was spent on others, for no fault of its own

`partner`, `cosine`, `distance` and `cluster` are given for kept images too, where the method knows them."""

_ROWS_AT_ONCE = 4096


class Selector(Protocol):
    """``select(embeddings, index, budget, rng, **settings) -> selection``.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
    index : pyarrow.Table
        n rows with ``id`` (unique) and ``path``.
    budget : int
        Number of images to keep, from 1 to n: met exactly.
    rng : numpy.random.Generator
        The only source of chance.
    """

    def __call__(
        self, embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator, **settings: Any
    ) -> pa.Table: ...


S = TypeVar("S", bound=Callable[..., pa.Table])
_SELECTORS: dict[str, Callable[..., pa.Table]] = {}


def register(name: str) -> Callable[[S], S]:
    """Return a decorator that makes a selector known as `name`, which must be new."""

    def add(selector: S) -> S:
        if name in _SELECTORS:
            raise ValueError(f"there is a selector {name!r} already")
        _SELECTORS[name] = selector
        return selector

    return add


def names() -> tuple[str, ...]:
    """Return the names of all selectors, sorted."""
    return tuple(sorted(_SELECTORS))


def get(name: str) -> Selector:
    """Return the selector `name`.

    Raises
    ------
    MedDELError
        There is none of that name.
    """
    if name not in _SELECTORS:
        raise MedDELError(f"unknown selector {name!r}", fix=f"choose one of {', '.join(names())}")
    return _SELECTORS[name]


def budget_for(ratio: float, n: int) -> int:
    """Return how many of `n` images the retention ratio R keeps: R n as printed in decimals, halves up, at least 1.

    Raises
    ------
    MedDELError
        `ratio` lies outside (0, 1], or there is no image.
    """
    if n < 1:
        raise MedDELError("there is no image to select from", fix="give a folder with images")
    exact = Decimal(repr(config.check_ratio(ratio))) * n
    return max(1, int(exact.to_integral_value(ROUND_HALF_UP)))


def check_budget(budget: int, n: int) -> None:
    """Refuse, by `MedDELError`, a budget outside 1 to `n`."""
    if not 1 <= budget <= n:
        raise MedDELError(f"can't keep {budget} of {n} images", fix=f"give a budget from 1 to {n}")


def check_embeddings(embeddings: np.ndarray, index: pa.Table) -> None:
    """Refuse embeddings that no selector can work with.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
        Read in pieces, so that a memory map may be larger than the memory.
    index : pyarrow.Table
        n rows with ``id``.

    Raises
    ------
    MedDELError
        Another type or shape; no row; an id twice; NaN, infinity or a length of 0 in a row, whose image is named.
    """
    fix = "embed the images again"
    if embeddings.ndim != 2 or not embeddings.shape[1] or embeddings.dtype not in (np.float16, np.float32, np.float64):
        raise MedDELError(
            f"embeddings must be a floating-point matrix, not {embeddings.dtype} {embeddings.shape}", fix=fix
        )
    if len(embeddings) != index.num_rows:
        raise MedDELError(f"{len(embeddings)} embeddings for {index.num_rows} images", fix=fix)
    if not index.num_rows:
        raise MedDELError("there is no image to select from", fix="give a folder with images")
    if pc.count_distinct(index["id"]).as_py() != index.num_rows:
        raise MedDELError("an id occurs twice in the index", fix="index the images again")
    for start in range(0, len(embeddings), _ROWS_AT_ONCE):
        rows = np.asarray(embeddings[start : start + _ROWS_AT_ONCE])
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            image = index["id"][start + int(np.argmin(finite))].as_py()
            raise MedDELError("NaN or infinity in an embedding", image, fix)
        filled = rows.any(axis=1)
        if not filled.all():
            image = index["id"][start + int(np.argmin(filled))].as_py()
            raise MedDELError("an embedding of length 0", image, fix)


def selection(
    index: pa.Table,
    order: np.ndarray,
    budget: int,
    *,
    reason: np.ndarray,
    partner: np.ndarray | None = None,
    cosine: np.ndarray | None = None,
    distance: np.ndarray | None = None,
    cluster: np.ndarray | None = None,
) -> pa.Table:
    """Build a selection from a ranking.

    Parameters
    ----------
    index : pyarrow.Table
        n rows with ``id``.
    order : int [n]
        The rows of `index`, first to keep first.
    budget : int
        How many of them are kept, from 0.
    reason : str [n]
        Why a row goes, if it goes (by row, as all that follow).
    partner : int [n] or None
        A row of `index`; negative for none.
    cosine, distance : float [n] or None
        What is not finite becomes null.
    cluster : int [n] or None

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`, in the row order of `index`.
    """
    n = index.num_rows
    rank = np.empty(n, np.int32)
    rank[order] = np.arange(n, dtype=np.int32)
    kept = rank < budget
    ids = index["id"].combine_chunks()
    nulls = pa.nulls(n)
    columns = {
        "id": ids,
        "kept": pa.array(kept),
        "rank": pa.array(rank),
        "reason": pa.array(np.where(kept, "kept", reason)),
        "partner": nulls if partner is None else ids.take(pa.array(partner, mask=partner < 0)),
        "cosine": nulls if cosine is None else pa.array(cosine, mask=~np.isfinite(cosine)),
        "distance": nulls if distance is None else pa.array(distance, mask=~np.isfinite(distance)),
        "cluster": nulls if cluster is None else pa.array(cluster),
    }
    arrays = [pc.cast(columns[field.name], field.type, safe=False) for field in SELECTION_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SELECTION_SCHEMA)


def write_kept_csv(selection: pa.Table, index: pa.Table, kept_path: Path, reasons_path: Path) -> None:
    """Write the images to keep, in order, and the reasons for the rest, as two CSV files (UTF-8, with a header).

    Parameters
    ----------
    selection : pyarrow.Table of `SELECTION_SCHEMA`
    index : pyarrow.Table
        The index that it was made from: ``id`` and ``path`` in the same row order.
    kept_path : Path
        Gets ``rank,id,path``, by rank. Written last: where it stands, both are whole.
    reasons_path : Path
        Gets ``id,path,reason,partner,cosine,distance``, by rank; an empty cell where there is no value.

    Raises
    ------
    MedDELError
        The two tables are not of the same images, or a file can't be written.
    """
    if not selection["id"].equals(index["id"]):
        raise MedDELError("selection and index are not of the same images", fix="select again from this store")
    table = selection.append_column("path", index["path"]).sort_by("rank")
    gone = table.filter(pc.invert(table["kept"])).select(["id", "path", "reason", "partner", "cosine", "distance"])
    kept = table.filter(table["kept"]).select(["rank", "id", "path"])
    _write_csv(reasons_path, gone)
    _write_csv(kept_path, kept)


def _write_csv(path: Path, table: pa.Table) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows(_cells(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True))
    artefacts.write_text(path, stream.getvalue())


def _cells(row: Iterable[Any]) -> list[Any]:
    return [f"{value:.6f}" if isinstance(value, float) else value for value in row]
