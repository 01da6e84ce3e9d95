"""Kernel herding (Welling 2009; Chen, Welling and Smola 2010): kept images whose mean stays at the mean of all."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from meddel.progress import progress
from meddel.select.base import register
from meddel.select.nearest_kept import selection_by_nearest
from meddel.select.pool import pool, unit_embeddings
from meddel_kernels.cpu.threads import one_blas_thread

_UNIT_ROUNDOFF = 2.0**-24  # of float32
_COMPACT_AT = 8  # rows are moved together when one in so many is gone


@register("herding")
def select(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> pa.Table:
    """Keep `budget` images whose mean embedding is near the mean of all.

    With mu the mean of the features phi over all images, herding repeats

        ``x_{t+1} = argmax_x <w_t, phi(x)>,   w_{t+1} = w_t + mu - phi(x_{t+1}),   w_0 = mu``.

    Where all features have the same length this is the greedy that makes ``|mu - (1/T) sum_t phi(x_t)|`` small (Chen et
    al., section 2.2), which falls as 1/T where the chosen points may repeat. Departures: phi is the embedding scaled to
    length 1, which is what makes the two the same; and an image is kept once, so that the rate is not guaranteed, and
    with all images kept the means are equal.

    The greedy is nested, and nothing is drawn: `rng` is not used. The images that go are ranked by what herding would
    choose by, ``<w, phi(x)>`` after the last step. Cost: n x budget products of float32, of which float64 decides those
    too near to tell apart; memory: the unit rows and a copy in float32.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
    index : pyarrow.Table
        n rows with ``id``. Ties go by id.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator
        Not used.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`, with the nearest kept image of those that go.

    Raises
    ------
    MedDELError
        The budget or an embedding is refused (see `check_budget`, `check_embeddings`).
    """
    images = pool(embeddings, index, budget)
    unit = unit_embeddings(embeddings, images)
    # a step is too short for a second thread, which would only wait for the next one
    with one_blas_thread(), progress(what="herding", total=budget, unit="image") as bar:
        order = _herd(unit, budget, bar)
    return selection_by_nearest(images, unit, order, budget)


def _herd(unit: np.ndarray, budget: int, bar: tqdm) -> np.ndarray:
    """Return all rows, the first `budget` as herding chooses them, the others by the last score."""
    n, d = unit.shape
    order = np.empty(n, np.int64)
    mean, chosen = unit.mean(axis=0), np.zeros(d)
    rows, narrow, taken = np.arange(n), unit.astype(np.float32), np.zeros(n, bool)
    for step in range(budget):
        weight = (step + 1) * mean - chosen
        scores = narrow @ weight.astype(np.float32)
        scores[taken] = -np.inf
        # each score is off by less than this, so that the greatest is among the candidates
        margin = 1.01 * (d + 4) * _UNIT_ROUNDOFF * np.linalg.norm(weight) + np.finfo(np.float32).tiny
        candidates = np.flatnonzero(scores >= scores.max() - 2 * margin)
        best = candidates[np.argmax(_scores(unit[rows[candidates]], weight))]
        order[step], taken[best] = rows[best], True
        chosen += unit[rows[best]]
        if taken.sum() * _COMPACT_AT > len(rows):
            rows, narrow = rows[~taken], narrow[~taken]
            taken = np.zeros(len(rows), bool)
        bar.update()
    rows = rows[~taken]
    order[budget:] = rows[np.argsort(-_scores(unit[rows], (budget + 1) * mean - chosen), kind="stable")]
    return order


def _scores(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the products in float64, those of equal rows equal to the last bit, which BLAS does not promise."""
    return (rows * weight).sum(axis=1)
