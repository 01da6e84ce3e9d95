"""Tiles: a block of threads fetches some rows into shared memory once, and each of its threads uses them many times.

A thread alone that compares its row with k others reads k rows from the GPU's memory, and so does its neighbour: the
same ones. A block of T x T threads that takes T rows and T others reads 2 T rows for T^2 pairs, T times less. Shared
memory (48 KiB a block) doesn't hold whole rows; it holds one piece of at most 128 columns of each (`exact.plan`: the
pieces of NumPy's sum), so that the tile's depth is that of the sum, and the order of additions stays NumPy's.

                     others    T rows           one thread, one pair:
                     +------------------+         thread (r, c) adds up piece by piece
                     | c    ##...##     |
    rows  T rows     +------------------+       1  everybody fetches part of both tiles
    +------------+                              2  wait (syncthreads): the tiles are whole
    | r  ##...## |     r meets c                3  add up the piece from the tiles, join it with those before
    +------------+                              4  wait: nobody overwrites what another still reads

Memory. A row in a tile has one unused value at its end. Shared memory is in 32 banks of 4 bytes, which serve one
thread each at a time; rows of 128 float64 would all start in the same bank, and T threads that read T rows in the same
column would queue. Rows of 129 start in different ones.
Bytes. 2 T 128 8 read for T^2 128 3 operations: with T = 16, 3 operations a byte instead of 0.2.
"""

from __future__ import annotations

from numba import cuda, float64

from meddel_kernels.cpu.exact import BLOCK
from meddel_kernels.numba_cuda.device import SIMULATED
from meddel_kernels.numba_cuda.exact import DEPTH, join, part

TILE = 4 if SIMULATED else 16
"""Rows of a tile, T; a block has T x T threads."""

WIDTH = BLOCK + 1


@cuda.jit(device=True)
def fetch(matrix, first, last, start, stop, tile):
    """Copy columns `start` to `stop` of `TILE` rows from `first` into `tile`, zeros where a row is not below `last`.

    Thread t copies values t, t + T^2, t + 2 T^2, ...: neighbours in memory are read by neighbours among the threads.
    """
    thread = cuda.threadIdx.y * TILE + cuda.threadIdx.x
    columns = stop - start
    for index in range(thread, TILE * columns, TILE * TILE):
        row, column = index // columns, index % columns
        tile[row, column] = matrix[first + row, start + column] if first + row < last else 0.0


@cuda.jit(device=True)
def tile_total(a, first_a, last_a, b, first_b, last_b, cuts, difference):
    """Return the squared distance or product of row ``first_a + threadIdx.y`` of `a` and ``first_b + threadIdx.x`` of
    `b`. All threads of the block must call it together; rows from `last_a` or `last_b` on give nothing of use.
    """
    rows = cuda.shared.array((TILE, WIDTH), float64)
    others = cuda.shared.array((TILE, WIDTH), float64)
    stack = cuda.local.array(DEPTH, float64)
    top = 0
    for piece in range(cuts.shape[0]):
        start, stop = cuts[piece, 0], cuts[piece, 1]
        fetch(a, first_a, last_a, start, stop, rows)
        fetch(b, first_b, last_b, start, stop, others)
        cuda.syncthreads()
        value = part(rows, cuda.threadIdx.y, others, cuda.threadIdx.x, 0, stop - start, difference)
        top = join(stack, top, value, cuts[piece, 2])
        cuda.syncthreads()
    return stack[0]
