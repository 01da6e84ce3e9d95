"""Passes through the rows of a store that the workers of a cluster share.

A task is a block of rows or a pack of clusters: Dask takes some milliseconds for each, whatever is in it. What all
tasks of a pass need, such as the centroids, lies as a file in the output's folder, which each worker reads once. (Data
that Dask scatters is lost with the worker that holds it.) Sums are added up by the workers, few at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, Future, as_completed

from meddel import __version__, artefacts
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.scale.cluster import tasks
from meddel.scale.cluster.connecting import said
from meddel.scale.streaming import Own, Stream, nothing

RETRIES = 2
_FAN_IN = 4  # sums that are added up at a time
_PARTS, _LEAST_ROWS = 64, 8192  # on fewer rows, kernels take longer for each


def shared_block_rows(n: int, most: int) -> int:
    """Return the rows of a task: a sixty-fourth of all `n`, so that workers are done together, but at most `most`.

    It does not depend on the workers, so that a run goes on with others behind what it had finished.
    """
    return min(most, max(_LEAST_ROWS, -(-n // _PARTS)))


@dataclass(frozen=True)
class SharedStream(Stream):
    """The rows of a store, whose blocks and packs of clusters the workers of a cluster share.

    `threads` are this process's, which computes what is not shared.

    Attributes
    ----------
    client : Client
    folder : Path
        Where arrays for all workers are put, which they see; it is locked (`meddel.store.locked`).
    """

    client: Client = field(kw_only=True)
    folder: Path = field(kw_only=True)

    @property
    def work_on(self) -> dict[str, Any]:
        """What tasks compute with: one thread each, as a worker has several tasks where it has several threads."""
        return {"backend": self.backend, "threads": 1}

    def each(
        self, task: Callable[..., Any], *shared: Any, own: Own = nothing, unit: bool = True, start: int = 0
    ) -> Iterator[tuple[slice, Any]]:
        """Yield as `Stream.each` does, as workers finish."""
        place = self._ready
        with self._filed(shared) as given:
            futures = {
                self._submit(tasks.on_rows, place, *self._arguments(part, unit, task, given, own)): part
                for part in self.parts(start)
            }
            yield from finished(self.client, futures)

    def added(
        self, task: Callable[..., Any], *shared: Any, own: Own = nothing
    ) -> tuple[list[tuple[slice, Any]], np.ndarray]:
        """Return as `Stream.added` does; the workers add up, in the form of a tree."""
        place, parts = self._ready, self.parts()
        with self._filed(shared) as given:
            leaves = {
                self._submit(tasks.addend, place, *self._arguments(part, True, task, given, own)): part
                for part in parts
            }
            root = self._merged(list(leaves))
            with progress(what="pass", total=self.store.rows, unit="row") as bar:
                for part, _ in finished(self.client, leaves, results=False):
                    bar.update(part.stop - part.start)
            _, (found, total) = next(finished(self.client, {root: None}))
        return list(zip(parts, found, strict=True)), total

    def map(
        self, task: Callable[..., Any], numbers: Iterable[int], arguments: Callable[[int], tuple]
    ) -> Iterator[tuple[int, Any]]:
        """Yield as `Stream.map` does, as workers finish; the first numbers are begun first."""
        _ = self._ready
        futures = {self._submit(task, *arguments(number), **self.work_on): number for number in numbers}
        yield from finished(self.client, futures)

    @cached_property
    def _ready(self) -> tasks.Place:
        """The store, of which it is known that workers see it and that its shards are whole.

        Raises
        ------
        MedDELError
            A worker sees another folder or has another version (it is named), or a shard is damaged.
        """
        place = tasks.Place(str(self.store.folder.resolve()), self.store.hash)
        with self._filed((np.empty(0),)) as [seen]:
            check_workers(self.client, tasks.greet, place, seen)
        numbers = range(len(self.store.shards))
        futures = {self._submit(tasks.verify, place, number): number for number in numbers}
        with progress(what="verify", total=len(futures), unit="shard") as bar:
            for _ in finished(self.client, futures):
                bar.update()
        return place

    def _arguments(self, part: slice, unit: bool, task: Callable, shared: list[Any], own: Own) -> tuple:
        return part.start, part.stop, unit, task, shared, list(own(part)), self.work_on

    def _submit(self, task: Callable[..., Any], *arguments: Any, **settings: Any) -> Future:
        return self.client.submit(task, *arguments, **settings, pure=False, retries=RETRIES)

    def _merged(self, nodes: list[Future]) -> Future:
        """Return the root of a tree that adds up; sums come before blocks, so that few of them are held."""
        while len(nodes) > 1:
            groups = [nodes[first : first + _FAN_IN] for first in range(0, len(nodes), _FAN_IN)]
            nodes = [
                self.client.submit(tasks.merged, group, pure=False, retries=RETRIES, priority=1) for group in groups
            ]
        return nodes[0]

    @contextmanager
    def _filed(self, shared: tuple[Any, ...]) -> Iterator[list[Any]]:
        """Give the arguments with arrays put into files, which go when the block ends."""
        paths: list[Path] = []

        def filed(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            paths.append(self.folder.resolve() / f"shared-{secrets.token_hex(8)}.npy")
            artefacts.write_array(paths[-1], value)
            return tasks.Filed(str(paths[-1]))

        try:
            yield [filed(value) for value in shared]
        finally:
            for path in paths:
                path.unlink(missing_ok=True)


def finished(client: Client, futures: dict[Future, Any], results: bool = True) -> Iterator[tuple[Any, Any]]:
    """Yield what each of `futures` is for and its result (None if not asked for), as they finish.

    They are taken out of `futures`, so that workers can forget them. When the caller stops, the others are cancelled.

    Raises
    ------
    MedDELError
        A task's own, or workers or the scheduler are gone.
    """
    try:
        with said(client):
            for future in as_completed(list(futures)):
                known = futures.pop(future)
                yield known, future.result() if results or future.status != "finished" else None
    finally:
        if futures and client.status == "running":
            client.cancel(list(futures))


def check_workers(client: Client, task: Callable[..., str], *arguments: Any) -> None:
    """Refuse workers that see other folders or have another version: `task` is called on each and returns its version.

    Raises
    ------
    MedDELError
        The task's own, or another version; the worker is named.
    """
    known = client.scheduler_info(n_workers=-1)["workers"]
    for address, answer in client.run(task, *arguments, on_error="return").items():
        worker = f"worker {known.get(address, {}).get('name', '')} ({address})"
        if isinstance(answer, MedDELError):
            raise MedDELError(f"{worker} {answer.what}", answer.where, answer.fix)
        if answer != __version__:
            raise MedDELError(f"{worker} has no meddel {__version__}: {answer}", fix="install the same version on all")
