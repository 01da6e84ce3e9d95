"""For each row the greatest cosine to an earlier row of its cluster: a screen in int8, then float32, then float64.

Formula. ``M_j = max_{i < j} <u_i, u_j>`` over the unit rows u of a cluster in its order, ties to the earliest i; the
product as ``exact`` has it, clipped to [-1, 1]. The matrix of cosines is never stored: 64 columns j at a time meet
the rows i before them, so that half of the square is not computed.

Tiers. With the leads of the unit rows (see ``lead``, centre m, factor f) and ``o_i = <u_i, m> - |m|^2 / 2``,

    cos_ij  <=  (s_i s_j <q_i, q_j> + b_i) / f^2 + o_i + o_j,

where b_i collects the errors of rounding to int8, with the panel's largest. The pair of largest estimate is computed
first, in float32, which errs by at most ``w = (d + 16) 2^-24``: it lifts what all others have to reach, to ``2 w``
below itself (one w for its own error, one for adding up the bound, whose terms are below 2). Those that reach it are
computed in float32 too, and what float32 can't tell apart is decided in float64.

Of equal rows only the first can be a partner, as ties go to it: the others are columns only, and a thousand black
frames cost no more than one.

Contract. float32 or float64 rows, contiguous, finite; a row of zeros has cosine 0. Extra memory: l bytes a row, and
64 int32 products for up to 4,096 rows a thread.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from meddel_kernels.cpu.exact import DEPTH
from meddel_kernels.cpu.lead import ROUNDING, Lead
from meddel_kernels.cpu.microkernel import PANEL, ROWS, multiply, pack
from meddel_kernels.cpu.unit_rows import FACTOR, Prepared, Unit, cosine32, cosine64

CHUNK = 4096 // ROWS * ROWS
PENDING = 32
SQUARE = np.float32(FACTOR**-2)


class Cluster(NamedTuple):
    """One cluster of m rows, of which f equal no earlier one.

    Attributes
    ----------
    rows : int64 [m]
        Rows of the matrix, in the cluster's order.
    first : int64 [f]
        Positions in `rows`, ascending, of those that equal no earlier row.
    earlier, columns : Lead
        Leads of the first ones, and of all.
    earlier_offset, column_offset : float32 [f], [m]
        o.
    panels : uint8 [p, l / 4, 64, 4]
    """

    rows: np.ndarray
    first: np.ndarray
    earlier: Lead
    columns: Lead
    earlier_offset: np.ndarray
    column_offset: np.ndarray
    panels: np.ndarray


@numba.njit(cache=True, nogil=True)
def cluster_of(rows: np.ndarray, prepared: Prepared) -> Cluster:
    """Return a cluster of a prepared matrix; `rows` are int64 [m]."""
    first = first_of_equals(prepared.unit.x, rows, prepared.hashes[rows])
    columns, offset = _rows_of(prepared.leads, rows), prepared.offset[rows]
    earlier = columns if len(first) == len(rows) else _rows_of(prepared.leads, rows[first])
    panels = np.empty((-(-len(rows) // PANEL), columns.q.shape[1] // 4, PANEL, 4), np.uint8)
    pack(columns.q[: len(rows)], panels)
    return Cluster(rows, first, earlier, columns, offset[first], offset, panels)


@numba.njit(cache=True, nogil=True)
def first_of_equals(x: np.ndarray, rows: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the positions in `rows`, ascending, of those that equal no earlier one; `hashes` are theirs.

    Of rows with one hash, each is compared with the earliest alone: one that differs from it counts as a first, which
    costs time where it is not and changes no answer.
    """
    order = np.argsort(hashes, kind="mergesort")
    is_first = np.ones(len(rows), np.bool_)
    group = 0
    for at in range(1, len(rows)):
        if hashes[order[at]] != hashes[order[group]]:
            group = at
            continue
        same = True
        for column in range(x.shape[1]):
            same = same and x[rows[order[at]], column] == x[rows[order[group]], column]
        is_first[order[at]] = not same
    return np.flatnonzero(is_first)


@numba.njit(cache=True, nogil=True)
def _rows_of(leads: Lead, rows: np.ndarray) -> Lead:
    q = np.zeros((len(rows) + ROWS, leads.q.shape[1]), np.int8)
    q[: len(rows)] = leads.q[rows]
    return Lead(
        q, leads.total[rows], leads.scale[rows], leads.length[rows], leads.error[rows], leads.residual[rows],
        leads.square[rows],
    )  # fmt: skip


class Columns(NamedTuple):
    """What a panel of 64 columns knows while rows pass by.

    Attributes
    ----------
    scale, offset : float32 [64]
        s over f^2, and o.
    best : float32 [64]
        The greatest cosine yet, in float32.
    least : float32 [64]
        What a bound has to reach for its pair to matter.
    estimate, where : float32 [64], int32 [64]
        The greatest estimate among the chunk's rows, and its row.
    pending, values : int32 [64, PENDING], float32 [64, PENDING]
        Rows that may be the partner, in their order, with their float32 cosines; `count`, int64 [64], how many.
    cosine, partner : float64 [64], int64 [64]
        The greatest exact cosine of those that were pending before.
    """

    scale: np.ndarray
    offset: np.ndarray
    best: np.ndarray
    least: np.ndarray
    estimate: np.ndarray
    where: np.ndarray
    pending: np.ndarray
    values: np.ndarray
    count: np.ndarray
    cosine: np.ndarray
    partner: np.ndarray


@numba.njit(cache=True, nogil=True)
def _new_columns() -> Columns:
    return Columns(
        np.empty(PANEL, np.float32), np.empty(PANEL, np.float32), np.empty(PANEL, np.float32),
        np.empty(PANEL, np.float32), np.empty(PANEL, np.float32),
        np.empty(PANEL, np.int32), np.empty((PANEL, PENDING), np.int32), np.empty((PANEL, PENDING), np.float32),
        np.empty(PANEL, np.int64), np.empty(PANEL), np.empty(PANEL, np.int64),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def row_max_panels(u: Unit, c: Cluster, first: int, last: int, cosine: np.ndarray, partner: np.ndarray) -> None:
    """Fill `cosine` and `partner` (float64 [n], int64 [n]) for the rows of panels `first` to `last` of a cluster."""
    columns, most = _new_columns(), min(CHUNK, -(-len(c.first) // ROWS) * ROWS)
    products = np.empty((most, PANEL), np.int32)
    pair, stack = np.empty((2, u.x.shape[1])), np.empty(DEPTH)
    wrong = np.float32((u.x.shape[1] + 16) * 2.0**-24)
    for panel in range(first, last):
        start = panel * PANEL
        wide = min(PANEL, c.rows.shape[0] - start)
        length, error = _open(c, start, wide, columns)
        rows = np.searchsorted(c.first, start + wide - 1)
        for begin in range(0, rows, CHUNK):
            end = min(begin + CHUNK, rows)
            multiply(c.earlier.q, begin, end, c.panels, panel, panel + 1, products)
            _seed(u, c, begin, end, start, wide, products, columns, wrong)
            for at in range(begin, end):
                own = c.earlier.error[at] * length + (c.earlier.length[at] + c.earlier.error[at]) * error
                own += ROUNDING * c.earlier.length[at] * length
                own = own * SQUARE + c.earlier_offset[at]
                shift, scale = np.int32(128 * c.earlier.total[at]), c.earlier.scale[at]
                if _reaching(products[at - begin], shift, scale, own, columns) == 0:
                    continue
                for column in range(max(0, c.first[at] + 1 - start), wide):
                    whole = np.float32(np.int32(products[at - begin, column] - shift))
                    if whole * (scale * columns.scale[column]) + columns.offset[column] + own >= columns.least[column]:
                        _note(u, c, at, start, column, columns, wrong, pair, stack)
        for column in range(wide):
            _settle(u, c, start, column, columns, wrong, pair, stack)
            cosine[c.rows[start + column]] = columns.cosine[column]
            partner[c.rows[start + column]] = columns.partner[column]


@numba.njit(cache=True, nogil=True)
def _open(c: Cluster, start: int, wide: int, columns: Columns) -> tuple[float, float]:
    """Begin a panel; return the largest length and error of its columns."""
    length = error = np.float32(0)
    for column in range(PANEL):
        inside = column < wide
        row = min(start + column, c.rows.shape[0] - 1)
        columns.scale[column] = c.columns.scale[row] * SQUARE if inside else np.float32(0)
        columns.offset[column] = c.column_offset[row] if inside else np.float32(-1e9)
        columns.best[column] = columns.least[column] = np.float32(-2)
        columns.count[column], columns.cosine[column], columns.partner[column] = 0, -np.inf, -1
        length, error = max(length, c.columns.length[row]), max(error, c.columns.error[row])
    return length, error


@numba.njit(cache=True, nogil=True)
def _seed(
    u: Unit, c: Cluster, begin: int, end: int, start: int, wide: int, products: np.ndarray, columns: Columns,
    wrong: float,
) -> None:  # fmt: skip
    """Compute the pair of largest estimate of each column, which lifts what the others have to reach."""
    columns.estimate[:], columns.where[:] = np.float32(-3e38), -1
    for at in range(begin, end):
        shift, scale = np.int32(128 * c.earlier.total[at]), c.earlier.scale[at]
        offset = c.earlier_offset[at]
        if c.first[at] < start:
            _estimate(
                products[at - begin], shift, scale, offset, columns.scale, columns.estimate, columns.where,
                np.int32(at),
            )  # fmt: skip
            continue
        for column in range(c.first[at] + 1 - start, wide):
            whole = np.float32(np.int32(products[at - begin, column] - shift))
            value = whole * (scale * columns.scale[column]) + offset
            if value > columns.estimate[column]:
                columns.estimate[column], columns.where[column] = value, at
    for column in range(wide):
        at = columns.where[column]
        if at >= 0:
            value = cosine32(u, c.rows[c.first[at]], c.rows[start + column])
            columns.best[column] = max(columns.best[column], value)
            columns.least[column] = columns.best[column] - np.float32(2) * wrong


@numba.njit(cache=True, nogil=True, fastmath=True)
def _estimate(
    products: np.ndarray, shift: int, scale: float, offset: float, scales: np.ndarray, estimate: np.ndarray,
    where: np.ndarray, at: int,
) -> None:  # fmt: skip
    for column in range(PANEL):
        middle = np.float32(np.int32(products[column] - shift)) * (scale * scales[column]) + offset
        better = middle > estimate[column]
        estimate[column] = middle if better else estimate[column]
        where[column] = at if better else where[column]


@numba.njit(cache=True, nogil=True, fastmath=True)
def _reaching(products: np.ndarray, shift: int, scale: float, own: float, columns: Columns) -> int:
    """Count the columns whose bound reaches what it has to."""
    count = np.int32(0)
    for column in range(PANEL):
        middle = np.float32(np.int32(products[column] - shift)) * (scale * columns.scale[column])
        bound = middle + columns.offset[column] + own
        count += np.int32(1) if bound >= columns.least[column] else np.int32(0)
    return count


@numba.njit(cache=True, nogil=True)
def _note(
    u: Unit, c: Cluster, at: int, start: int, column: int, columns: Columns, wrong: float, pair: np.ndarray,
    stack: np.ndarray,
) -> None:  # fmt: skip
    """Compute a pair in float32 and keep it if it may be the column's greatest."""
    value = cosine32(u, c.rows[c.first[at]], c.rows[start + column])
    if value < columns.best[column] - np.float32(2) * wrong:
        return
    if columns.count[column] == PENDING:
        _settle(u, c, start, column, columns, wrong, pair, stack)
    columns.pending[column, columns.count[column]] = at
    columns.values[column, columns.count[column]] = value
    columns.count[column] += 1
    if value > columns.best[column]:
        columns.best[column] = value
        columns.least[column] = value - np.float32(2) * wrong


@numba.njit(cache=True, nogil=True)
def _settle(
    u: Unit, c: Cluster, start: int, column: int, columns: Columns, wrong: float, pair: np.ndarray, stack: np.ndarray,
) -> None:  # fmt: skip
    """Compute what is pending in float64, in the order of the rows, so that ties go to the earliest."""
    for number in range(columns.count[column]):
        if columns.values[column, number] < columns.best[column] - np.float32(2) * wrong:
            continue
        earlier = c.rows[c.first[columns.pending[column, number]]]
        value = cosine64(u, earlier, c.rows[start + column], pair, stack)
        if value > columns.cosine[column]:
            columns.cosine[column], columns.partner[column] = value, earlier
    columns.count[column] = 0
