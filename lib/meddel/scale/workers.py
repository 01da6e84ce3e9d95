"""Share the passes of a selection among the workers of a cluster, by Dask distributed.

Workers need the same version of this package, and see the folders at the same paths: a shared file system. Dask takes
some milliseconds for each task, so that a task is a block of rows or a pack of clusters. Workers read their rows
themselves. Arrays which all tasks of a pass need are files in the output's folder (data that Dask scatters is lost with
the worker that holds it). A task is a function of its arguments, and is done again elsewhere if its worker is lost.
"""

from __future__ import annotations

import functools
import logging
import os
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import dask
import numpy as np
from distributed import Client, Future, KilledWorker, LocalCluster, Worker, WorkerPlugin, as_completed
from distributed.comm import CommClosedError
from distributed.scheduler import NoValidWorkerError, NoWorkerError

from meddel import __version__, artefacts
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.scale.stream import Found, Own, Parts, Stream, Task, checked_unit_rows, own_of
from meddel.store import Store
from meddel.store.store import finished as finished_manifest

PATIENCE = 30  # seconds until a scheduler answers and has a worker
RETRIES = 2
_DESERTED = 120  # seconds that tasks wait here for a worker in place of the last one; one starts in some seconds
_FAN_IN = 4  # sums that are added up at a time
_PARTS, _LEAST_ROWS = 64, 8192  # on fewer rows, kernels take longer for each
_AGAIN = "run the same again: what is finished is not computed again"


@contextmanager
def connect(scheduler: str | None = None, workers: int | None = None) -> Iterator[Client]:
    """Give a client of a cluster, and print what it works with and the link of its dashboard.

    `scheduler` is the address of Dask's scheduler, such as ``tcp://node:8786``. Without it, `workers` processes with
    one thread each (None: one a core) are started on this machine, share its memory equally, and end with the block; in
    a script, call it below ``if __name__ == "__main__":``, as they read the script once more. Both, a scheduler which
    does not answer or has no worker, and workers which are lost in the block are a `MedDELError`.
    """
    check_asked(scheduler, workers)
    with _started(workers) if scheduler is None else _found(scheduler) as client, in_one_line(client):
        known = client.scheduler_info(n_workers=-1)["workers"].values()
        least = min(worker["memory_limit"] for worker in known)
        memory = f"at least {least / 1e9:.1f} GB each" if least else "no limit on memory"
        threads = sum(worker["nthreads"] for worker in known)
        print(f"{len(known)} workers with {threads} threads, {memory}; dashboard: {client.dashboard_link}", flush=True)
        yield client


def check_asked(scheduler: str | None, workers: int | None) -> None:
    """Refuse what `connect` can't give: a scheduler together with a number of workers, or less than one of them."""
    if scheduler is not None and workers is not None:
        raise MedDELError("a scheduler has the workers that it has", fix="give --scheduler or --workers")
    if workers is not None and workers < 1:
        raise MedDELError(f"{workers} workers", fix="give at least 1")


class _Undisturbed(WorkerPlugin):
    """Let a terminal's Ctrl-C end this process alone, which then ends its workers."""

    def setup(self, worker: Worker) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _started(workers: int | None) -> Iterator[Client]:
    settings = {
        # By Dask's default a worker gives memory back at every turn: half of a training's time is spent asking for it.
        "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
        "distributed.scheduler.no-workers-timeout": _DESERTED,
    }
    with dask.config.set(settings):
        cluster = LocalCluster(
            n_workers=workers or os.cpu_count(),
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,  # errors are reported here
        )
    with cluster, Client(cluster) as client:
        client.register_plugin(_Undisturbed(), name="undisturbed")
        yield client


@contextmanager
def _found(scheduler: str) -> Iterator[Client]:
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError, RuntimeError) as error:
        raise MedDELError("no scheduler answers", scheduler, "start one: dask scheduler") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            fix = f"start some: dask worker {scheduler}"
            raise MedDELError("the scheduler has no workers", scheduler, fix) from error
        yield client


@contextmanager
def in_one_line(client: Client) -> Iterator[None]:
    """Report in one line what Dask raises where workers and schedulers are lost."""
    try:
        yield
    except KilledWorker as error:
        raise MedDELError(
            f"a task ended its worker {error.allowed_failures + 1} times, mostly for want of memory",
            error.last_worker.address,
            "give workers more memory or fewer threads, and run the same again to go on",
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise MedDELError("the scheduler is gone", client.scheduler.addr, f"start it and {_AGAIN}") from error
    except (NoValidWorkerError, NoWorkerError) as error:
        raise MedDELError("the last worker is lost and none took its place", client.scheduler.addr, _AGAIN) from error


def finished(client: Client, futures: dict[Future, Any], results: bool = True) -> Iterator[tuple[Any, Any]]:
    """Yield what each of `futures` is for and its result (None if not asked for), as they finish.

    They are taken out of `futures`, so that workers can forget them. When the caller stops, the others are cancelled.
    """
    try:
        with in_one_line(client):
            for future in as_completed(list(futures)):
                known = futures.pop(future)
                yield known, future.result() if results or future.status != "finished" else None
    finally:
        if futures and client.status == "running":
            client.cancel(list(futures))


def check_workers(client: Client, task: Callable[..., str], *arguments: Any) -> None:
    """Refuse, by name, workers which see other folders or have another version: `task` returns its version on each."""
    known = client.scheduler_info(n_workers=-1)["workers"]
    for address, answer in client.run(task, *arguments, on_error="return").items():
        worker = f"worker {known.get(address, {}).get('name', '')} ({address})"
        if isinstance(answer, MedDELError):
            raise MedDELError(f"{worker} {answer.what}", answer.where, answer.fix)
        if answer != __version__:
            raise MedDELError(f"{worker} has no meddel {__version__}: {answer}", fix="install the same version on all")


def unseen(problem: str, path: str | Path) -> MedDELError:
    """Return the error to raise where a worker does not see what others see; `check_workers` adds its name."""
    return MedDELError(problem, path, "let all workers see it at this path: a shared file system")


class Filed(str):
    """The path of an array which all tasks of a pass need."""


class SharedStream(Stream):
    """The same stream, whose tasks are done by the workers of `client`; `folder`, which they see, is locked.

    A task has a sixty-fourth of all rows, so that workers are done together, but at most a block of `stream`. Its size
    does not depend on the workers, so that others may continue.
    """

    def __init__(self, stream: Stream, client: Client, folder: Path) -> None:
        rows = min(stream.block_rows, max(_LEAST_ROWS, -(-stream.store.rows // _PARTS)))
        super().__init__(stream.store, rows, stream.by_id, stream.backend, stream.threads)
        self.client, self.folder = client, folder.resolve()

    @property
    def work_on(self) -> dict[str, Any]:
        """The settings that tasks compute with: one thread each, as a worker runs a task a thread."""
        return {"backend": self.backend, "threads": 1}

    def each(self, task: Task, *shared: Any, own: Own = None, unit: bool = True, parts: Parts = None) -> Found:
        """Yield as `Stream.each` does, as workers finish."""
        with self._begun(task, shared, own, unit, parts) as futures:
            yield from finished(self.client, futures)

    def added(self, task: Task, *shared: Any, own: Own = None) -> tuple[list[Any], Any]:
        """Return as `Stream.added` does; the workers add up, in the form of a tree."""
        with self._begun(task, shared, own, True, None) as leaves:
            nodes = list(leaves)
            while len(nodes) > 1:
                groups = [nodes[first : first + _FAN_IN] for first in range(0, len(nodes), _FAN_IN)]
                nodes = [self._submit(merged, group, priority=1) for group in groups]  # so that few blocks are held
            with progress(what="pass", total=self.store.rows, unit="row") as bar:
                for part, _ in finished(self.client, leaves, results=False):
                    bar.update(part.stop - part.start)
            _, found = next(finished(self.client, {nodes[0]: None}))
        return found

    def map(self, task: Task, numbers: Sequence[int], arguments: Callable[[int], tuple]) -> Iterator[tuple[int, Any]]:
        """Yield as `Stream.map` does, as workers finish."""
        _ = self._ready
        yield from finished(self.client, {self._submit(task, *arguments(i), **self.work_on): i for i in numbers})

    @cached_property
    def _ready(self) -> tuple[str, str]:
        """The store's folder and hash, after a check that workers see them and that its shards are whole."""
        place = str(self.store.folder.resolve()), self.store.hash
        check_workers(self.client, greet, place, str(self.folder))
        futures = {self._submit(verify, place, number): number for number in range(len(self.store.shards))}
        with progress(what="verify", total=len(futures), unit="shard") as bar:
            for _ in finished(self.client, futures):
                bar.update()
        return place

    def _submit(self, task: Callable[..., Any], *arguments: Any, **settings: Any) -> Future:
        return self.client.submit(task, *arguments, **settings, pure=False, retries=RETRIES)

    @contextmanager
    def _begun(
        self, task: Task, shared: tuple[Any, ...], own: Own, unit: bool, parts: Parts
    ) -> Iterator[dict[Future, slice]]:
        """Give the futures of all blocks; arrays that they share are in files until the block ends."""
        place, given, paths = self._ready, [], []
        try:
            for value in shared:
                if isinstance(value, np.ndarray):
                    paths.append(self.folder / f"shared-{secrets.token_hex(8)}.npy")
                    artefacts.write_array(paths[-1], value)
                    value = Filed(paths[-1])
                given.append(value)
            wanted = self.parts if parts is None else parts
            settings = (place, unit, task, given, self.work_on)
            yield {self._submit(on_rows, part, own_of(own, part), *settings): part for part in wanted}
        finally:
            for path in paths:
                path.unlink(missing_ok=True)


def greet(place: tuple[str, str], out: str) -> str:
    """Return this worker's version of the package, if it sees the store and the output's folder, which is locked."""
    opened(place)
    if not Path(out, ".lock").exists():
        raise unseen("can't see the output's folder", out)
    return __version__


@functools.lru_cache(maxsize=2)
def opened(place: tuple[str, str]) -> Store:
    """Open the store in a folder, once in a process, or refuse one of another hash; `verify` checks its shards."""
    folder = Path(place[0])
    try:
        store = Store(folder, finished_manifest(folder))
    except MedDELError as error:
        raise unseen("can't see the store", folder) from error
    if store.hash != place[1]:
        raise unseen("sees another store", folder)
    return store


def verify(place: tuple[str, str], number: int) -> None:
    """Check a shard, and compare its files with their checksums (a task)."""
    shard = opened(place).shards[number]
    shard.check()
    shard.verify()


def on_rows(
    part: slice,
    own: tuple[Any, ...],
    place: tuple[str, str],
    unit: bool,
    task: Task,
    shared: list[Any],
    work_on: dict[str, Any],
) -> Any:
    """Return what `task` returns for some rows of a store, as `Stream.each` calls it."""
    store = opened(place)
    rows = np.empty((part.stop - part.start, store.dim), np.float16)
    store.read(part.start, rows)
    if unit:
        rows = checked_unit_rows(store, part.start, rows, work_on["threads"])
    given = (_loaded(value) if isinstance(value, Filed) else value for value in shared)
    return task(rows, *given, *own, **work_on)


def merged(nodes: list[tuple[list[Any], np.ndarray | None]]) -> tuple[list[Any], np.ndarray | None]:
    """Return what several blocks have found, in order, and the sum of their arrays of whole numbers, if any."""
    total = nodes[0][1]
    for _, other in nodes[1:]:
        total = None if total is None else total + other  # a new array: a worker may need its own once more
    return [mine for found, _ in nodes for mine in found], total


@functools.lru_cache(maxsize=1)
def _loaded(path: Filed) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise unseen("can't see the output's folder", path) from error
