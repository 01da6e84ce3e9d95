"""Matrices that attack the kernels, and ragged batches of clusters; what several test files feed to the back ends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from meddel_kernels import KMeans

Adversary = Callable[[np.random.Generator], np.ndarray]

# Small whole numbers make ties and equal rows frequent, and every sum exact.
GRIDS = hnp.arrays(np.float32, st.tuples(st.integers(1, 24), st.integers(1, 5)), elements=st.integers(-2, 2).map(float))


def nearest_by_hand(x: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest centroids and the distances to them, from all differences."""
    squares = np.square(x.astype(np.float64)[:, None] - centroids.astype(np.float64)[None]).sum(axis=2)
    return squares.argmin(axis=1), np.sqrt(squares.min(axis=1))


def by_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the processor assign by bounds also where products alone would do."""
    monkeypatch.setattr("meddel_kernels.cpu.assign.MOST", 0)
    monkeypatch.setattr("meddel_kernels.cpu.assign.CHANGING", 2.0)


def embeddings(n: int, d: int, seed: int, groups: int = 20, twins: float = 0.3) -> np.ndarray:
    """Rows like those of a ViT, float32 [n, d]: far from the origin, in groups, with near twins."""
    rng = np.random.default_rng(seed)
    spread = np.arange(1, d + 1) ** -0.5
    x = 3 * rng.normal(size=d) + rng.normal(size=(groups, d))[rng.integers(groups, size=n)]
    x += 0.4 * rng.normal(size=(n, d)) * spread
    copies = rng.random(n) < twins
    x[copies] = x[rng.integers(n, size=copies.sum())] + 1e-3 * rng.normal(size=(copies.sum(), d))
    return x.astype(np.float32)


def blobs(n: int, d: int, k: int, seed: int = 0, spread: float = 0.5) -> np.ndarray:
    """Rows around k centres, float64 [n, d]."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(k, d))[rng.integers(k, size=n)] + spread * rng.normal(size=(n, d))


def assert_same(a: KMeans, b: KMeans) -> None:
    """Check that two results of K-means are one."""
    for ours, theirs in zip(a, b, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def equal_rows(rng: np.random.Generator) -> np.ndarray:
    return np.repeat(rng.normal(size=(1, 40)), 150, axis=0)


def exact_twins(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(30, 70))[rng.integers(30, size=200)]


def last_bits(rng: np.random.Generator) -> np.ndarray:
    return 1 + 2.0**-50 * rng.integers(-3, 4, size=(150, 24))


def almost_equal_cosines(rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(size=(1, 65)) + 1e-7 * rng.normal(size=(200, 65))
    return np.concatenate([x, -x])


def huge_and_tiny(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(180, 33)) * 10.0 ** rng.integers(-140, 140, size=(180, 1))


def huge(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(120, 20)) * 1e149


def denormals(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-9, 10, size=(120, 20)) * 5e-324


def vanishing_squares(rng: np.random.Generator) -> np.ndarray:
    """Squared differences are the smallest numbers there are, so that near ones tie."""
    return rng.normal(size=(160, 12)) * 1e-161


def narrow_squares(rng: np.random.Generator) -> np.ndarray:
    """Squared differences have a few bits left."""
    return rng.normal(size=(160, 12)) * 1e-159


def constant_columns(rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(size=(160, 130))
    x[:, ::2] = 1e5
    return x


def zero_rows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(150, 17)) * (rng.random((150, 1)) < 0.5)


def far_away(rng: np.random.Generator) -> np.ndarray:
    return 1e8 + rng.normal(size=(150, 48))


def white_noise(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(400, 300))


def one_column(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-50, 50, size=(300, 1)).astype(float)


ADVERSARIES: list[Adversary] = [
    equal_rows, exact_twins, last_bits, almost_equal_cosines, huge_and_tiny, huge, denormals, vanishing_squares,
    narrow_squares, constant_columns,
    zero_rows, far_away, white_noise, one_column,
]  # fmt: skip


def adversarial(adversary: Adversary, dtype: type, seed: int = 0) -> np.ndarray:
    """Return the rows of an adversary in a type, cut to what it holds."""
    most = np.finfo(dtype).max / 4
    return np.clip(adversary(np.random.default_rng(seed)), -most, most).astype(dtype)


def ragged(n: int, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a random order of n rows, int64 [n], and the offsets of clusters of any size, some empty."""
    rng = np.random.default_rng(seed)
    return rng.permutation(n), np.concatenate([[0], np.sort(rng.integers(0, n + 1, size=clusters - 1)), [n]])
