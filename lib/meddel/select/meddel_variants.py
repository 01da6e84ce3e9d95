"""MedDEL's other two keep rules under names of their own, for studies that set them beside the paper's text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.select import meddel
from meddel.select.base import register


def _keeping(keep: Keep) -> Callable[..., pa.Table]:
    def select(
        embeddings: np.ndarray,
        index: pa.Table,
        budget: int,
        rng: np.random.Generator,
        *,
        k: int | None = None,
        iterations: int = 50,
        eps: float = 0.9,
        backend: kernels.Backend = "auto",
        threads: int | None = None,
    ) -> pa.Table:
        settings = {"k": k, "iterations": iterations, "eps": eps, "backend": backend, "threads": threads}
        return meddel.select(embeddings, index, budget, rng, keep=keep, **settings)

    select.__doc__ = f"Keep `budget` images as `meddel.select.meddel.select` does with ``keep={keep!r}``."
    return select


far = register("meddel-far")(_keeping("far"))
drawn = register("meddel-random")(_keeping("random"))
