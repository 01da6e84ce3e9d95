"""The tasks of exercises 08 and 09: two kernels in Numba's simulator, which runs each thread of a GPU as one of Python.

The simulator must be asked for before Numba is imported: the notebooks set ``NUMBA_ENABLE_CUDASIM=1`` first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import meddel_kernels as kernels
from compendium.workshop.checks import Task
from meddel.errors import MedDELError

TILE = 4
"""Threads of a block in each direction."""
FEW_READS = "no more reads than tiles need"


def _rows(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def _simulator() -> Any:
    """Return `numba.cuda` if it simulates."""
    from numba import cuda
    from numba.core import config

    if not config.ENABLE_CUDASIM:
        fix = "restart the kernel of the notebook and run it from its first cell"
        raise MedDELError("Numba was imported without its simulator", fix=fix)
    return cuda


def _by_row(dtype: type) -> Callable[..., np.ndarray]:
    """Return a launcher: one thread a row, and some too many, each writing a value of `dtype`."""

    def launch(kernel: Callable[..., Any], x: np.ndarray, other: np.ndarray) -> np.ndarray:
        _simulator()
        found = np.full(len(x), -1, dtype)
        kernel[len(x) // TILE + 1, TILE](x, other, found)
        return found

    return launch


def _by_pair(kernel: Callable[..., Any], unit: np.ndarray, argument: Any = None) -> np.ndarray:
    """Launch one thread a pair in blocks of TILE x TILE and return the matrix that they write."""
    _simulator()
    found = np.full((len(unit), len(unit)), np.nan)
    blocks = -(-len(unit) // TILE)
    kernel[(blocks, blocks), (TILE, TILE)](unit if argument is None else argument, found)
    return found


def _reads(kernel: Callable[..., Any], unit: np.ndarray) -> str:
    """Count how many values the threads read from the rows, which on a GPU are in its large, slow memory."""
    count = [0]

    class Counted(type(_simulator().to_device(unit))):
        def __getitem__(self, place: Any) -> Any:
            value = super().__getitem__(place)
            count[0] += np.size(value)
            return value

    _by_pair(kernel, unit, Counted(unit))
    n, d = unit.shape
    enough = 2 * n * n * d // TILE
    return FEW_READS if 0 < count[0] <= enough else f"{count[0]} reads, where tiles need {enough}"


def _tied() -> tuple[np.ndarray, np.ndarray]:
    """Return rows, and centroids two of which are equal."""
    x, centroids = _rows(6, 3, 9), _rows(4, 3, 10)
    centroids[3] = centroids[1]
    return x, centroids


TASKS = {
    "squared distances": Task(
        lambda x, centroid: kernels.assign(x, centroid[None])[1] ** 2,
        lambda: [(_rows(5, 3, 11), _rows(1, 3, 12)[0])],
        "add up in a number that starts at 0.0 and write it at the end; threads beyond the last row do nothing",
        run=_by_row(np.float64),
    ),
    "nearest centroid": Task(
        lambda x, centroids: kernels.assign(x, centroids)[0],
        lambda: [(_rows(5, 3, 11), _rows(3, 3, 12)), _tied()],
        "remember the least sum so far and whose it was; less, not less or equal; threads beyond the last do nothing",
        run=_by_row(np.int32),
    ),
    "tiled cosines": Task(
        lambda unit: unit @ unit.T,
        lambda: [(kernels.unit_rows(_rows(8, 8, 13)),), (kernels.unit_rows(_rows(6, 8, 14)),)],
        "wait after the tiles are filled, and again before they are filled anew; beyond the last row a tile holds zeros"
        " and nothing is written",
        run=_by_pair,
    ),
    "reads of the tiled cosines": Task(
        lambda unit: FEW_READS,
        lambda: [(kernels.unit_rows(_rows(8, 8, 13)),)],
        "each thread fetches one value for each of the two tiles; the products read the tiles only",
        run=_reads,
    ),
}
