"""Centroids as the screen wants them: their leads, packed in panels, and the largest of what bounds a row's errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meddel_kernels.cpu.bounds import FAR
from meddel_kernels.cpu.lead import Basis, lead
from meddel_kernels.cpu.microkernel import PANEL, pack


class Centroids(NamedTuple):
    """Centroids as the tiers want them.

    Attributes
    ----------
    exact : float64 [k, d]
    rounded : float32 [k, d]
        In the units of the rows that tier 2 reads.
    panels : uint8 [p, l / 4, 64, 4]
    scale, residual, half_square : float32 [64 p]
        s_c, r_c and ``|c'|^2 / 2``; the columns beyond k can't win.
    length, error, half_most, residual_most, norm : float32
        The largest of ``|s q|``, e, ``|c'|^2 / 2``, r, and of the lengths of `rounded`.
    """

    exact: np.ndarray
    rounded: np.ndarray
    panels: np.ndarray
    scale: np.ndarray
    residual: np.ndarray
    half_square: np.ndarray
    length: np.float32
    error: np.float32
    half_most: np.float32
    residual_most: np.float32
    norm: np.float32


def prepare(centroids: np.ndarray, basis: Basis, unit: float) -> Centroids:
    """Return `centroids` (float64 [k, d]) prepared; tier 2 reads rows in multiples of `unit`."""
    k, leads = len(centroids), lead(lambda rows: centroids[rows].copy(), len(centroids), basis)
    panels = np.empty((-(-k // PANEL), leads.q.shape[1] // 4, PANEL, 4), np.uint8)
    pack(leads.q[:k], panels)
    scale, residual = (np.zeros(len(panels) * PANEL, np.float32) for _ in range(2))
    half_square = np.full(len(panels) * PANEL, FAR)
    scale[:k], residual[:k], half_square[:k] = leads.scale, leads.residual, leads.square / 2
    rounded = (centroids * unit).astype(np.float32)
    norm = np.float32(np.sqrt(np.square(rounded, dtype=np.float64).sum(axis=1).max()))
    most = (part.max() for part in (leads.length, leads.error, half_square[:k], leads.residual))
    return Centroids(centroids, rounded, panels, scale, residual, half_square, *most, norm)


def chosen(c: Centroids, columns: np.ndarray) -> Centroids:
    """Return at most one panel of the prepared centroids (int32 [m]) as the screen wants them."""
    m, quads = len(columns), c.panels.shape[1]
    panels = np.full((1, quads, PANEL, 4), 128, np.uint8)
    panels[0, :, :m] = c.panels[columns // PANEL, :, columns % PANEL].transpose(1, 0, 2)
    scale, residual, half_square = np.zeros(PANEL, np.float32), np.zeros(PANEL, np.float32), np.full(PANEL, FAR)
    scale[:m], residual[:m], half_square[:m] = c.scale[columns], c.residual[columns], c.half_square[columns]
    return c._replace(panels=panels, scale=scale, residual=residual, half_square=half_square)
