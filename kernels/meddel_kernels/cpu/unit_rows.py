"""The unit rows of a matrix: in float64 as the reference has them, in float32 for a first look; neither is stored.

Formula. ``u_i = (x_i / max_j |x_ij|) / |x_i / max_j |x_ij||``, a row of zeros stays one. The cosine of two rows is
the exact product of their unit rows, clipped to [-1, 1]; in float32 it errs by at most ``(d + 16) 2^-24``.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from meddel_kernels.cpu.exact import DEPTH, plan, product
from meddel_kernels.cpu.lead import SAMPLE, USUAL, Lead, empty_lead, largest, quantise, row_blocks
from meddel_kernels.cpu.threads import share_out
from meddel_kernels.reference.pairs import unit_rows

FACTOR = 0.5  # a centred unit row is at most 2 long
_BLOCK = 1024


class Unit(NamedTuple):
    """The unit rows of a matrix, in float64 as numbers to divide by, in float32 as numbers to multiply with.

    Attributes
    ----------
    x : float32 or float64 [n, d]
    peak, norm : float64 [n]
        The unit row is ``(x / peak) / norm``; both are 1 for a row of zeros.
    rounded : float32 [n, d]
    inverse : float32 [n]
        The float32 unit row is ``rounded * inverse``.
    cuts : int64 [m, 3]
        ``exact.plan(d)``.
    """

    x: np.ndarray
    peak: np.ndarray
    norm: np.ndarray
    rounded: np.ndarray
    inverse: np.ndarray
    cuts: np.ndarray


class Prepared(NamedTuple):
    """A matrix prepared for its cosines.

    Attributes
    ----------
    unit : Unit
    leads : Lead
        Of the unit rows, centred, in all their directions, with the factor `FACTOR`.
    offset : float32 [n]
        ``o_i = <u_i, m> - |m|^2 / 2``, with m the mean of a sample of the unit rows.
    hashes : uint64 [n]
        Of the leads: equal rows have equal ones.
    """

    unit: Unit
    leads: Lead
    offset: np.ndarray
    hashes: np.ndarray


def prepare(x: np.ndarray, threads: int) -> Prepared:
    """Prepare a finite matrix, float16, float32 or float64 [n, d]; each row is read once."""
    x = np.ascontiguousarray(x, np.float32 if x.dtype == np.float16 else None)
    n, d = x.shape
    sample = np.array(x[:: -(-n // SAMPLE)], np.float64)
    cuts, inverse = plan(d), np.empty(n, np.float32)
    u = Unit(x, np.empty(n), np.empty(n), x, inverse, cuts)
    prepared = Prepared(u, empty_lead(n, d), np.empty(n, np.float32), np.empty(n, np.uint64))
    centre = unit_rows(sample).mean(axis=0)
    words = prepared.leads.q.view(np.uint32)
    share_out(lambda start, stop: _prepare(prepared, words, centre, start, stop), n, _BLOCK, threads)
    if x.dtype == np.float32 and inverse.max() < USUAL and inverse.min() > 1 / USUAL:
        return prepared
    rounded = np.empty(x.shape, np.float32)
    for rows in row_blocks(n, d):
        rounded[rows] = x[rows] / u.peak[rows, None] / u.norm[rows, None]
    return prepared._replace(unit=u._replace(rounded=rounded, inverse=np.ones(n, np.float32)))


@numba.njit(cache=True, nogil=True)
def _prepare(out: Prepared, words: np.ndarray, centre: np.ndarray, start: int, stop: int) -> None:
    """Fill `out` for rows `start` to `stop`; peak and norm as ``unit_rows`` has them. `words` are the leads' q."""
    u, row, stack = out.unit, np.empty((1, centre.shape[0])), np.empty(DEPTH)
    for i in range(start, stop):
        most = largest(u.x, i)
        u.peak[i] = most if most > 0 else 1.0
        for column in range(row.shape[1]):
            row[0, column] = np.float64(u.x[i, column]) / u.peak[i]
        length = np.sqrt(product(row, 0, row, 0, u.cuts, stack))
        u.norm[i] = length if length > 0 else 1.0
        u.inverse[i] = 1.0 / min(max(u.peak[i] * u.norm[i], 1e-30), 1e30)
        out.offset[i] = _centred(row[0], u.norm[i], centre)
        quantise(row, i, out.leads)
        out.hashes[i] = _hash(words, i)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _centred(row: np.ndarray, norm: float, centre: np.ndarray) -> float:
    """Turn a row into f times the centred unit row, and return o."""
    along = own = 0.0
    for column in range(row.shape[0]):
        value = row[column] / norm
        along += value * centre[column]
        own += centre[column] * centre[column]
        row[column] = FACTOR * (value - centre[column])
    return along - 0.5 * own


@numba.njit(cache=True, nogil=True)
def _hash(words: np.ndarray, i: int) -> int:
    value = np.uint64(14695981039346656037)
    for column in range(words.shape[1]):
        value = (value ^ np.uint64(words[i, column])) * np.uint64(1099511628211)
        value ^= value >> np.uint64(32)
    return value


@numba.njit(cache=True, nogil=True, fastmath=True)
def cosine32(u: Unit, i: int, j: int) -> float:
    """Return the float32 cosine of two rows, added up in whatever order is fastest."""
    total = np.float32(0)
    for column in range(u.rounded.shape[1]):
        total += u.rounded[i, column] * u.rounded[j, column]
    return total * u.inverse[i] * u.inverse[j]


@numba.njit(cache=True, nogil=True)
def cosine64(u: Unit, i: int, j: int, pair: np.ndarray, stack: np.ndarray) -> float:
    """Return the exact cosine of two rows; `pair` is room for them, float64 [2, d], `stack` for ``exact``'s sums."""
    for column in range(pair.shape[1]):
        pair[0, column] = (np.float64(u.x[i, column]) / u.peak[i]) / u.norm[i]
        pair[1, column] = (np.float64(u.x[j, column]) / u.peak[j]) / u.norm[j]
    return min(1.0, max(-1.0, product(pair, 0, pair, 1, u.cuts, stack)))
