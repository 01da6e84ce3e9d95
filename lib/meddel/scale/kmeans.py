"""K-means on a store: a pass over the shards an iteration, and the same centroids as in memory, bit for bit.

Sums are whole numbers (see `meddel_kernels.fixed_point`), so those of shards add up to the same whatever the shards.
The power of two that they are rounded at follows from the number of rows and the largest value of all, which a pass
before the first iteration finds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import meddel_kernels as kernels
from meddel.progress import progress
from meddel.scale import checkpoint, seeding
from meddel.scale.streaming import Stream, unit_rows
from meddel_kernels import fixed_point
from meddel_kernels.backends import back_end
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.kmeans import repaired


class Assigned(NamedTuple):
    """What a shard adds to an iteration.

    Attributes
    ----------
    labels : int32 [m]
        The nearest centroids.
    squares : float64 [m]
        Squared distances to them.
    sums : int64 [k, d]
        For each centroid the sum of ``round(2^p x)`` over its rows: shards' sums are added up.
    """

    labels: np.ndarray
    squares: np.ndarray
    sums: np.ndarray


class Clusters(NamedTuple):
    """Result of `kmeans`; labels and distances by place.

    Attributes
    ----------
    centroids : float64 [k, d]
    labels : int32 [n]
    distances : float64 [n]
    iterations : int
        How often the centroids were moved.
    """

    centroids: np.ndarray
    labels: np.ndarray
    distances: np.ndarray
    iterations: int


def extent_shard(shard: np.ndarray, *, unit: bool = False, threads: int | None = None) -> float:
    """Return the largest absolute value of a shard's unit rows; parameters as for `assign_shard`."""
    scaled = shard if unit else unit_rows(shard, threads)
    return float(max(scaled.max(), -scaled.min()))


def assign_shard(
    shard: np.ndarray,
    centroids: np.ndarray,
    p: int,
    guess: np.ndarray | None = None,
    *,
    unit: bool = False,
    backend: kernels.Backend = "auto",
    threads: int | None = None,
) -> Assigned:
    """Find the nearest centroids of a shard's unit rows, and what they add to the centroids' sums.

    Parameters
    ----------
    shard : float [m, d]
    centroids : float64 [k, d]
    p : int
        From `meddel_kernels.fixed_point.power` for all rows of all shards.
    guess : int32 [m] or None
        The labels before, which save time.
    unit : bool
        The rows are float64 of length 1 already.
    backend, threads
        As for `meddel_kernels.kmeans`; they change nothing.
    """
    scaled = shard if unit else unit_rows(shard, threads)
    rows = back_end(backend).rows(scaled, thread_count(threads))
    labels = rows.assign(centroids, guess)
    return Assigned(labels, rows.squares(centroids, labels), rows.sums(labels, len(centroids), p))


def kmeans(
    stream: Stream, k: int, folder: Path, key: str, *, seed: int, iterations: int = 50, start: np.ndarray | None = None
) -> Clusters:
    """Cluster the unit rows of a store, as ``meddel_kernels.kmeans(..., start="k-means||")`` does in memory.

    Each iteration leaves ``kmeans.npz`` in `folder`, from which a run that was cut off goes on.

    Parameters
    ----------
    stream : Stream
    k : int
        From 1 to n.
    folder : Path
    key : str
        What the rows and the settings are: another key starts anew.
    seed : int
        Of the draws, not negative.
    iterations : int
        At most so many, at least 1.
    start : float64 [k, d] or None
        The centroids to start from; None draws them by k-means||.

    Raises
    ------
    MedDELError
        A shard is damaged, an embedding is not finite or of length 0, or the folder can't be written.
    """
    path = folder / "kmeans.npz"
    state = checkpoint.load(path, key)
    if state is None:
        centroids = stream.unit_rows_at(_start(stream, k, folder, key, seed)) if start is None else start
        largest = max(found for _, found in stream.each(_extent))
        state = {"centroids": centroids, "moves": np.array(0), "largest": np.array(largest)}
        checkpoint.save(path, key, **state)
    (folder / "start.npz").unlink(missing_ok=True)
    with progress(what="K-means", total=iterations, unit="iteration", done=int(state["moves"])) as bar:
        while "distances" not in state:
            state = _moved(stream, state, iterations)
            checkpoint.save(path, key, **state)
            bar.update("distances" not in state)
    return Clusters(state["centroids"], state["labels"], state["distances"], int(state["moves"]))


def _start(stream: Stream, k: int, folder: Path, key: str, seed: int) -> np.ndarray:
    kept = checkpoint.load(folder / "start.npz", key)
    if kept is None:
        kept = {"places": seeding.start(stream, k, seed)}
        checkpoint.save(folder / "start.npz", key, **kept)
    return kept["places"]


def _moved(stream: Stream, state: dict[str, np.ndarray], iterations: int) -> dict[str, np.ndarray]:
    """Return the state after an iteration of Lloyd's, or the last one, which has ``distances``."""
    centroids, previous, moves = state["centroids"], state.get("labels"), int(state["moves"])
    k, p = len(centroids), fixed_point.power(stream.store.rows, float(state["largest"]))
    nearest, squares, sums = _swept(stream, centroids, p, previous)
    last = {"centroids": centroids, "labels": nearest, "distances": np.sqrt(squares), "moves": np.array(moves)}
    if moves >= iterations or state.get("still"):
        return last
    labels, sizes = nearest, np.bincount(nearest, minlength=k)
    if not sizes.all():
        resolved = fixed_point.resolution(stream.store.dim, p, float(state["largest"]), sizes, sizes)
        gains = np.where(squares > np.square(resolved)[nearest], squares, 0.0)
        labels, sizes = repaired(nearest, sizes, gains, 0.0)
        _carry_over(stream, sums, nearest, labels, p)
    if previous is not None and np.array_equal(labels, previous):
        return last
    moved = fixed_point.means(sums, sizes, p, centroids)
    still = not np.square(moved - centroids).sum() > 0
    return {"centroids": moved, "labels": labels, "largest": state["largest"], "moves": np.array(moves + 1)} | (
        {"still": np.array(True)} if still else {}
    )


def _swept(stream: Stream, centroids: np.ndarray, p: int, guess: np.ndarray | None) -> Assigned:
    """Return what all shards add up to, by place."""

    def before(part: slice) -> tuple[np.ndarray | None]:
        return (None if guess is None else guess[stream.places_of(part)],)

    parts, sums = stream.added(_assigned, centroids, p, own=before)
    found = Assigned(np.empty(stream.store.rows, np.int32), np.empty(stream.store.rows), sums)
    for part, mine in parts:
        at = stream.places_of(part)
        found.labels[at], found.squares[at] = mine
    return found


def _extent(unit: np.ndarray, **_: Any) -> float:
    return extent_shard(unit, unit=True)


def _assigned(
    unit: np.ndarray, centroids: np.ndarray, p: int, guess: np.ndarray | None, **work_on: Any
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return a block's labels and squares, and its sums."""
    found = assign_shard(unit, centroids, p, guess, unit=True, **work_on)
    return (found.labels, found.squares), found.sums


def _carry_over(stream: Stream, sums: np.ndarray, before: np.ndarray, after: np.ndarray, p: int) -> None:
    """Move the rows whose label was repaired from the one sum to the other."""
    places = np.flatnonzero(before != after)
    whole = np.rint(stream.unit_rows_at(places) * 2.0**p).astype(np.int64)
    np.subtract.at(sums, before[places], whole)
    np.add.at(sums, after[places], whole)
