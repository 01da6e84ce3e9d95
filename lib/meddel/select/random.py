"""Uniform random selection: what every other selector has to beat (section 4.6)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from meddel.select.base import check_budget, check_embeddings, register, selection


@register("random")
def select(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> pa.Table:
    """Keep `budget` images drawn uniformly without replacement.

    One permutation of the ids is drawn and a prefix of it kept: with equally seeded generators a smaller selection
    lies inside a larger one, whatever the order of the rows.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
        Only checked, so that every selector refuses the same input.
    index : pyarrow.Table
        n rows with ``id``.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`; who goes was ``not drawn``.

    Raises
    ------
    MedDELError
        The budget or an embedding is refused (see `check_budget`, `check_embeddings`).
    """
    check_embeddings(embeddings, index)
    check_budget(budget, index.num_rows)
    by_id = pc.sort_indices(index["id"]).to_numpy()
    order = by_id[rng.permutation(index.num_rows)]
    return selection(index, order, budget, reason=np.full(index.num_rows, "not drawn"))
