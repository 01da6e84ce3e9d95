"""What each row would add to a facility location: a screen in int8 for what adds nothing, the rest in float64.

Formula. ``g_j = sum_i rint(2^p max(0, <u_i, u_j> - b_i))`` over the rows i of j's cluster, j itself included, with the
unit rows u, the product as ``exact`` has it, clipped to [-1, 1], and b_i the greatest cosine that row i has to a chosen
row. Whole numbers add up to the same in any order.

Tiers. 64 columns j at a time meet all rows i. A pair whose bound (see ``screen``) does not exceed b_i adds nothing, nor
does one whose float32 cosine, which errs by at most w, lies w below b_i. The others need their exact cosine. So the
first call, when little is chosen, costs one exact product a pair; the further the choice goes, the less is left.

Contract. As ``unit_rows``. Extra memory: 2 l bytes a row; a thread has 64 unit rows in float64, so that an exact
product reads two rows and divides nothing.

Ladder, 10,000 rows, d 768, 100 of them chosen, two cores of a Zen 5 (``make bench``):

| version | seconds |
| --- | ---: |
| whole matrix, float64 | 3.69 |
| tiles, float32 (inexact) | 1.12 |
| every cosine exact: nothing is chosen yet | 7.3 |
| int8 screen | 0.367 |

Exactness has its price in the first call, which a float64 product would answer in half the time, but for its last bits.
"""

from __future__ import annotations

import numba
import numpy as np

from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import PANEL, multiply
from meddel_kernels.cpu.panel import CHUNK, Room, lowest, new_room, open_panel, own, reaching, small_cluster
from meddel_kernels.cpu.screen import Screen, wrong_by
from meddel_kernels.cpu.unit_rows import Unit, cosine32, cosine64


@numba.njit(cache=True, nogil=True)
def gains_clusters(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, numbers: np.ndarray, cuts: np.ndarray, least: float,
    best: np.ndarray, scale: float, gains: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Do whole clusters; return the numbers of those whose rows need `regular` first."""
    odd, room = np.zeros(len(numbers), np.bool_), new_room(x.shape[1], CHUNK)
    for k in range(len(numbers)):
        rows = order[offsets[numbers[k]] : offsets[numbers[k] + 1]]
        if len(rows) == 0:
            continue
        good, u, s = small_cluster(x, rows, cuts, least, room)
        odd[k] = not good
        if good:
            gains_panels(u, s, 0, len(s.panels), best, scale, gains, room)
    return numbers[odd]


@lean()
def gains_panels(
    u: Unit, s: Screen, first: int, last: int, best: np.ndarray, scale: float, gains: np.ndarray, room: Room
) -> None:
    """Fill `gains` (int64 [n], 0) for panels `first` to `last`; `best` float64 [n], `scale` 2^p."""
    columns, wrong = room.columns, np.float64(wrong_by(u.x.shape[1]))
    for panel in range(first, last):
        start = panel * PANEL
        open_panel(s, panel, np.float32(0), columns)
        for begin in range(0, len(u.rows), CHUNK):
            end = min(begin + CHUNK, len(u.rows))
            multiply(s.leads.q, begin, end, s.panels, panel, panel + 1, room.products)
            for at in range(begin, end):
                known = best[u.rows[at]]
                above = own(s.leads, at, s, columns) - np.float32(known)
                mask = reaching(room.products, at - begin, s.leads, at, above, columns)
                while mask != 0:
                    column = lowest(mask)
                    mask &= mask - np.uint64(1)
                    if np.float64(cosine32(u, at, start + column)) + wrong > known:
                        more = max(0.0, cosine64(u, room.exact, at, start + column) - known)
                        gains[u.rows[start + column]] += np.int64(np.rint(scale * more))
