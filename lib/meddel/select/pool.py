"""The images of an index in the order of their ids: what is computed in it does not depend on the order of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import meddel_kernels as kernels
from meddel.select.inputs import check_budget, check_embeddings
from meddel.select.table import selection


@dataclass(frozen=True)
class Pool:
    """The images to select from. A *place* is a position in the order of ids.

    Attributes
    ----------
    index : pyarrow.Table
        n rows with ``id``.
    by_id : int64 [n]
        The row of the index at each place.
    """

    index: pa.Table
    by_id: np.ndarray

    def __len__(self) -> int:
        return len(self.by_id)

    def selection(
        self,
        order: np.ndarray,
        budget: int,
        *,
        reason: np.ndarray,
        partner: np.ndarray | None = None,
        **columns: np.ndarray,
    ) -> pa.Table:
        """Return `meddel.select.table.selection`, all arguments by place instead of by row."""
        place = np.argsort(self.by_id)
        if partner is not None:
            columns["partner"] = np.where(partner < 0, -1, self.by_id[partner])
        by_row = {name: values[place] for name, values in columns.items()}
        return selection(self.index, self.by_id[order], budget, reason=reason[place], **by_row)


def pool(embeddings: np.ndarray, index: pa.Table, budget: int) -> Pool:
    """Return the images as a pool, after the checks that every selector makes.

    Raises
    ------
    MedDELError
        The budget or an embedding is refused (see `check_budget`, `check_embeddings`).
    """
    check_embeddings(embeddings, index)
    check_budget(budget, index.num_rows)
    return Pool(index, pc.sort_indices(index["id"]).to_numpy().astype(np.int64))


def unit_embeddings(embeddings: np.ndarray, images: Pool) -> np.ndarray:
    """Return the embeddings by place, scaled to length 1: float64 [n, d]."""
    return kernels.unit_rows(embeddings[images.by_id])
