"""Hardness: the images that a masked autoencoder rebuilds worst (or best, or in between), and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from meddel.errors import MedDELError
from meddel.select.base import register
from meddel.select.pool import pool

Which = Literal["hard", "easy", "middle"]


@register("hardness")
def select(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    errors: ArrayLike | Mapping[str, float] | None = None,
    which: Which = "hard",
) -> pa.Table:
    """Keep the `budget` images with the greatest reconstruction error.

    The error of an image is ``e_i = (1 / |P|) sum_{p in P} (1 / |M_p|) sum_{m in M_p} |x^_{p,m} - x_p|^2 / D``: MAE's
    loss on each patch p, over the masks M_p that hide it (see `meddel.pretrain.reconstruction`). It measures what is
    hard to predict, and what is hard to predict may be worth learning (OptiDEL, arXiv 2408.07107) or noise: an image of
    nothing but noise is the hardest of all. Twins are equally hard, so that they are kept or go together.

    The ranking is nested: it does not depend on the budget, and nothing is drawn. Cost: a sort.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
        Only checked, so that every selector refuses the same input.
    index : pyarrow.Table
        n rows with ``id``. Ties go by id.
    budget : int
        From 1 to n.
    rng : numpy.random.Generator
        Not used.
    errors : float [n] or dictionary
        By row of `index`, or by id (others may be in it); finite. Required: an encoder and pixels are not at hand here.
    which : {"hard", "easy", "middle"}
        By falling error, by rising error, or by rising distance of the error's rank from the median's.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`; who goes was ``not drawn``.

    Raises
    ------
    MedDELError
        There are no errors, or not n finite ones, or one is missing; `which` is unknown; or the budget or an embedding
        is refused.
    """
    images = pool(embeddings, index, budget)
    n = len(images)
    if which not in get_args(Which):
        raise MedDELError(f"unknown kind of hardness {which!r}", fix=f"choose one of {', '.join(get_args(Which))}")
    order = np.argsort(_checked(errors, index)[images.by_id] * (-1 if which == "hard" else 1), kind="stable")
    if which == "middle":
        order = order[np.argsort(np.abs(2 * np.arange(n) - (n - 1)), kind="stable")]
    return images.selection(order, budget, reason=np.full(n, "not drawn"))


def _checked(errors: ArrayLike | Mapping[str, float] | None, index: pa.Table) -> np.ndarray:
    fix = "compute them with meddel.pretrain.reconstruction and pass them as errors="
    if errors is None:
        raise MedDELError("hardness needs the reconstruction error of every image", "errors", fix)
    if isinstance(errors, Mapping):
        missing = next((image for image in index["id"].to_pylist() if image not in errors), None)
        if missing is not None:
            raise MedDELError("there is no error for an image", missing, fix)
        errors = [float(errors[image]) for image in index["id"].to_pylist()]
    values = np.asarray(errors)
    if values.dtype.kind != "f" or values.shape != (index.num_rows,):
        what = f"{index.num_rows} images but errors are {values.dtype} {values.shape}"
        raise MedDELError(what, "errors", fix)
    finite = np.isfinite(values)
    if not finite.all():
        raise MedDELError("NaN or infinity for an error", index["id"][int(np.argmin(finite))].as_py(), fix)
    return values.astype(np.float64)
