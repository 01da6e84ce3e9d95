"""Where K-means starts on a store: k-means||, a few passes over the rows, the same draws as in memory.

The steps are those of `meddel_kernels.seeding`; here is what they ask of a matrix, answered by streaming.
"""

from __future__ import annotations

import numpy as np

from meddel.out_of_core.streaming import Stream
from meddel_kernels.backends import back_end
from meddel_kernels.clustering import Rows
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.seeding import parallel


class StreamedRows:
    """A store's unit rows, by place, as k-means|| asks for them (`meddel_kernels.clustering.Rows`).

    Squared distances are found in the pass that finds the nearest centroids, so that a round takes one pass.

    Parameters
    ----------
    stream : Stream
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.n, self.d = stream.store.rows, stream.store.dim
        self._found: tuple[np.ndarray, np.ndarray] | None = None

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, float64 [m, d]."""
        return self.stream.unit_rows_at(rows)

    def subset(self, rows: np.ndarray) -> Rows:
        """Return some rows, in memory."""
        return _rows(self.stream, self.take(rows))

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None) -> np.ndarray:
        """Return the nearest of the centroids (float64 [k, d]) for each row, int32 [n]."""
        labels, squares = np.empty(self.n, np.int32), np.empty(self.n)
        for part, unit in self.stream.units():
            at, rows = self.stream.places_of(part), _rows(self.stream, unit)
            labels[at] = found = rows.assign(centroids, None)
            squares[at] = rows.squares(centroids, found)
        self._found = labels, squares
        return labels

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the squared distances of the rows to the centroids that `assign` has just found, float64 [n]."""
        if self._found is None or self._found[0] is not labels:
            raise ValueError("squares are known for the last assignment alone")
        return self._found[1]

    def lower(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances (float64 [n]) by that to row `index` where that is less."""
        centroid = self.take(np.array([index]))
        for part, unit in self.stream.units():
            at, rows = self.stream.places_of(part), _rows(self.stream, unit)
            squares[at] = np.minimum(squares[at], rows.squares(centroid, np.zeros(len(unit), np.int32)))


def start(stream: Stream, k: int, seed: int) -> np.ndarray:
    """Return the places that k-means|| starts from: int64 [k], those of ``meddel_kernels.kmeans_parallel``."""
    return parallel(StreamedRows(stream), k, np.random.default_rng(seed))


def _rows(stream: Stream, unit: np.ndarray) -> Rows:
    return back_end(stream.backend).rows(unit, thread_count(stream.threads))
