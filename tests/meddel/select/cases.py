"""Small pools for the tests of selectors, and what they ask of a selection."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

import meddel_kernels as kernels

unit_rows = st.integers(1, 9).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any), min_size=n, max_size=n
    ).map(lambda rows: kernels.unit_rows(np.array(rows, float)))
)  # fmt: skip


def index_of(n: int) -> pa.Table:
    """An index of stills of one source."""
    ids = [f"source/{row:05d}" for row in range(n)]
    return pa.table({"id": ids, "path": [f"/images/{row}, {row}.png" for row in range(n)]})


def embeddings_of(n: int, d: int = 16, groups: int = 5, seed: int = 0) -> np.ndarray:
    """Unequal lengths, groups of unequal tightness, some rows far from all."""
    draw = np.random.default_rng(seed)
    group = draw.integers(groups, size=n)
    x = 3 * draw.normal(size=(groups, d))[group] + (0.2 + 0.5 * group[:, None]) * draw.normal(size=(n, d))
    return (x * draw.uniform(0.5, 2, size=(n, 1))).astype(np.float32)


def on_a_circle(*degrees: float) -> np.ndarray:
    """Unit rows at the given angles."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def rng(seed: int = 0) -> np.random.Generator:
    """A generator."""
    return np.random.default_rng(seed)


def ranked(selection: pa.Table) -> list[int]:
    """The rows, first to keep first."""
    return np.argsort(selection["rank"].to_numpy()).tolist()


def kept(selection: pa.Table) -> set[str]:
    """The ids that stay."""
    return set(selection.filter(selection["kept"])["id"].to_pylist())
