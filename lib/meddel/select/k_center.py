"""k-center greedy (Gonzalez 1985; the core set of Sener and Savarese 2018): always the image farthest from all kept."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import meddel_kernels as kernels
from meddel.progress import progress
from meddel.select.base import register
from meddel.select.nearest_kept import selection_by_nearest
from meddel.select.pool import pool, unit_embeddings


@register("k-center")
def select(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> pa.Table:
    """Keep `budget` images that leave no image far from a kept one.

    The objective is the radius ``max_i min_{s in S} |x_i - x_s|``, to be small. The greedy adds ``argmax_i min_{s in S}
    |x_i - x_s|`` until the budget is spent, and its radius is at most twice the smallest that any `budget` images have:
    no faster method can promise less, unless P = NP. It starts from an image that is drawn.

    Departures: x is the embedding scaled to length 1, so that the distance is ``sqrt(2 - 2 cos)``; Sener and Savarese
    begin with images that are labelled already and then let a mixed-integer program drop outliers, here there are
    neither labels nor a program. Outliers are what k-center likes best: disruptive frames are among the first it keeps.

    The greedy is nested. The images that go are ranked by falling distance to the nearest kept one. Cost: n x budget
    distances; memory: the unit rows and their int8 copy.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
    index : pyarrow.Table
        n rows with ``id``.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator
        Draws the first image.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`. `distance` is that to the nearest kept image; of a kept one that to the nearest
    kept before, none for the first.

    Raises
    ------
    MedDELError
        The budget or an embedding is refused (see `check_budget`, `check_embeddings`).
    """
    images = pool(embeddings, index, budget)
    unit, n = unit_embeddings(embeddings, images), len(images)
    with progress(what="k-center", total=budget, unit="image") as bar:
        chosen = kernels.farthest_point(unit, budget, start=int(rng.integers(n)), callback=lambda *_: bar.update())
    distance = np.full(n, np.inf)
    distance[chosen.rows] = chosen.distances
    return selection_by_nearest(images, unit, chosen.rows, budget, distance=distance)
