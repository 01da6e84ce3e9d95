"""For each row the greatest cosine to an earlier row of its cluster: a screen in int8, then float32, then float64.

Formula. ``M_j = max_{i < j} <u_i, u_j>`` over the unit rows u of a cluster in its order, ties to the earliest i; the
product as ``exact`` has it, clipped to [-1, 1]. The matrix of cosines is never stored: 64 columns j at a time meet
the rows i before them, so that half of the square is not computed.

Tiers. Of the first thousand rows, the one of largest estimate is computed at once, in float32, which errs by at most w
(see ``unit_rows``): it lifts what all bounds (see ``screen``) have to reach, to ``2 w`` below itself. Pairs that
reach it are computed in float32 too, and what float32 can't tell apart is decided in float64.

Of equal rows only the first can be a partner, as ties go to it: the others are columns only, and a thousand black
frames cost no more than one.

Contract. As ``unit_rows``. Extra memory: 2 l bytes a row; a thread has 64 int32 products for up to 1,020 rows, and
64 unit rows in float64.

Ladder, 15,000 rows, d 768, two cores of a Zen 5 (``make bench``):

| version | seconds |
| --- | ---: |
| whole matrix, float32 (SemDeDup) | 2.74 |
| tiles of the square, float32 (NeMo Curator) | 2.7 |
| tiles of the triangle, float32 | 1.35 |
| int8 screen, greatest cosine | 0.174 |
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from meddel_kernels.cpu.lean import lean
from meddel_kernels.cpu.microkernel import PANEL, multiply
from meddel_kernels.cpu.panel import (
    Columns,
    Room,
    from_column,
    lowest,
    new_room,
    open_panel,
    own,
    reaching,
    small_cluster,
)
from meddel_kernels.cpu.screen import Lead, Screen, apart, move, wrong_by
from meddel_kernels.cpu.unit_rows import Unit, cosine32, cosine64

CHUNK = 1020
PENDING = 32


class Best(NamedTuple):
    """What a panel of 64 columns has found while rows pass by.

    Attributes
    ----------
    estimate, where, seed : float32 [64], int32 [64], float32 [64]
        The greatest estimate among the first rows, whose it is, and its float32 cosine.
    greatest : float32 [64]
        The greatest cosine yet, in float32.
    pending, values : int32 [64, PENDING], float32 [64, PENDING]
        Rows that may be the partner, in their order, with their float32 cosines; `count`, int64 [64], how many.
    cosine, partner : float64 [64], int64 [64]
        The greatest exact cosine of those that were pending before, and its row.
    """

    estimate: np.ndarray
    where: np.ndarray
    seed: np.ndarray
    greatest: np.ndarray
    pending: np.ndarray
    values: np.ndarray
    count: np.ndarray
    cosine: np.ndarray
    partner: np.ndarray


@numba.njit(cache=True, nogil=True)
def _new_best() -> Best:
    return Best(
        np.empty(PANEL, np.float32), np.empty(PANEL, np.int32), np.empty(PANEL, np.float32),
        np.empty(PANEL, np.float32), np.empty((PANEL, PENDING), np.int32), np.empty((PANEL, PENDING), np.float32),
        np.empty(PANEL, np.int64), np.empty(PANEL), np.empty(PANEL, np.int64),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def row_max_clusters(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, numbers: np.ndarray, cuts: np.ndarray, least: float,
    cosine: np.ndarray, partner: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Do whole clusters; return the numbers of those whose rows need `regular` first."""
    odd, room = np.zeros(len(numbers), np.bool_), new_room(x.shape[1], CHUNK)
    for k in range(len(numbers)):
        rows = order[offsets[numbers[k]] : offsets[numbers[k] + 1]]
        if len(rows) < 2:
            continue
        good, u, s = small_cluster(x, rows, cuts, least, room)
        odd[k] = not good
        if good:
            row_max_panels(u, s, different(u, s), 0, len(s.panels), cosine, partner, room)
    return numbers[odd]


@numba.njit(cache=True, nogil=True)
def different(u: Unit, s: Screen) -> Lead:
    """Return the leads of the rows that equal no earlier one; those of all rows then lose their q."""
    first = first_of_equals(u.x, u.rows, _hashes(s.leads))
    if len(first) == len(u.rows):
        return s.leads
    leads = apart(s.leads)
    for number in range(len(first)):
        move(s.leads, first[number], leads, number)
    f = len(first)
    return Lead(
        leads.position[:f], leads.q, leads.shift[:f], leads.scale[:f], leads.length[:f], leads.error[:f],
        leads.residual[:f], leads.offset[:f],
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _hashes(leads: Lead) -> np.ndarray:
    """Return numbers, uint64 [m], that equal rows have in common."""
    value = leads.shift.astype(np.uint64)
    for part in (leads.scale, leads.length, leads.error, leads.offset):
        value = (value ^ part.view(np.uint32).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(32)
    return value


@numba.njit(cache=True, nogil=True)
def first_of_equals(x: np.ndarray, rows: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the positions in `rows`, ascending, of those that equal no earlier one; `hashes` are theirs.

    Of rows with one hash, each is compared with the earliest alone: one that differs from it counts as a first, which
    costs time where it is not and changes no answer.
    """
    size = 16
    while size < 2 * len(rows):
        size *= 2
    table, first, count = np.full(size, -1, np.int64), np.empty(len(rows), np.int64), 0
    for at in range(len(rows)):
        slot = np.int64(hashes[at] & np.uint64(size - 1))
        while table[slot] >= 0 and hashes[table[slot]] != hashes[at]:
            slot = (slot + 1) % size
        if table[slot] >= 0 and _same(x, rows[table[slot]], rows[at]):
            continue
        if table[slot] < 0:
            table[slot] = at
        first[count] = at
        count += 1
    return first[:count]


@lean()
def _same(x: np.ndarray, i: int, j: int) -> bool:
    for column in range(x.shape[1]):  # noqa: SIM110 - Numba compiles no generator
        if x[i, column] != x[j, column]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def row_max_panels(
    u: Unit, s: Screen, rows: Lead, first: int, last: int, cosine: np.ndarray, partner: np.ndarray, room: Room
) -> None:
    """Fill `cosine` and `partner` (float64 [n], int64 [n]) for panels `first` to `last` of a cluster.

    `rows` are the `different` ones, `room` is for chunks of CHUNK rows.
    """
    best, columns, wrong = _new_best(), room.columns, wrong_by(u.x.shape[1])
    for panel in range(first, last):
        start = panel * PANEL
        wide = open_panel(s, panel, np.float32(-2), columns)
        best.greatest[:], best.count[:], best.cosine[:], best.partner[:] = np.float32(-2), 0, -np.inf, -1
        stop = np.searchsorted(rows.position, start + wide - 1)
        for begin in range(0, stop, CHUNK):
            end = min(begin + CHUNK, stop)
            multiply(rows.q, begin, end, s.panels, panel, panel + 1, room.products)
            if begin == 0:
                _seed(u, rows, end, start, wide, room.products, columns, best, wrong)
            for at in range(begin, end):
                mask = reaching(room.products, at - begin, rows, at, own(rows, at, s, columns), columns)
                if rows.position[at] >= start:
                    mask &= from_column(rows.position[at] + 1 - start)
                while mask != 0:
                    column = lowest(mask)
                    mask &= mask - np.uint64(1)
                    _note(u, rows.position[at], at, start, column, columns, best, wrong, room)
        for column in range(wide):
            _settle(u, start, column, best, wrong, room)
            cosine[u.rows[start + column]] = best.cosine[column]
            partner[u.rows[start + column]] = best.partner[column]


@lean()
def _seed(
    u: Unit, rows: Lead, end: int, start: int, wide: int, products: np.ndarray, columns: Columns, best: Best,
    wrong: float,
) -> None:  # fmt: skip
    """Compute the pair of largest estimate of each column among the first rows, which lifts what others must reach."""
    best.estimate[:], best.where[:] = np.float32(-3e38), -1
    for at in range(end):
        position = rows.position[at]
        if position < start:
            _estimate(
                products[at], rows.shift[at], rows.scale[at], rows.offset[at], columns.scale, best.estimate,
                best.where, np.int32(at),
            )  # fmt: skip
            continue
        for column in range(position + 1 - start, wide):
            whole = np.float32(np.int32(products[at, column] - rows.shift[at]))
            value = whole * (rows.scale[at] * columns.scale[column]) + rows.offset[at]
            if value > best.estimate[column]:
                best.estimate[column], best.where[column] = value, at
    for column in range(wide):
        at = best.where[column]
        if at >= 0:
            best.greatest[column] = best.seed[column] = cosine32(u, rows.position[at], start + column)
            columns.least[column] = best.greatest[column] - np.float32(2) * wrong


@lean(fastmath=True)
def _estimate(
    products: np.ndarray, shift: int, scale: float, offset: float, scales: np.ndarray, estimate: np.ndarray,
    where: np.ndarray, at: int,
) -> None:  # fmt: skip
    for column in range(PANEL):
        middle = np.float32(np.int32(products[column] - shift)) * (scale * scales[column]) + offset
        better = middle > estimate[column]
        estimate[column] = middle if better else estimate[column]
        where[column] = at if better else where[column]


@lean()
def _note(
    u: Unit, position: int, at: int, start: int, column: int, columns: Columns, best: Best, wrong: float, room: Room
) -> None:
    """Compute a pair in float32 and keep it if it may be the column's greatest."""
    value = best.seed[column] if best.where[column] == at else cosine32(u, position, start + column)
    if value < best.greatest[column] - np.float32(2) * wrong:
        return
    if best.count[column] == PENDING:
        _settle(u, start, column, best, wrong, room)
    best.pending[column, best.count[column]] = position
    best.values[column, best.count[column]] = value
    best.count[column] += 1
    if value > best.greatest[column]:
        best.greatest[column] = value
        columns.least[column] = value - np.float32(2) * wrong


@lean()
def _settle(u: Unit, start: int, column: int, best: Best, wrong: float, room: Room) -> None:
    """Compute what is pending in float64, in the order of the rows, so that ties go to the earliest."""
    for number in range(best.count[column]):
        if best.values[column, number] < best.greatest[column] - np.float32(2) * wrong:
            continue
        position = best.pending[column, number]
        value = cosine64(u, room.exact, position, start + column)
        if value > best.cosine[column]:
            best.cosine[column], best.partner[column] = value, u.rows[position]
    best.count[column] = 0
