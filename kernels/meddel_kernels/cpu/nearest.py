"""The nearest centroid of each row: a screen in int8, float32 for those that pass, float64 where even that is close.

Formula. ``label_i = argmin_c sum_j (x_ij - c_j)^2``, ties to the lowest index; the sum as ``exact`` has it.

Three tiers, each certified:

1. *Screen.* With the leads of x and c (see ``lead``), ``u_ic = s_i s_c <q_i, q_c> + r_i r_c - |c'|^2 / 2 + b_i`` is
   at least ``<x'_i, c'> - |c'|^2 / 2 = (|x'_i|^2 - f^2 |x_i - c|^2) / 2``, where b_i collects the errors of rounding
   to int8, with the centroids' largest, and of float32. So if D bounds from above the distance to any one centroid,
   only those with ``u_ic >= (|x'_i|^2 - f^2 D^2) / 2`` can be nearer. D is that to the row's previous centroid, else
   to the one of largest u.
2. *Float32.* The distance of those that pass, as a sum of squared differences in any order. It errs by at most
   ``2^-23 (|x_i| + |c|) + (d / 2 + 8) 2^-24 D``. D falls as nearer ones are found.
3. *Float64.* Where more than one is left within twice that error, the exact numbers decide.

Contract. x float32 or float64 [n, d], rows contiguous, finite; previous labels int32 or -1. Bytes moved per row: l of
q, 4 k of int32 products that stay in the second-level cache, 4 d of x and of each centroid that passes.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from meddel_kernels.cpu.exact import DEPTH, squared_difference
from meddel_kernels.cpu.lead import ROUNDING, Basis, Lead, lead
from meddel_kernels.cpu.microkernel import PANEL, multiply, pack

BLOCK = 96
FAR = np.float32(3e38)


class Centroids(NamedTuple):
    """Centroids as the tiers want them.

    Attributes
    ----------
    exact : float64 [k, d]
    rounded : float32 [k, d]
        In the units of the rows that tier 2 reads.
    panels : uint8 [p, l / 4, 64, 4]
    scale, residual, half_square : float32 [64 p]
        s_c, r_c and ``|c'|^2 / 2``; the columns beyond k can't win.
    length, error, half_most, residual_most, norm : float
        The largest of ``|s q|``, e, ``|c'|^2 / 2``, r, and of the lengths of `rounded`.
    """

    exact: np.ndarray
    rounded: np.ndarray
    panels: np.ndarray
    scale: np.ndarray
    residual: np.ndarray
    half_square: np.ndarray
    length: float
    error: float
    half_most: float
    residual_most: float
    norm: float


def prepare(centroids: np.ndarray, basis: Basis, unit: float) -> Centroids:
    """Return `centroids` (float64 [k, d]) prepared; tier 2 reads rows in multiples of `unit`."""
    k, leads = len(centroids), lead(lambda rows: centroids[rows].copy(), len(centroids), basis)
    panels = np.empty((-(-k // PANEL), leads.q.shape[1] // 4, PANEL, 4), np.uint8)
    pack(leads.q[:k], panels)
    scale, residual = (np.zeros(len(panels) * PANEL, np.float32) for _ in range(2))
    half_square = np.full(len(panels) * PANEL, FAR)
    scale[:k], residual[:k], half_square[:k] = leads.scale, leads.residual, leads.square / 2
    rounded = (centroids * unit).astype(np.float32)
    norm = float(np.sqrt(np.square(rounded, dtype=np.float64).sum(axis=1).max()))
    most = (float(part.max()) for part in (leads.length, leads.error, half_square[:k], leads.residual))
    return Centroids(centroids, rounded, panels, scale, residual, half_square, *most, norm)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _upper(
    products: np.ndarray, offset: int, scale: float, residual: float, c: Centroids, upper: np.ndarray, tops: np.ndarray
) -> None:
    """Fill `upper` with u (without b), and `tops` with the largest of each panel."""
    for panel in range(tops.shape[0]):
        most = np.float32(-3e38)
        for column in range(panel * PANEL, (panel + 1) * PANEL):
            value = np.float32(np.int32(products[column] - offset)) * (scale * c.scale[column])
            value += residual * c.residual[column] - c.half_square[column]
            upper[column] = value
            most = max(most, value)
        tops[panel] = most


@numba.njit(cache=True, nogil=True)
def _largest(upper: np.ndarray, tops: np.ndarray) -> int:
    """Return where `upper` is largest."""
    panel = np.argmax(tops)
    return panel * PANEL + np.argmax(upper[panel * PANEL : (panel + 1) * PANEL])


@numba.njit(cache=True, nogil=True, fastmath=True)
def _near(a: np.ndarray, i: int, b: np.ndarray, j: int) -> float:
    """Return the float32 distance of two rows, in whatever order is fastest."""
    total = np.float32(0)
    for column in range(a.shape[1]):
        term = a[i, column] - b[j, column]
        total += term * term
    return np.sqrt(total)


@numba.njit(cache=True, nogil=True)
def assign_rows(
    x: np.ndarray, rounded: np.ndarray, norm: np.ndarray, leads: Lead, factor: float, c: Centroids,
    cuts: np.ndarray, start: int, stop: int, labels: np.ndarray, counts: np.ndarray,
) -> None:  # fmt: skip
    """Replace `labels` (int32 [n]; -1 or a guess) of rows `start` to `stop` by the nearest centroids.

    Parameters
    ----------
    x : float32 or float64 [n, d]
        The rows, exact.
    rounded : float32 [n, d]
        The same in the unit of ``c.rounded``, and their lengths `norm`, float32 [n].
    factor : float
        f over that unit: what turns tier 2's distances into the leads'.
    cuts : int64 [m, 3]
        ``exact.plan(d)``.
    counts : int64 [2]
        Added to: centroids that passed the screen, rows that float64 decided.
    """
    columns = c.scale.shape[0]
    products = np.empty((BLOCK, columns), np.int32)
    upper, passed, distance = np.empty(columns, np.float32), np.empty(columns, np.int32), np.empty(columns, np.float32)
    tops = np.empty(columns // PANEL, np.float32)
    stack = np.empty(DEPTH)
    steps = np.float32((x.shape[1] / 2 + 8) * 2.0**-24)
    tiny = np.float32(np.sqrt(x.shape[1]) * 2.0**-60)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        multiply(leads.q, first, last, c.panels, 0, c.panels.shape[0], products)
        for i in range(first, last):
            offset = np.int32(128 * leads.total[i])
            _upper(products[i - first], offset, leads.scale[i], leads.residual[i], c, upper, tops)
            slack = (
                leads.error[i] * c.length + (leads.length[i] + leads.error[i]) * c.error
                + ROUNDING * (leads.length[i] * c.length + leads.residual[i] * c.residual_most + c.half_most)
            )  # fmt: skip
            guess = labels[i] if labels[i] >= 0 else _largest(upper, tops)
            wrong = np.float32(2.0**-23) * (norm[i] + np.float32(c.norm)) + tiny
            known = _near(rounded, i, c.rounded, guess)
            most = (known + wrong) * (1 + steps)
            reach = np.float64(most) * factor
            least = np.float32(0.5 * (leads.square[i] - reach * reach) - slack) - ROUNDING * np.float32(leads.square[i])
            count = 0
            for panel in range(tops.shape[0]):
                if tops[panel] >= least:
                    for column in range(panel * PANEL, (panel + 1) * PANEL):
                        if upper[column] >= least:
                            value = known if column == guess else _near(rounded, i, c.rounded, column)
                            passed[count], distance[count] = column, value
                            count += 1
                            most = min(most, (value + wrong) * (1 + steps))
            counts[0] += count
            labels[i] = _decided(
                x, i, c.exact, passed[:count], distance[:count], most, wrong, steps, cuts, stack, counts
            )


@numba.njit(cache=True, nogil=True)
def _decided(
    x: np.ndarray, i: int, centroids: np.ndarray, passed: np.ndarray, distance: np.ndarray, most: float, wrong: float,
    steps: float, cuts: np.ndarray, stack: np.ndarray, counts: np.ndarray,
) -> int:  # fmt: skip
    """Return the nearest of the centroids that `passed`, in float64 where float32 can't tell."""
    left, winner = 0, -1
    for at in range(passed.shape[0]):
        if not (distance[at] - wrong) * (1 - steps) > most:
            passed[left] = passed[at]
            left += 1
    if left == 1:
        return passed[0]
    counts[1] += 1
    least = np.inf
    for at in range(left):
        value = squared_difference(x, i, centroids, passed[at], cuts, stack)
        if value < least:
            least, winner = value, passed[at]
    return winner


@numba.njit(cache=True, nogil=True)
def assign_exactly(
    x: np.ndarray, centroids: np.ndarray, cuts: np.ndarray, start: int, stop: int, labels: np.ndarray
) -> None:
    """Do what `assign_rows` does without a screen, for centroids so far from the rows that float32 can't hold both."""
    stack = np.empty(DEPTH)
    for i in range(start, stop):
        least = np.inf
        for column in range(centroids.shape[0]):
            value = squared_difference(x, i, centroids, column, cuts, stack)
            if value < least:
                least, labels[i] = value, column


@numba.njit(cache=True, nogil=True)
def squares(
    x: np.ndarray, centroids: np.ndarray, labels: np.ndarray, cuts: np.ndarray, start: int, stop: int, out: np.ndarray
) -> None:
    """Write the exact squared distances of rows `start` to `stop` to their centroids into `out`, float64 [n]."""
    stack = np.empty(DEPTH)
    for i in range(start, stop):
        out[i] = squared_difference(x, i, centroids, labels[i], cuts, stack)
