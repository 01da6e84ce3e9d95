"""What the selectors that cover the pool say of each image that goes: which kept one is the nearest, and how near."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import meddel_kernels as kernels
from meddel.select.pool import Pool


def selection_by_nearest(
    images: Pool,
    unit: np.ndarray,
    order: np.ndarray,
    budget: int,
    *,
    distance: np.ndarray | None = None,
    cluster: np.ndarray | None = None,
) -> pa.Table:
    """Keep the first `budget` images of a ranking; of the others say which kept image is the nearest.

    Parameters
    ----------
    images : Pool
    unit : float64 [n, d]
        The embeddings scaled to length 1, by place.
    order : int [m]
        Places, first to keep first, m from `budget` to n. Those left out follow, the farthest from its nearest kept
        image first, ties by id.
    budget : int
        From 1 to n.
    distance : float [n] or None
        By place, what the column says of kept images; not finite for nothing.
    cluster : int [n] or None
        By place.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`. Who goes was ``not drawn``; `partner` is its nearest kept image, of equally
    near ones that of the lowest rank, `distance` the Euclidean distance of their unit embeddings, `cosine` the cosine.
    """
    n = len(images)
    kept, gone = order[:budget], np.ones(n, bool)
    gone[kept] = False
    partner, apart = np.full(n, -1), np.full(n, np.nan)
    if gone.any():
        nearest = kernels.nearest_kept(unit, kept)
        partner[gone], apart[gone] = nearest.kept[gone], nearest.distances[gone]
    left_out = np.setdiff1d(np.arange(n), order)
    columns = {} if cluster is None else {"cluster": cluster}
    return images.selection(
        np.concatenate([order, left_out[np.argsort(-apart[left_out], kind="stable")]]),
        budget,
        reason=np.full(n, "not drawn"),
        partner=partner,
        cosine=1 - apart**2 / 2,
        distance=apart if distance is None else np.where(gone, apart, distance),
        **columns,
    )
