"""K-means on a store: the same centroids as in memory, bit for bit, by a pass through the rows for each iteration.

The start (k-means||) and the iterations are those of ``meddel_kernels``; here is what they ask of a matrix, answered by
passes. Sums are whole numbers (see `meddel_kernels.fixed_point`), so those of blocks add up to the same in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import meddel_kernels as kernels
from meddel.progress import progress
from meddel.scale.stream import Stream, load_checkpoint, save_checkpoint
from meddel_kernels import fixed_point
from meddel_kernels.backends import Rows, back_end
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.kmeans import lloyd
from meddel_kernels.seeding import parallel


class Clusters(NamedTuple):
    """Centroids (float64 [k, d]), how often they were moved, and by place the labels and the distances to them."""

    centroids: np.ndarray
    labels: np.ndarray
    distances: np.ndarray
    moves: np.ndarray


class StreamedRows:
    """The unit rows of a store by place, as the start and the iterations ask for them (`meddel_kernels.backends.Rows`).

    One pass finds labels, squared distances and, where `largest` (the greatest absolute value) is given, sums. Other
    questions are answered from the last pass. `before` gets the centroids and labels from which a pass starts, and
    returns the labels to guess.
    """

    def __init__(self, stream: Stream, largest: float | None = None, before: Callable[..., Any] | None = None) -> None:
        self.stream, self.largest, self._before = stream, largest, before
        self.n, self.d = stream.store.rows, stream.store.dim
        self._p = None if largest is None else fixed_point.power(self.n, largest)
        self._centroids = self._labels = self._squares = self._sums = np.empty(0)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows: float64 [m, d]."""
        return self.stream.unit_rows_at(rows)

    def subset(self, rows: np.ndarray) -> Rows:
        """Return some rows, in memory."""
        return _prepared(self.take(rows), backend=self.stream.backend, threads=self.stream.threads)

    def assign(self, centroids: np.ndarray, guess: np.ndarray | None) -> np.ndarray:
        """Return the nearest of the centroids (float64 [k, d]) for each row: int32 [n]."""
        if not np.array_equal(centroids, self._centroids):
            if self._before is not None:
                guess = self._before(centroids, guess)
            self._centroids = self._labels = self._squares = self._sums = np.empty(0)
            self._labels, self._squares, self._sums = self._passed(centroids, self._p, guess)
            self._centroids = centroids
        return self._labels

    def squares(self, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the squared distances to the centroids which `assign` has just found: float64 [n]."""
        return self._squares

    def sums(self, labels: np.ndarray, k: int, p: int, weights: None = None) -> np.ndarray:
        """Return the fixed-point sums by `labels`: those of the last pass, but for rows whose label was repaired."""
        repaired = np.flatnonzero(labels != self._labels)
        if not len(repaired):
            return self._sums
        sums, whole = self._sums.copy(), np.rint(self.take(repaired) * 2.0**p).astype(np.int64)
        np.subtract.at(sums, self._labels[repaired], whole)
        np.add.at(sums, labels[repaired], whole)
        return sums

    def min_distance(self, squares: np.ndarray, index: int) -> None:
        """Replace each of the squared distances (float64 [n]) by that to row `index` where that is less."""
        np.minimum(squares, self._passed(self.take(np.array([index])))[1], out=squares)

    def _passed(self, centroids: np.ndarray, p: int | None = None, guess: np.ndarray | None = None) -> tuple:
        """Return what `assign_block` finds in all rows."""
        by_id, own = self.stream.by_id, None
        if guess is not None:
            own = np.empty_like(guess)
            own[by_id] = guess
        found, sums = self.stream.added(assign_block, centroids, p, own=own)
        labels, squares = (np.concatenate(parts)[by_id] for parts in zip(*found, strict=True))
        return labels, squares, sums


def kmeans(
    stream: Stream, k: int, folder: Path, key: str, *, seed: int, iterations: int = 50, start: np.ndarray | None = None
) -> Clusters:
    """Cluster the unit rows of a store, as ``meddel_kernels.kmeans(..., start="k-means||")`` does in memory.

    Each iteration leaves ``kmeans.npz`` in `folder`, from which the same `key` (rows and settings) continues. `start`
    (float64 [k, d]) are the centroids to start from, None to draw them.
    """
    path = folder / "kmeans.npz"
    state = load_checkpoint(path, key)
    if state is None:
        if start is None:
            start = stream.unit_rows_at(parallel(StreamedRows(stream), k, np.random.default_rng(seed)))
        state = {"centroids": start, "moves": np.array(0)}
        save_checkpoint(path, key, **state)
    if "distances" not in state:
        if "largest" not in state:
            state["largest"] = np.array(max(found for _, found in stream.each(largest_of_block)))
            save_checkpoint(path, key, **state)
        found = _iterated(stream, state, path, key, iterations)
        state = found._asdict()
        save_checkpoint(path, key, **state)
    return Clusters(*(state[name] for name in Clusters._fields))


def _iterated(stream: Stream, state: dict[str, Any], path: Path, key: str, iterations: int) -> Clusters:
    """Return the clusters after all iterations that are left; what each starts from is saved before its pass."""
    done = int(state["moves"])
    with progress(what="K-means", total=iterations, unit="iteration", done=done) as bar:
        moves = done - 1

        def before(centroids: np.ndarray, labels: np.ndarray | None) -> np.ndarray | None:
            nonlocal moves
            moves += 1
            if moves == done:  # it is saved, and so are its labels
                return state.get("labels")
            save_checkpoint(
                path, key, centroids=centroids, labels=labels, moves=np.array(moves), largest=state["largest"]
            )
            bar.update()
            return labels

        rows = StreamedRows(stream, float(state["largest"]), before)
        found = lloyd(rows, state["centroids"], iterations - done)
    return Clusters(found.centroids, found.labels, found.distances, np.array(moves))


def largest_of_block(unit: np.ndarray, **_: Any) -> float:
    """Return the largest absolute value of a block (a task)."""
    return float(max(unit.max(), -unit.min()))


def assign_block(
    unit: np.ndarray, centroids: np.ndarray, p: int | None, guess: np.ndarray | None = None, **work_on: Any
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray | None]:
    """Return a block's nearest centroids and squared distances, and its sums at the power `p` if given (a task)."""
    rows = _prepared(unit, **work_on)
    labels = rows.assign(centroids, guess)
    sums = None if p is None else rows.sums(labels, len(centroids), p)
    return [(labels, rows.squares(centroids, labels))], sums


def _prepared(unit: np.ndarray, *, backend: kernels.Backend, threads: int | None) -> Rows:
    return back_end(backend).rows(unit, thread_count(threads))
