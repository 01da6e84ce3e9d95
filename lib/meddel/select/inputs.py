"""What every selector refuses: budgets and embeddings that can't be worked with."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from meddel import config
from meddel.errors import MedDELError

_ROWS_AT_ONCE = 4096


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
