"""What the command line does by ``--scheduler`` or ``--workers``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from meddel import wording
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.scale.cluster.connecting import check_asked, connect, fitting_workers
from meddel.scale.cluster.selecting import select
from meddel.store import Store


def embed(scheduler: str | None, workers: int | None, index: pa.Table, out: Path, **settings: Any) -> Store:
    """Embed by the workers of a cluster, with a GPU for each where they are started here and there are some.

    Parameters
    ----------
    scheduler, workers
        As for `meddel.scale.cluster.connect`.
    index, out, **settings
        As for `meddel.scale.cluster.embedding.embed_images`.

    Raises
    ------
    MedDELError
        As `connect` and `meddel.scale.cluster.embedding.embed_images`.
    """
    from meddel.scale.cluster.embedding import embed_images  # here, because it imports torch, which takes seconds

    with connect(scheduler, workers, gpus=True) as client:
        return embed_images(index, out, client, **settings)


def selection(scheduler: str | None, workers: int | None, store: Store, stages: Path, **settings: Any) -> Path:
    """Select by the workers of a cluster and return the path of the selection.

    Parameters
    ----------
    scheduler, workers
        As for `meddel.scale.cluster.connect`.
    store : Store
        Workers compare its shards with their checksums.
    stages : Path
        The folder of the selection and of what leads to it, which all workers see.
    **settings : object
        Of `meddel.scale.cluster.select`.

    Raises
    ------
    MedDELError
        As `connect` and `meddel.scale.cluster.select`; or a number of threads.
    """
    if settings.pop("threads", None) is not None:
        raise MedDELError("each task of a worker has one thread", fix="leave --threads out, or give more --workers")
    with connect(scheduler, workers) as client:
        return select(store, stages, client, **settings)


def study(scheduler: str | None, workers: int | None, run: Run, added: list[str]) -> None:
    """Compute what is missing of the whole study by workers, that of selectors of one's own included.

    Parameters
    ----------
    scheduler, workers
        As for `meddel.scale.cluster.connect`; but neither means what suits this machine: `fitting_workers`, and none where
        there is a GPU. One worker is this process itself. Then nothing is done here, and the notebooks compute.
    run : Run
    added : list of str
        Names of selectors beside the profile's.

    Raises
    ------
    MedDELError
        As `connect` and `meddel.scale.cluster.studying.compute_study`.
    """
    from meddel.scale.cluster import studying  # here, because it imports torch, which takes seconds
    from meddel.study import jobs
    from meddel.study.grid import selected_cells
    from meddel.study.run import every_job

    check_asked(scheduler, workers)
    if scheduler is None:
        workers = workers or (fitting_workers() if run.device == "cpu" else 1)
        if workers == 1:
            return
    own = [cell for seed in run.seeds for cell in selected_cells(run, tuple(added), seed)]
    todo = [*every_job(run), *jobs(run, own)]
    if not studying.missing(run, todo):
        return
    start = time.perf_counter()
    with connect(scheduler, workers) as client:
        count = studying.compute_study(run, client, todo)
    took = wording.duration(time.perf_counter() - start)
    print(f"{count} encoders trained or scored by workers in {took}", flush=True)
