"""Share a number of images out to clusters, as near to given shares as their sizes allow: a quadratic programme."""

from __future__ import annotations

import numpy as np


def quotas(share: np.ndarray, sizes: np.ndarray, total: int) -> np.ndarray:
    """Return the whole numbers x that minimise the sum over j of (x_j - total share_j)², with 1 <= x_j <= sizes_j.

    They add up to `total`. Where that is below the number of clusters, x_j may be 0.

    Without whole numbers the optimum is x_j = total share_j + s cut to the bounds, for the one s at which the sum is
    right (the conditions of Karush, Kuhn and Tucker); the sum is piecewise linear in s, with a bend wherever a cluster
    meets a bound. Rounding that down and giving the rest to the greatest fractions, ties to the first, is the optimum
    in whole numbers: the same s, moved by less than a half, then rounds every x_j that lies between its bounds.

    Parameters
    ----------
    share : float [k]
        Adds up to 1.
    sizes : int [k]
        At least 1 each.
    total : int
        From 1 to the sum of `sizes`.

    Returns
    -------
    int64 [k]
    """
    least = np.full(len(sizes), 1 if total >= len(sizes) else 0)
    wanted = total * share
    bends = np.concatenate([least - wanted, sizes - wanted])
    order = np.argsort(bends, kind="stable")
    bends = bends[order]
    rising = np.cumsum(np.repeat([1, -1], len(sizes))[order])[:-1]
    sums = least.sum() + np.concatenate([[0.0], np.cumsum(rising * np.diff(bends))])
    exact = np.clip(wanted + np.interp(total, sums, bends), least, sizes)
    whole = np.floor(exact).astype(np.int64)
    greatest = np.argsort(whole - exact, kind="stable")
    whole[greatest[: total - whole.sum()]] += 1
    return whole
