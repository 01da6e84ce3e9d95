"""A client of a cluster that is there, or of workers on this machine, and what goes wrong between the two."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import dask
import psutil
from distributed import Client, KilledWorker, LocalCluster, Worker, WorkerPlugin
from distributed.comm import CommClosedError
from distributed.scheduler import NoValidWorkerError, NoWorkerError

from meddel.errors import MedDELError

MEMORY_EACH = 2 << 30
"""Bytes of free memory that a worker should find which trains the study's encoders; it holds about 1.5 GB."""
PATIENCE = 30  # seconds until a scheduler answers and has a worker
_DESERTED = 120  # seconds that tasks wait here for a worker in place of the last one; one starts in some seconds
_AGAIN = "run the same again: what is finished is not computed again"


def fitting_workers() -> int:
    """Return how many workers suit this machine: one a core, as far as the free memory goes; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, psutil.virtual_memory().available // MEMORY_EACH - 1))


@contextmanager
def connect(scheduler: str | None = None, workers: int | None = None, *, gpus: bool = False) -> Iterator[Client]:
    """Give a client, and print what it works with and the link of its dashboard.

    Without an address, workers are started on this machine: processes with one thread each, which share its memory
    equally. They end with the block. In a script of yours, call it below ``if __name__ == "__main__":``, as these
    processes read the script once more.

    Parameters
    ----------
    scheduler : str or None
        Address of Dask's scheduler, such as ``tcp://node:8786``; None: workers on this machine.
    workers : int or None
        How many on this machine; None: one a core.
    gpus : bool
        Start one a GPU instead, by the package ``dask-cuda``, which is no part of this one; without it, as said.

    Raises
    ------
    MedDELError
        Both are given, no scheduler answers, it has no worker, or it was lost while the block ran.
    """
    check_asked(scheduler, workers)
    with _started(workers, gpus) if scheduler is None else _found(scheduler) as client, said(client):
        _introduce(client)
        yield client


def check_asked(scheduler: str | None, workers: int | None) -> None:
    """Refuse what `connect` can't give: a scheduler together with a number of workers, or less than one of them."""
    if scheduler is not None and workers is not None:
        raise MedDELError("a scheduler has the workers that it has", fix="give --scheduler or --workers")
    if workers is not None and workers < 1:
        raise MedDELError(f"{workers} workers", fix="give at least 1")


@contextmanager
def said(client: Client) -> Iterator[None]:
    """Say in one line what Dask says of workers and schedulers that are gone."""
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


class _Undisturbed(WorkerPlugin):
    """Lets a terminal's Ctrl-C end this process alone, which then ends its workers."""

    def setup(self, worker: Worker) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _started(workers: int | None, gpus: bool) -> Iterator[Client]:
    local: dict[str, Any] = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    local["silence_logs"] = logging.ERROR  # what matters of workers is said here
    settings = {
        # By Dask's default a worker gives memory back at every turn: half of a training's time goes on asking for it.
        "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
        "distributed.scheduler.no-workers-timeout": _DESERTED,
    }
    with dask.config.set(settings):
        if gpus and find_spec("dask_cuda") is not None:
            cluster = import_module("dask_cuda").LocalCUDACluster(n_workers=workers, **local)
        else:
            cluster = LocalCluster(n_workers=workers or os.cpu_count(), **local)
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
            raise MedDELError(
                "the scheduler has no workers", scheduler, f"start some: dask worker {scheduler}"
            ) from error
        yield client


def _introduce(client: Client) -> None:
    known = client.scheduler_info(n_workers=-1)["workers"].values()
    least = min(worker["memory_limit"] for worker in known)
    threads = sum(worker["nthreads"] for worker in known)
    memory = f"at least {least / 1e9:.1f} GB each" if least else "no limit on memory"
    print(f"{len(known)} workers with {threads} threads, {memory}; dashboard: {client.dashboard_link}", flush=True)
