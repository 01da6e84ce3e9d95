"""The squared distance to the nearest of a growing set of rows, when one row is added: a step of k-means++.

Formula. ``squares_i <- min(squares_i, sum_j (x_ij - x_cj)^2)``, the sum as ``exact`` has it. The bound of ``lead`` says
of most rows that the new one is no nearer: they cost l bytes of q each, the others 4 or 8 d of x.

Ladder, k-means++ of 1,000 of 30,000 rows, d 768, two cores of a Zen 5 (``make bench``):

| version | seconds |
| --- | ---: |
| float64 product and exact check (the reference) | 3.83 |
| float32 product (inexact) | 5.58 |
| scikit-learn (inexact) | 18.9 |
| differences, compiled | 2.76 |
| int8 bound | 1.11 |
"""

from __future__ import annotations

import numpy as np

from meddel_kernels.cpu.exact import squared_difference
from meddel_kernels.cpu.lead import ROUNDING, Lead
from meddel_kernels.cpu.lean import lean


@lean()
def lower(
    x: np.ndarray,
    leads: Lead,
    factor: float,
    lost: float,
    index: int,
    cuts: np.ndarray,
    squares: np.ndarray,
    start: int,
    stop: int,
    stack: np.ndarray,
) -> None:
    """Replace each of the squared distances (float64 [n]) of rows `start` to `stop` by that to row `index` if less.

    `stack` is room for ``exact``'s sums, `factor` that of the leads, `lost` what tiny squares lose in their unit.
    """
    own = leads.q[index]
    for i in range(start, stop):
        if squares[i] < np.inf:
            product = _whole_product(leads.q[i], own)
            half = np.float64(leads.scale[i]) * leads.scale[index] * product
            slack = np.float64(leads.error[i]) * leads.length[index]
            slack += np.float64(leads.length[i] + leads.error[i]) * leads.error[index]
            slack += np.float64(leads.residual[i]) * leads.residual[index]
            both = leads.square[i] + leads.square[index]
            if both * (1 - ROUNDING) - 2.0 * (half + slack) > squares[i] * factor * factor + lost:
                continue
        squares[i] = min(squares[i], squared_difference(x, i, x, index, cuts, stack))


@lean(fastmath=True)
def _whole_product(a: np.ndarray, b: np.ndarray) -> int:
    total = np.int32(0)
    for column in range(a.shape[0]):
        total += np.int32(a[column]) * np.int32(b[column])
    return total
