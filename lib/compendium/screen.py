"""The kernels' certified screen in a few lines of NumPy, to see what is computed and what is not; not for speed.

A row a is rounded to whole numbers, ``a = s q + rest`` with q from -127 to 127. By Cauchy and Schwarz, with e the
length of the rest, what the product of the whole numbers misses of the product of the rows is at most

    |<a, c> - s_a s_c <q_a, q_c>|  <=  e_a |s_c q_c| + (|s_a q_a| + e_a) e_c.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

INT8, FLOAT32, FLOAT64 = 1, 2, 3
"""Where an entry was decided; 0 is for one which was never computed."""


class Rounded(NamedTuple):
    """Rows in int8, ``scale * whole + rest``: the lengths of `rest` and of ``scale * whole``."""

    whole: np.ndarray
    scale: np.ndarray
    rest: np.ndarray
    length: np.ndarray


def rounded(rows: np.ndarray) -> Rounded:
    """Round each row to whole numbers from -127 to 127 times a scale of its own."""
    rows = np.asarray(rows, np.float64)
    most = np.abs(rows).max(axis=1)
    scale = np.where(most > 0, most / 127, 1.0)
    whole = np.rint(rows / scale[:, None])
    kept = scale[:, None] * whole
    lost, length = (np.linalg.norm(part, axis=1) for part in (rows - kept, kept))
    return Rounded(whole.astype(np.int8), scale, lost, length)


def products(a: Rounded, c: Rounded) -> tuple[np.ndarray, np.ndarray]:
    """Return the products of rounded rows and the greatest possible error of each: float64 [n, k], [n, k]."""
    # Sums of up to 2^37 products of int8 are exact in float64, which BLAS has, unlike int32 products.
    product = a.whole.astype(np.float64) @ c.whole.astype(np.float64).T
    bound = np.outer(a.rest, c.length) + np.outer(a.length + a.rest, c.rest)
    return np.outer(a.scale, c.scale) * product, bound


class Screened(NamedTuple):
    """The result of `screen`.

    Attributes
    ----------
    nearest : int64 [n]
        The nearest centroid of each row, ties to the lowest; -1 where none was allowed.
    decided : int8 [n, k]
        The last tier which computed an entry, `INT8`, `FLOAT32` or `FLOAT64`; 0 where it was not allowed.
    error, bound : float64 [n, k]
        The screen's product minus that in float64, and how large the error can be.
    """

    nearest: np.ndarray
    decided: np.ndarray
    error: np.ndarray
    bound: np.ndarray


def screen(rows: np.ndarray, centroids: np.ndarray, allowed: np.ndarray | None = None) -> Screened:
    """Find the nearest allowed centroid of each row: int8 for all entries, float32 for few, float64 for a handful."""
    rows, centroids = np.asarray(rows, np.float64), np.asarray(centroids, np.float64)
    centre = rows.mean(axis=0)  # distances don't change, and short rows lose less
    a, c = rows - centre, centroids - centre
    reach = np.linalg.norm(a, axis=1)[:, None] + np.linalg.norm(c, axis=1)[None]
    # Float64 rounds too, where the centre is taken off and where squares are added: far less than 2^-40 of it all.
    away = 2.0**-40 * (reach + np.linalg.norm(centre))
    product, bound = products(rounded(a), rounded(c))
    bound = bound + away * reach
    half = np.square(c).sum(axis=1) / 2
    allowed = np.ones(product.shape, bool) if allowed is None else allowed
    can_win = _highest(product - half, bound, allowed)
    row, column = np.nonzero(can_win)
    square = np.full(product.shape, np.inf)
    square[row, column] = np.square(a.astype(np.float32)[row] - c.astype(np.float32)[column]).sum(axis=1)
    distance = np.sqrt(square)
    # The rows' own rounding to float32, then that of the sum.
    slip = np.where(can_win, 2.0**-23 * reach + away + (a.shape[1] / 2 + 8) * 2.0**-24 * distance, 0.0)
    can_win_still = _highest(-distance, slip, can_win)
    close = can_win_still & (can_win_still.sum(axis=1) > 1)[:, None]
    decided = np.select([close, can_win, allowed], [FLOAT64, FLOAT32, INT8], 0).astype(np.int8)
    nearest = np.full(len(a), -1)
    for i in np.flatnonzero(allowed.any(axis=1)):
        left = np.flatnonzero(can_win_still[i])
        nearest[i] = left[np.square(rows[i] - centroids[left]).sum(axis=1).argmin()]
    return Screened(nearest, decided, product - a @ c.T, bound)


def _highest(value: np.ndarray, bound: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return which allowed entries of each row can be its highest, if each may be wrong by its bound."""
    least = np.where(allowed, value - bound, -np.inf).max(axis=1, keepdims=True)
    return allowed & (value + bound >= least)
