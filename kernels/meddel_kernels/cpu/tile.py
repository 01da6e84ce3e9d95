"""A tile of 64 columns of a cluster which meets rows: which bounds reach what they have to.

Formula. The bounds of ``screen``, compared with what each column asks for, sixteen columns at a time; a row's answer is
64 bits, one for each column. ``e_i |s_j q_j| + (|s_i q_i| + e_i) e_j`` is taken with the tile's largest ``|s_j q_j|``
and e_j, which leaves one number for the row and one multiplication for each column.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu import llvm
from meddel_kernels.cpu.llvm import ROWS, TILE, njit, njit_raw
from meddel_kernels.cpu.screen import Screen, UnitCodes, centre_of, empty_screen, fill
from meddel_kernels.cpu.unit_rows import Exact, Unit, empty_unit, lengths, new_exact

NEVER = np.float32(3e38)
CHUNK = 96


class Columns(NamedTuple):
    """A tile of 64 columns which meets rows."""

    scale: np.ndarray  # float32 [64]: s
    residual: np.ndarray  # float32 [64]: r
    offset: np.ndarray  # float32 [64]: o
    least: np.ndarray  # float32 [64]: what a bound has to reach for its pair to matter
    most: np.ndarray  # float32 [2]: the largest |s q| and e


class Workspace(NamedTuple):
    """The memory that one thread writes to, for any cluster."""

    columns: Columns
    products: np.ndarray  # int32 [chunk + 6, 64]
    exact: Exact


@njit()
def new_workspace(d: int, chunk: int) -> Workspace:
    """Return a workspace for rows of width `d`, in chunks."""
    columns = Columns(
        np.empty(TILE, np.float32), np.empty(TILE, np.float32), np.empty(TILE, np.float32),
        np.empty(TILE, np.float32), np.empty(2, np.float32),
    )  # fmt: skip
    return Workspace(columns, np.empty((chunk + ROWS, TILE), np.int32), new_exact(d))


@njit()
def small_cluster(
    x: np.ndarray, rows: np.ndarray, cuts: np.ndarray, least: float, work: Workspace
) -> tuple[bool, Unit, Screen]:
    """Return a cluster's unit rows and its screen along all directions, and whether it keeps the contract."""
    u, s = empty_unit(x, rows, cuts), empty_screen(len(rows), x.shape[1], x.shape[1])
    good = lengths(u, 0, len(rows), least)
    if good:
        fill(u, centre_of(u), np.empty((0, x.shape[1]), np.float32), s, 0, len(rows))
    work.exact.held[:] = -1
    return good, u, s


@njit_raw()
def open_tile(s: Screen, tile: int, least: float, columns: Columns) -> int:
    """Begin a tile whose bounds have to reach `least`; return how many columns it has."""
    start = tile * TILE
    wide = min(TILE, s.codes.scale.shape[0] - start)
    columns.most[:] = 0
    for column in range(TILE):
        inside = column < wide
        at = start + column if inside else start
        columns.scale[column] = s.codes.scale[at] if inside else np.float32(0)
        columns.residual[column], columns.offset[column] = s.codes.residual[at], s.codes.offset[at]
        columns.least[column] = least if inside else NEVER
        columns.most[0] = max(columns.most[0], s.codes.length[at])
        columns.most[1] = max(columns.most[1], s.codes.error[at])
    return wide


@njit_raw()
def reaching(products: np.ndarray, rows: UnitCodes, at: int, s: Screen, columns: Columns) -> int:
    """Return as 64 bits which columns' bounds with row number `at` of `rows` reach what they have to.

    `products` (int32 [64]) are the row's with the columns.
    """
    error = rows.error[at] * columns.most[0] + (rows.length[at] + rows.error[at]) * columns.most[1]
    return llvm.reaching(
        products, columns.scale, columns.residual, columns.offset, columns.least, rows.shift[at], rows.scale[at],
        rows.residual[at], error + rows.offset[at] + s.slack[0],
    )  # fmt: skip


@njit_raw()
def from_column(column: int) -> int:
    """Return the 64 bits in which those from `column` on are set."""
    return np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(column) if column < TILE else np.uint64(0)
