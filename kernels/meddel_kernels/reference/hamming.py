"""Near hashes: the definition, in NumPy."""

from __future__ import annotations

import numpy as np

_AT_ONCE = 1 << 22


def near(a: np.ndarray, b: np.ndarray, radius: int, within: bool) -> np.ndarray:
    """Return all pairs of rows that differ in at most `radius` bits, sorted; see ``near_hashes``.

    Parameters
    ----------
    a, b : uint64 [n, w], [m, w]
    radius : int
    within : bool
        `b` is `a`: only pairs with i < j.

    Returns
    -------
    int64 [p, 3]. Rows of i, j and their distance.
    """
    step = max(1, _AT_ONCE // max(1, b.size))
    parts = [np.empty((0, 3), np.int64)]
    for start in range(0, len(a), step):
        distances = np.bitwise_count(a[start : start + step, None] ^ b[None]).sum(axis=2, dtype=np.int64)
        i, j = np.nonzero(distances <= radius)
        kept = start + i < j if within else slice(None)
        parts.append(np.stack([start + i, j, distances[i, j]], axis=1)[kept])
    return np.concatenate(parts)
