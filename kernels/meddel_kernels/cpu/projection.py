"""The leads of many rows, projected in float32: what ``lead.lead`` does in float64, at four times the speed.

Formula. As in ``lead``: ``x' = f (x - m)``, ``a = V^T x'``, ``r = |x' - V a|``. Here x' is rounded to float32 before it
is multiplied, in float32. With u = 2^-24 the product of d terms errs by at most ``(d + 8) u |x'|`` in each of the l
columns (V is rounded too), so the whole of a by

    g = sqrt(l) (d + 8) u |x'| + u |x'|,

which is added to the error e of the lead. As ``|V a|^2 + r^2 = |x'|^2``, ``r^2 <= |x'|^2 - (|a~| - g)^2`` for the a~
that was computed. ``|x'|^2`` is added up in float64. (g is 5e-4 of |x'|; rounding to int8 costs some 1e-2.)

Bytes moved: 4 or 8 d a row, read once; blocks of 512 rows stay in the second-level cache.
"""

from __future__ import annotations

import numpy as np

from meddel_kernels.cpu.lead import UPWARDS, Basis, Lead, empty_lead, quantise
from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.threads import share_out

BLOCK = 512


def leads_of(x: np.ndarray, basis: Basis, threads: int) -> Lead:
    """Return the leads of the rows of x, float32 or float64 [n, d], in a basis."""
    n, d = x.shape
    wide = d if basis.directions is None else basis.directions.shape[1]
    result = empty_lead(n, wide)
    directions = None if basis.directions is None else basis.directions.astype(np.float32)
    wrong = (np.sqrt(wide) * (d + 8) + 1) * 2.0**-24 if directions is not None else 2.0**-24

    def work(start: int, stop: int) -> None:
        centred, length = np.empty((BLOCK, d), np.float32), np.empty(BLOCK)
        for first in range(start, stop, BLOCK):
            rows = min(BLOCK, stop - first)
            _centre(x, first, rows, basis.centre, basis.factor, centred, length, result.square)
            lead = centred[:rows] if directions is None else centred[:rows] @ directions
            quantise(lead, first, result)
            _allow(result, first, lead, length, wrong, directions is not None)

    share_out(work, n, BLOCK, threads)
    return result


@lean(fastmath=True)
def _centre(
    x: np.ndarray, first: int, rows: int, centre: np.ndarray, factor: float, out: np.ndarray, length: np.ndarray,
    square: np.ndarray,
) -> None:  # fmt: skip
    for i in range(rows):
        total = 0.0
        for column in range(x.shape[1]):
            value = factor * (x[first + i, column] - centre[column])
            total += value * value
            out[i, column] = value
        square[first + i] = total
        length[i] = np.sqrt(total)


@lean(fastmath=True)
def _allow(out: Lead, first: int, lead: np.ndarray, length: np.ndarray, wrong: float, across: bool) -> None:
    """Add what float32 may have lost to the errors, and bound what lies across."""
    for i in range(lead.shape[0]):
        row, lost, along = first + i, wrong * length[i], 0.0
        out.error[row] = np.float32((out.error[row] + lost) * UPWARDS) + np.float32(1e-37)
        if across:
            for column in range(lead.shape[1]):
                along += np.float64(lead[i, column]) * np.float64(lead[i, column])
            along = max(0.0, np.sqrt(along) * (1 - 2.0**-36) - lost)
            rest = max(0.0, out.square[row] * (1 + 2.0**-36) - along * along)
            out.residual[row] = np.float32(np.sqrt(rest) * UPWARDS) + np.float32(1e-37)
