"""Where K-means starts on a store: k-means||, a few passes over the rows, the same draws as in memory.

The steps are those of `meddel_kernels.seeding`; here is what they ask of a matrix, answered by streaming.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meddel.progress import progress
from meddel.scale.streaming import Stream
from meddel_kernels.backends import Backend, Rows, back_end
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.seeding import parallel


class StreamedRows:
    """A store's unit rows, by place, as k-means|| asks for them (`meddel_kernels.backends.Rows`).

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
        return _rows(self.take(rows), backend=self.stream.backend, threads=self.stream.threads)

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None) -> np.ndarray:
        """Return the nearest of the centroids (float64 [k, d]) for each row, int32 [n]."""
        labels, squares = np.empty(self.n, np.int32), np.empty(self.n)
        with progress(what="start of K-means", total=self.n, unit="row") as bar:
            for part, found in self.stream.each(_nearest, centroids):
                at = self.stream.places_of(part)
                labels[at], squares[at] = found
                bar.update(part.stop - part.start)
        self._found = labels, squares
        return labels

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the squared distances of the rows to the centroids that `assign` has just found, float64 [n]."""
        if self._found is None or self._found[0] is not labels:
            raise ValueError("squares are known for the last assignment alone")
        return self._found[1]

    def min_distance(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances (float64 [n]) by that to row `index` where that is less."""
        centroid = self.take(np.array([index]))
        for part, found in self.stream.each(_squares, centroid):
            at = self.stream.places_of(part)
            squares[at] = np.minimum(squares[at], found)


def start(stream: Stream, k: int, seed: int) -> np.ndarray:
    """Return the places that k-means|| starts from: int64 [k], those of ``meddel_kernels.kmeans_parallel``."""
    return parallel(StreamedRows(stream), k, np.random.default_rng(seed))


def _rows(unit: np.ndarray, *, backend: Backend, threads: int | None) -> Rows:
    return back_end(backend).rows(unit, thread_count(threads))


def _nearest(unit: np.ndarray, centroids: np.ndarray, **work_on: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest centroids of a block's rows, and the squared distances to them."""
    rows = _rows(unit, **work_on)
    labels = rows.assign(centroids, None)
    return labels, rows.squares(centroids, labels)


def _squares(unit: np.ndarray, centroid: np.ndarray, **work_on: Any) -> np.ndarray:
    """Return the squared distances of a block's rows to one centroid, float64 [1, d]."""
    return _rows(unit, **work_on).squares(centroid, np.zeros(len(unit), np.int32))
