"""The leading directions of a large cluster: a screen along 128 of them costs a sixth of one along 768.

Formula. V spans about the leading principal directions of up to 2,048 of the centred unit rows (see ``principal``): any
orthonormal V bounds the cosines (see ``screen``), a good one bounds them well.

Bound. With ``g = (d + 16) 2^-24`` and ``|v| <= 2``, each of the l values of ``a = V^T v`` errs by at most 2 g, so that
`a` is wrong by ``2 g sqrt(l)``; and ``|v - V a|^2 <= |v|^2 - |a|^2 + z`` with ``z = 8 g (1 + sqrt(l)) + 2^-15``, where
2^-15 is for V, which float32 leaves orthonormal to 2^-18 for up to 256 directions.

Whether they do is tried on 256 rows by 256 others: where more than one pair in 100 would pass, all directions are
taken. So they are in clusters of fewer than `LEAST` rows, whose square costs less than finding directions does (40 ms
for 768 columns). That decides how long it takes, not what comes out.
"""

from __future__ import annotations

import numba
import numpy as np

from meddel_kernels.cpu.principal import ROWS, principal_directions
from meddel_kernels.cpu.screen import Screen, centred, dot, pack, quantise, wrong_by
from meddel_kernels.cpu.threads import one_blas_thread
from meddel_kernels.cpu.unit_rows import Unit

WIDTH = 128
LEAST = 12_000
FEW = 0.01
_TRIED = 256


def directions(u: Unit, centre: np.ndarray) -> np.ndarray:
    """Return `WIDTH` orthonormal directions, float32 [WIDTH, d]."""
    return np.ascontiguousarray(principal_directions(_rows(u, centre, ROWS), WIDTH).T, np.float32)


def suffice(u: Unit, centre: np.ndarray, basis: np.ndarray, threshold: float) -> bool:
    """Tell whether few bounds along these directions reach a threshold."""
    rows = _rows(u, centre, 2 * _TRIED)
    with one_blas_thread():
        along, inside = rows @ basis.T, rows @ centre + centre @ centre / 2
        across = np.sqrt(np.maximum(np.square(rows).sum(axis=1) - np.square(along).sum(axis=1), 0))
        bounds = along[::2] @ along[1::2].T + np.outer(across[::2], across[1::2]) + inside[::2, None] + inside[1::2]
    return float((bounds > threshold).mean()) < FEW


def _rows(u: Unit, centre: np.ndarray, count: int) -> np.ndarray:
    """Return up to so many centred unit rows, evenly spread over the cluster: float32 [c, d]."""
    at = np.linspace(0, len(u.rows) - 1, min(count, len(u.rows))).astype(np.int64)
    return (u.x[u.rows[at]] * u.inverse[at, None]).astype(np.float32) - centre


@numba.njit(cache=True, nogil=True)
def fill_leading(u: Unit, centre: np.ndarray, basis: np.ndarray, s: Screen, first: int, last: int) -> None:
    """Fill the screen for positions `first`, a multiple of 64, to `last`, along the directions of `basis`."""
    row, along = np.empty(basis.shape[1], np.float32), np.empty(basis.shape[0], np.float32)
    root, wrong = np.float32(np.sqrt(basis.shape[0])), wrong_by(basis.shape[1])
    missing = 8 * wrong * (1 + root) + np.float32(2.0**-15)
    half = np.float32(0.5) * dot(centre, centre)
    for at in range(first, last):
        centred(u.x, u.rows[at], u.inverse[at], centre, row)
        s.leads.offset[at] = dot(row, centre) + half
        for number in range(basis.shape[0]):
            along[number] = dot(row, basis[number])
        across = max(np.float32(0), dot(row, row) - dot(along, along))
        s.leads.residual[at] = np.sqrt(across + missing)
        quantise(along, at, s.leads, wrong, 2 * wrong * root)
    pack(s, first, last)
