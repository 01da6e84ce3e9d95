"""Two kernels in Numba's simulator: an argmin without a matrix, and cosines in tiles (exercises of the same names).

The simulator runs every thread of a GPU as a thread of Python. It has to be asked for before Numba is imported, which
the notebooks do in their first cell (``NUMBA_ENABLE_CUDASIM=1``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import meddel_kernels as kernels
from compendium.workshop.checks import Check
from meddel.errors import MedDELError

TILE = 4
"""Threads of a block in each direction."""
FEW_READS = "no more reads than tiles need"


def _rows(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def _simulator() -> Any:
    """Return `numba.cuda`, if it simulates."""
    from numba import cuda
    from numba.core import config

    if not config.ENABLE_CUDASIM:
        fix = "restart the kernel of the notebook and run it from its first cell"
        raise MedDELError("Numba was imported without its simulator", fix=fix)
    return cuda


def _squares(kernel: Callable[..., Any], x: np.ndarray, centroid: np.ndarray) -> np.ndarray:
    """Launch one thread a row, some too many, and return the squares."""
    _simulator()
    squares = np.full(len(x), np.nan)
    kernel[len(x) // TILE + 1, TILE](x, centroid, squares)
    return squares


def _nearest(kernel: Callable[..., Any], x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Launch one thread a row, some too many, and return the labels."""
    _simulator()
    labels = np.full(len(x), -1, np.int32)
    kernel[len(x) // TILE + 1, TILE](x, centroids, labels)
    return labels


def _tied() -> tuple[np.ndarray, np.ndarray]:
    """Return rows, and centroids two of which are equal."""
    x, centroids = _rows(6, 3, 9), _rows(4, 3, 10)
    centroids[3] = centroids[1]
    return x, centroids


def _cosines(kernel: Callable[..., Any], unit: np.ndarray) -> np.ndarray:
    return _launched(kernel, unit, unit)


def _launched(kernel: Callable[..., Any], unit: np.ndarray, argument: Any) -> np.ndarray:
    """Launch one thread a pair in blocks of TILE x TILE and return the matrix that they write."""
    _simulator()
    found = np.full((len(unit), len(unit)), np.nan)
    blocks = -(-len(unit) // TILE)
    kernel[(blocks, blocks), (TILE, TILE)](argument, found)
    return found


def _reads(kernel: Callable[..., Any], unit: np.ndarray) -> str:
    """Count what the threads read from the rows, which on a GPU lie in its large, slow memory."""
    count = [0]

    class Counted(type(_simulator().to_device(unit))):
        def __getitem__(self, place: Any) -> Any:
            value = super().__getitem__(place)
            count[0] += np.size(value)
            return value

    _launched(kernel, unit, Counted(unit))
    n, d = unit.shape
    enough = 2 * n * n * d // TILE
    return FEW_READS if 0 < count[0] <= enough else f"{count[0]} reads, where tiles need {enough}"


CHECKS = (
    Check(
        "squared distances",
        lambda x, centroid: kernels.assign(x, centroid[None])[1] ** 2,
        lambda: [(_rows(5, 3, 11), _rows(1, 3, 12)[0])],
        "add up in a number that starts at 0.0 and write it at the end; threads beyond the last row do nothing",
        run=_squares,
    ),
    Check(
        "nearest centroid",
        lambda x, centroids: kernels.assign(x, centroids)[0],
        lambda: [(_rows(5, 3, 11), _rows(3, 3, 12)), _tied()],
        "remember the least sum so far and whose it was; less, not less or equal; threads beyond the last do nothing",
        run=_nearest,
    ),
    Check(
        "tiled cosines",
        lambda unit: unit @ unit.T,
        lambda: [(kernels.unit_rows(_rows(8, 8, 13)),), (kernels.unit_rows(_rows(6, 8, 14)),)],
        "wait after the tiles are filled, and again before they are filled anew; beyond the last row a tile holds zeros"
        " and nothing is written",
        run=_cosines,
    ),
    Check(
        "reads of the tiled cosines",
        lambda unit: FEW_READS,
        lambda: [(kernels.unit_rows(_rows(8, 8, 13)),)],
        "each thread fetches one value for each of the two tiles; the products read the tiles only",
        run=_reads,
    ),
)
