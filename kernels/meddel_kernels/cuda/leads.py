"""Rows in int8 on the device: the arrays that ``lead.cu`` fills, and the basis they are written in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.exact import plan
from meddel_kernels.cuda.device import THREADS, Array, Device, grid

STEP = 64  # the screens take so many columns at a time
WIDEST = 1 << 16  # columns: the bound on float64's errors in ``screen.cuh`` counts on it


class Basis(NamedTuple):
    """Centre (float64 [d], on the device) and factor, a power of two: rows are seen as ``factor (x - centre)``."""

    centre: Array
    factor: float


class Lead(NamedTuple):
    """The leads of n rows on the device; see ``lead.cu``.

    Attributes
    ----------
    q : int8 [n, l]
    scale, length, error, offset : float32 [n]
    square : float64 [n]
    most : float32 [3]
        The largest length, error and absolute offset.
    """

    q: Array
    scale: Array
    length: Array
    error: Array
    offset: Array
    square: Array
    most: Array


def empty_lead(device: Device, n: int, d: int) -> Lead:
    """Return the leads of n rows of width d, to be filled by `fill`."""
    q = device.empty((n, -(-d // STEP) * STEP), np.int8)
    numbers = (device.empty(n, np.float32) for _ in range(4))
    return Lead(q, *numbers, device.empty(n, np.float64), device.full(3, 0, np.float32))


def fill(device: Device, lead: Lead, start: int, x: Array, basis: Basis, cosine: bool = False) -> None:
    """Fill the leads from row `start` on with those of the rows x [m, d]."""
    m, d = x.shape
    part = [array[start : start + m] for array in lead[:-1]]
    device.launch(
        "lead.lead", grid(m), x, basis.centre, basis.factor, cosine, m, d, lead.q.shape[1], *part, lead.most
    )  # fmt: skip


def lead_of(device: Device, x: Array, basis: Basis, cosine: bool = False) -> Lead:
    """Return the leads of rows on the device, x [n, d]."""
    lead = empty_lead(device, *x.shape)
    fill(device, lead, 0, x, basis, cosine)
    return lead


def slack_of(device: Device, rows: Lead, most: Array, own: Array | None, tiny: float) -> Array:
    """Return how wrong the estimates of each row may be, float32 [n]; see ``slack.cu``."""
    n = len(rows.scale)
    slack = device.empty(n, np.float32)
    device.launch("slack.slack", grid(n, THREADS), rows.length, rows.error, own, most, tiny, n, slack)
    return slack


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
