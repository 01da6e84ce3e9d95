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

Ladder, 15,000 rows, d 768, two cores of a Zen 5:

| version | seconds |
| --- | ---: |
| whole matrix, float32 (SemDeDup) | 2.74 |
| tiles of the square, float32 (NeMo Curator) | 2.7 |
| tiles of the triangle, float32 | 1.35 |
| int8 screen, greatest cosine | 0.174 |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.clusters import over_clusters
from meddel_kernels.cpu.exact import plan
from meddel_kernels.cpu.llvm import TILE, lowest, njit, njit_raw
from meddel_kernels.cpu.microkernel import multiply
from meddel_kernels.cpu.screen import Screen, UnitCodes, copied, copy_row, cosine_error
from meddel_kernels.cpu.threads import share_out
from meddel_kernels.cpu.tile import (
    Columns,
    Workspace,
    from_column,
    new_workspace,
    open_tile,
    reaching,
    small_cluster,
)
from meddel_kernels.cpu.unit_rows import SHORTEST, Unit, cosine32, cosine64

CHUNK = 1020
PENDING = 32


class Best(NamedTuple):
    """The best cosines that a tile of 64 columns has found so far."""

    estimate: np.ndarray  # float32 [64]: the greatest estimate among the first rows,
    where: np.ndarray  # int32 [64]: of which row it is,
    seed: np.ndarray  # float32 [64]: and its float32 cosine
    greatest: np.ndarray  # float32 [64]: the greatest cosine yet, in float32
    pending: np.ndarray  # int32 [64, PENDING]: rows that may be the partner, in their order,
    values: np.ndarray  # float32 [64, PENDING]: their float32 cosines,
    count: np.ndarray  # int64 [64]: and how many they are
    cosine: np.ndarray  # float64 [64]: the greatest exact cosine of those that were pending before,
    partner: np.ndarray  # int64 [64]: and its row


def row_max(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, partner: np.ndarray, threads: int,
    callback: Callable[[int], None] | None,
) -> None:  # fmt: skip
    """Do what ``cosine.row_max`` does."""

    def whole(x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return row_max_clusters(x, order, offsets, numbers, plan(x.shape[1]), SHORTEST[x.dtype], cosine, partner)

    def large(u: Unit, s: Screen) -> None:
        rows = different(u, s)

        def tiles(first: int, last: int) -> None:
            row_max_tiles(u, s, rows, first, last, cosine, partner, new_workspace(u.x.shape[1], CHUNK))

        share_out(tiles, len(s.tiles), 1, threads)

    def again(x: np.ndarray, order: np.ndarray, offsets: np.ndarray, *results: np.ndarray) -> None:
        row_max(x, order, offsets, *results, threads, None)

    over_clusters(x, order, offsets, threads, callback, (cosine, partner), whole, large, again)


@njit()
def _new_best() -> Best:
    return Best(
        np.empty(TILE, np.float32), np.empty(TILE, np.int32), np.empty(TILE, np.float32),
        np.empty(TILE, np.float32), np.empty((TILE, PENDING), np.int32), np.empty((TILE, PENDING), np.float32),
        np.empty(TILE, np.int64), np.empty(TILE), np.empty(TILE, np.int64),
    )  # fmt: skip


@njit()
def row_max_clusters(
    x: np.ndarray, order: np.ndarray, offsets: np.ndarray, numbers: np.ndarray, cuts: np.ndarray, least: float,
    cosine: np.ndarray, partner: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Do whole clusters; return the numbers of those whose rows need `regular` first."""
    odd, work = np.zeros(len(numbers), np.bool_), new_workspace(x.shape[1], CHUNK)
    for k in range(len(numbers)):
        rows = order[offsets[numbers[k]] : offsets[numbers[k] + 1]]
        if len(rows) < 2:
            continue
        good, u, s = small_cluster(x, rows, cuts, least, work)
        odd[k] = not good
        if good:
            row_max_tiles(u, s, different(u, s), 0, len(s.tiles), cosine, partner, work)
    return numbers[odd]


@njit()
def different(u: Unit, s: Screen) -> UnitCodes:
    """Return the codes of the rows that equal no earlier one; those of all rows then lose their q."""
    first = first_of_equals(u.x, u.rows, _hashes(s.codes))
    if len(first) == len(u.rows):
        return s.codes
    codes = copied(s.codes)
    for number in range(len(first)):
        copy_row(s.codes, first[number], codes, number)
    f = len(first)
    return UnitCodes(
        codes.position[:f], codes.q, codes.shift[:f], codes.scale[:f], codes.length[:f], codes.error[:f],
        codes.residual[:f], codes.offset[:f],
    )  # fmt: skip


@njit()
def _hashes(codes: UnitCodes) -> np.ndarray:
    """Return numbers, uint64 [m], that equal rows have in common."""
    value = codes.shift.astype(np.uint64)
    for part in (codes.scale, codes.length, codes.error, codes.offset):
        value = (value ^ part.view(np.uint32).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(32)
    return value


@njit()
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


@njit_raw()
def _same(x: np.ndarray, i: int, j: int) -> bool:
    for column in range(x.shape[1]):  # noqa: SIM110 - Numba compiles no generator
        if x[i, column] != x[j, column]:
            return False
    return True


@njit()
def row_max_tiles(
    u: Unit, s: Screen, rows: UnitCodes, first: int, last: int, cosine: np.ndarray, partner: np.ndarray, work: Workspace
) -> None:
    """Fill `cosine` and `partner` (float64 [n], int64 [n]) for tiles `first` to `last` of a cluster.

    `rows` are the `different` ones, `work` is for chunks of CHUNK rows.
    """
    best, columns, wrong = _new_best(), work.columns, cosine_error(u.x.shape[1])
    for tile in range(first, last):
        start = tile * TILE
        wide = open_tile(s, tile, np.float32(-2), columns)
        best.greatest[:], best.count[:], best.cosine[:], best.partner[:] = np.float32(-2), 0, -np.inf, -1
        stop = np.searchsorted(rows.position, start + wide - 1)
        for begin in range(0, stop, CHUNK):
            end = min(begin + CHUNK, stop)
            multiply(rows.q, begin, end, s.tiles, tile, tile + 1, work.products)
            if begin == 0:
                _seed(u, rows, end, start, wide, work.products, columns, best, wrong)
            for at in range(begin, end):
                mask = reaching(work.products[at - begin], rows, at, s, columns)
                if rows.position[at] >= start:
                    mask &= from_column(rows.position[at] + 1 - start)
                while mask != 0:
                    column = lowest(mask)
                    mask &= mask - np.uint64(1)
                    _note(u, rows.position[at], at, start, column, columns, best, wrong, work)
        for column in range(wide):
            _settle(u, start, column, best, wrong, work)
            cosine[u.rows[start + column]] = best.cosine[column]
            partner[u.rows[start + column]] = best.partner[column]


@njit_raw()
def _seed(
    u: Unit, rows: UnitCodes, end: int, start: int, wide: int, products: np.ndarray, columns: Columns, best: Best,
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


@njit_raw(fastmath=True)
def _estimate(
    products: np.ndarray, shift: int, scale: float, offset: float, scales: np.ndarray, estimate: np.ndarray,
    where: np.ndarray, at: int,
) -> None:  # fmt: skip
    for column in range(TILE):
        middle = np.float32(np.int32(products[column] - shift)) * (scale * scales[column]) + offset
        better = middle > estimate[column]
        estimate[column] = middle if better else estimate[column]
        where[column] = at if better else where[column]


@njit_raw()
def _note(
    u: Unit,
    position: int,
    at: int,
    start: int,
    column: int,
    columns: Columns,
    best: Best,
    wrong: float,
    work: Workspace,
) -> None:
    """Compute a pair in float32 and keep it if it may be the column's greatest."""
    value = best.seed[column] if best.where[column] == at else cosine32(u, position, start + column)
    if value < best.greatest[column] - np.float32(2) * wrong:
        return
    if best.count[column] == PENDING:
        _settle(u, start, column, best, wrong, work)
    best.pending[column, best.count[column]] = position
    best.values[column, best.count[column]] = value
    best.count[column] += 1
    if value > best.greatest[column]:
        best.greatest[column] = value
        columns.least[column] = value - np.float32(2) * wrong


@njit_raw()
def _settle(u: Unit, start: int, column: int, best: Best, wrong: float, work: Workspace) -> None:
    """Compute what is pending in float64, in the order of the rows, so that the earliest wins ties."""
    for number in range(best.count[column]):
        if best.values[column, number] < best.greatest[column] - np.float32(2) * wrong:
            continue
        position = best.pending[column, number]
        value = cosine64(u, work.exact, position, start + column)
        if value > best.cosine[column]:
            best.cosine[column], best.partner[column] = value, u.rows[position]
    best.count[column] = 0
