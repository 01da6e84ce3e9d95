"""MedDEL's selection by the workers of a cluster: the stages of ``meddel.scale``, their passes shared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from distributed import Client

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.scale.cluster.shared import SharedStream, shared_block_rows
from meddel.scale.selecting import Rule, select_through
from meddel.select import clusters_for
from meddel.store import Store


def select(
    store: Store,
    out: Path,
    client: Client,
    *,
    k: int | None = None,
    ratio: float | None = None,
    eta: float | None = None,
    seed: int = 0,
    iterations: int = 50,
    eps: float = 0.9,
    keep: Keep = "near",
    memory_limit_bytes: int | None = None,
    backend: kernels.Backend = "auto",
) -> Path:
    """Select as `meddel.scale.select` does, to the same bytes, with the rows shared by a cluster's workers.

    The passes of K-means and of its start, the sorting and the cosines are the workers'; draws, the K-means on the
    candidates of the start, repairs of empty clusters and the ranking are this process's, which holds some 120 bytes a
    row. A worker may be lost, or come, at any time. A run that was cut off, be it with its scheduler, goes on from the
    files in `out`, with other workers or with `meddel.scale.select`.

    Parameters
    ----------
    store : Store
        In a folder that all workers see at the same path. They compare its shards with their checksums, so that it may
        be opened with ``verify=False``.
    out : Path
        A folder that they see as well.
    client : Client
        From `meddel.scale.cluster.connect`.
    memory_limit_bytes : int or None
        Extra memory for each of a worker's threads, and for this process, to stay within.
    k, ratio, eta, seed, iterations, eps, keep, backend
        As for `meddel.scale.select`. Each task has one thread; this process takes all cores.

    Returns
    -------
    Path
        ``out/selection.parquet``, as `meddel.scale.select` writes it.

    Raises
    ------
    MedDELError
        As `meddel.scale.select`; a worker does not see the folders or has another version (it is named), or the
        scheduler is lost.
    """
    rule = Rule(clusters_for(store.rows) if k is None else k, seed, iterations, eps, keep)
    out = Path(out)

    def through(rows: int, by_id: np.ndarray | None) -> SharedStream:
        block = shared_block_rows(store.rows, rows)
        return SharedStream(store, block, by_id, backend, client=client, folder=out)

    return select_through(through, store, out, rule, ratio, eta, memory_limit_bytes)
