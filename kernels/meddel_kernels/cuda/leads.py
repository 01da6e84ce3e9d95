"""Rows in float16 on the device: the arrays that ``lead.cu`` fills, and the basis they are written in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.exact import plan
from meddel_kernels.cuda.device import Array, Device, grid

STEP = 64  # rows are padded to a multiple of so many columns
SCORES = 1 << 26  # products in memory at a time: 256 MiB
WIDEST = 1 << 16  # columns: the bounds in ``scores.cuh`` count on it


class Basis(NamedTuple):
    """Centre (float64 [d], on the device) and factor, a power of two: rows are seen as ``factor (x - centre)``."""

    centre: Array
    factor: float


class Lead(NamedTuple):
    """The leads of n rows on the device; see ``lead.cu``.

    Attributes
    ----------
    h : float16 [n, l]
    terms : float32 [n, 4]
    square : float64 [n]
    """

    h: Array
    terms: Array
    square: Array

    def part(self, rows: slice) -> Lead:
        """Return the leads of some rows, in place."""
        return Lead(*(array[rows] for array in self))


def empty_lead(device: Device, n: int, d: int) -> Lead:
    """Return the leads of n rows of width d, to be filled by `fill`."""
    h = device.empty((n, -(-d // STEP) * STEP), np.float16)
    return Lead(h, device.empty((n, 4), np.float32), device.empty(n, np.float64))


def fill(device: Device, lead: Lead, start: int, x: Array, basis: Basis, cosine: bool = False) -> None:
    """Fill the leads from row `start` on with those of the rows x [m, d]."""
    m, d = x.shape
    part = lead.part(slice(start, start + m))
    device.launch("lead.lead", grid(m), x, basis.centre, basis.factor, cosine, m, d, lead.h.shape[1], *part)


def lead_of(device: Device, x: Array, basis: Basis, cosine: bool = False) -> Lead:
    """Return the leads of rows on the device, x [n, d]."""
    lead = empty_lead(device, *x.shape)
    fill(device, lead, 0, x, basis, cosine)
    return lead


def cuts_of(device: Device, d: int) -> Array:
    """Return how a row of d values is cut for NumPy's sums, int32 [pieces, 3]; see ``exact.cuh``.

    Raises
    ------
    ValueError
        There are more columns than the bounds allow for.
    """
    if d > WIDEST:
        raise ValueError(f"a matrix on a GPU may have up to {WIDEST} columns, not {d}")
    return device.upload(plan(d).astype(np.int32))
