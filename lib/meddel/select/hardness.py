"""Hardness: the images which a masked autoencoder rebuilds worst (or best, or in between)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from numpy.typing import ArrayLike

from meddel.errors import MedDELError
from meddel.select.pool import check_choice, pool
from meddel.select.registry import register

Which = Literal["hard", "easy", "middle"]


@register("hardness")
def hardness(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: Generator,
    *,
    errors: ArrayLike | Mapping[str, float] | None = None,
    which: Which = "hard",
) -> pa.Table:
    """Keep the `budget` images which a masked autoencoder rebuilds worst (see `meddel.pretrain.reconstruction`).

    What is hard to predict may be worth learning (OptiDEL, arXiv 2408.07107) or noise. Nothing is drawn.

    Parameters
    ----------
    errors : float [n] or dictionary
        The reconstruction error by row of `index`, or by id. Required.
    which : {"hard", "easy", "middle"}
        By falling error, by rising error, or by rising distance of the error's rank from the median's.
    """
    images = pool(embeddings, index, budget)
    check_choice("kind of hardness", which, Which)
    order = np.argsort(_checked(errors, index)[images.by_id] * (-1 if which == "hard" else 1), kind="stable")
    if which == "middle":
        order = order[np.argsort(np.abs(2 * np.arange(len(images)) - (len(images) - 1)), kind="stable")]
    return images.selection(order, budget, reason="not drawn")


def _checked(errors: ArrayLike | Mapping[str, float] | None, index: pa.Table) -> np.ndarray:
    """Return the errors by row, or refuse them."""
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
