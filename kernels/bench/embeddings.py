"""Data to measure on: made-up embeddings with the traits that count, and real ones from a store."""

from __future__ import annotations

import numpy as np

SPECTRUM = -0.5  # the directions' deviations fall as this power of their rank


def made_up(n: int, d: int, *, seed: int, groups: int = 64, concepts: int = 2000, twins: float = 0.15) -> np.ndarray:
    """Return float32 unit rows [n, d] like a ViT's: off the origin, in concepts of Zipf's sizes, and with near twins.

    Parameters
    ----------
    groups, concepts : int
        Concepts lie around the centres of groups.
    twins : float
        Share of rows that are another row plus 2 to 35 % of noise.
    """
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, d + 1) ** SPECTRUM
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    shape = ((spectrum / np.linalg.norm(spectrum))[:, None] * turn).astype(np.float32)

    def noise(rows: int) -> np.ndarray:
        return rng.standard_normal((rows, d), dtype=np.float32) @ shape

    offset = rng.standard_normal(d).astype(np.float32)
    of_group = rng.integers(0, groups, concepts)
    centres = 0.5 * offset / np.linalg.norm(offset) + 0.7 * noise(groups)[of_group] + 0.6 * noise(concepts)
    share = np.arange(1, concepts + 1) ** -0.7
    concept = rng.choice(concepts, n, p=share / share.sum())
    x = np.concatenate([centres[part] + 0.55 * noise(len(part)) for part in np.array_split(concept, -(-n // 65536))])
    copies, originals = rng.permutation(n)[: int(n * twins)], rng.integers(0, n, int(n * twins))
    level = rng.uniform(0.02, 0.35, (len(copies), 1)).astype(np.float32)
    x[copies] = x[originals] + level * noise(len(copies))
    return x / np.linalg.norm(x, axis=1, keepdims=True)
