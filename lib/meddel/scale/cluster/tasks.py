"""What a worker does: it reads rows of a store from the shared folder by itself, and computes on them.

All are functions of their arguments, so that a task whose worker was lost is done again elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from distributed import get_worker

from meddel import __version__, artefacts
from meddel.errors import MedDELError
from meddel.scale.streaming import check_rows, unit_rows
from meddel.store import Store
from meddel.store.store import finished


class Place(NamedTuple):
    """A store, as a worker finds it.

    Attributes
    ----------
    folder : str
    hash : str
        `meddel.store.Store.hash`: what lies at the same path on another machine may be another store.
    """

    folder: str
    hash: str


class Filed(NamedTuple):
    """An array that lies in a shared folder as ``.npy``, since all tasks of a pass need it."""

    path: str


def greet(place: Place, filed: Filed) -> str:
    """Return this worker's version of the package, if it sees a store and a file in the folder of the output.

    Raises
    ------
    MedDELError
        It does not.
    """
    opened(place)
    _loaded(filed.path)
    return __version__


def see_data(out: str, data: str, listing: str) -> str:
    """Return this worker's version of the package, if it sees the output's folder, and the data as they were listed.

    Raises
    ------
    MedDELError
        It does not.
    """
    if not Path(out, "index.parquet").is_file():
        raise unseen("can't see the output's folder", out)
    if artefacts.hash_of_listing(Path(data)) != listing:
        raise unseen("can't see the data as they are", data)
    return __version__


@functools.lru_cache(maxsize=2)
def opened(place: Place) -> Store:
    """Open a store, once in a process; its shards are checked by `verify`.

    Raises
    ------
    MedDELError
        This worker can't see it, or sees another one.
    """
    folder = Path(place.folder)
    try:
        store = Store(folder, finished(folder))
    except MedDELError as error:
        raise unseen("can't see the store", folder) from error
    if store.hash != place.hash:
        raise unseen("sees another store", folder)
    return store


def verify(place: Place, number: int) -> None:
    """Check a shard, and compare its files with their checksums.

    Raises
    ------
    MedDELError
        It is damaged; the file is named.
    """
    shard = opened(place).shards[number]
    shard.check()
    shard.verify()


def on_rows(
    place: Place,
    first: int,
    last: int,
    unit: bool,
    task: Callable[..., Any],
    shared: list[Any],
    own: list[Any],
    work_on: dict[str, Any],
) -> Any:
    """Return what `task` returns for rows `first` to `last` of a store, as `meddel.scale.Stream.each` calls it.

    Raises
    ------
    MedDELError
        A shard is cut short, a row has no direction, or the worker does not see a file.
    """
    store = opened(place)
    rows = np.empty((last - first, store.dim), np.float16)
    store.read(first, rows)
    if unit:
        check_rows(store, first, rows)
        rows = unit_rows(rows, work_on["threads"])
    return task(rows, *(_taken(value) for value in shared), *own, **work_on)


def addend(*arguments: Any) -> tuple[list[Any], np.ndarray]:
    """Return what `on_rows` returns for a block, in the form that `merged` adds up."""
    mine, total = on_rows(*arguments)
    return [mine], total


def merged(nodes: list[tuple[list[Any], np.ndarray]]) -> tuple[list[Any], np.ndarray]:
    """Return the parts of several blocks, one after the other, and the sum of their arrays of whole numbers."""
    total = nodes[0][1].copy()  # a worker may need its own once more
    for _, other in nodes[1:]:
        total += other
    return [mine for parts, _ in nodes for mine in parts], total


def _taken(value: Any) -> Any:
    return _loaded(value.path) if isinstance(value, Filed) else value


@functools.lru_cache(maxsize=1)
def _loaded(path: str) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise unseen("can't see the output's folder", path) from error


def unseen(problem: str, path: str | Path) -> MedDELError:
    """Return the error to raise where this worker does not see what others see."""
    try:
        worker = get_worker()
        problem = f"worker {worker.name} ({worker.address}) {problem}"
    except ValueError:
        pass  # no task, but a question of the client's, who knows whom it asked
    return MedDELError(problem, path, "let all workers see it at this path: a shared file system")
