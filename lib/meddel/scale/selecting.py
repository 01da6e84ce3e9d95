"""MedDEL's selection from a store of any size, as Parquet on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import meddel_kernels as kernels
from meddel import artefacts
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.scale import checkpoint
from meddel.scale.dedup import dedup
from meddel.scale.kmeans import Clusters, kmeans
from meddel.scale.memory import block_rows
from meddel.scale.sorting import lay_out, sort
from meddel.scale.streaming import Stream
from meddel.select import SELECTION_SCHEMA, budget_for
from meddel.select.algorithm1 import check_kernels, check_settings, check_threshold, clusters_for
from meddel.select.ranking import Ranking, budget_at, order_within, ranked, reasons
from meddel.store import Store, locked


class Rule(NamedTuple):
    """What decides a ranking, but for the store; parameters of `select`.

    Attributes
    ----------
    k, seed, iterations : int
    eps : float
    keep : {"near", "far", "random"}
    """

    k: int
    seed: int
    iterations: int
    eps: float
    keep: Keep


Through = Callable[[int, np.ndarray | None], Stream]


def select(
    store: Store,
    out: Path,
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
    threads: int | None = None,
) -> Path:
    """Select as `meddel.select.algorithm1` does, from a store that need not fit the memory.

    The clusters are those of ``meddel_kernels.kmeans(unit_rows, k, start="k-means||")`` on the rows in the order of
    their ids, and what follows from them is what follows in memory, bit for bit; neither shards nor blocks, threads nor
    the limit on memory change it. A run that was cut off goes on from what it had finished. Another `ratio` or `eta`
    on the same `out` takes only the last stage.

    Memory beyond the interpreter: `meddel.scale.memory` states the formula. On disk, `out` holds a copy of the
    embeddings until the cosines are known, and then some 30 bytes a row beside the selection.

    Parameters
    ----------
    store : Store
        Opened with ``verify=True``, no damaged shard is computed on.
    out : Path
        A folder, for this store and these settings; what others left in it is replaced.
    k : int or None
        Number of clusters; None: sqrt(n / 2), rounded.
    ratio, eta : float or None
        The share to keep, or the threshold; one of the two.
    seed : int
        Of all draws, not negative.
    iterations, eps, keep
        As for `meddel.select.algorithm1.rank`.
    memory_limit_bytes : int or None
        Extra memory to stay within; None: blocks of 32,768 rows.
    backend, threads
        As for `meddel.select.algorithm1.rank`.

    Returns
    -------
    Path
        ``out/selection.parquet``, of `meddel.select.registry.SELECTION_SCHEMA`, in the store's row order.

    Raises
    ------
    MedDELError
        A setting is out of range, the limit is too low, an id occurs twice, an embedding is not finite or of length 0,
        a shard is damaged, or the folder can't be written.
    """
    rule = Rule(clusters_for(store.rows) if k is None else k, seed, iterations, eps, keep)
    check_kernels(backend, threads)

    def through(rows: int, by_id: np.ndarray | None) -> Stream:
        return Stream(store, rows, by_id, backend, threads)

    return select_through(through, store, Path(out), rule, ratio, eta, memory_limit_bytes)


def select_through(
    through: Through,
    store: Store,
    out: Path,
    rule: Rule,
    ratio: float | None,
    eta: float | None,
    memory_limit_bytes: int | None,
) -> Path:
    """Select as `select` does, by passes through the rows as somebody else makes them.

    Parameters
    ----------
    through : callable
        Returns a `Stream` or a class of that kind, from the rows of a block at most, and the store's row at each place
        among the ids (int64 [n]; None where that is the rows' order). It is called when there is something to compute.
    store, out, ratio, eta, memory_limit_bytes
        As for `select`.
    rule : Rule

    Returns
    -------
    Path
        As for `select`.

    Raises
    ------
    MedDELError
        As for `select`.
    """
    n = store.rows
    _check(n, rule, ratio, eta)
    ids = store.ids()
    rows = block_rows(memory_limit_bytes, n, store.dim, rule.k, ids.nbytes)
    path, wanted = out / "selection.parquet", {**rule._asdict(), "ratio": ratio, "eta": eta}
    with locked(out):
        key = artefacts.hash_of("out of core", store.hash, wanted)
        if artefacts.is_finished(path, key):
            return path
        with artefacts.recorded(path, key, parameters=wanted, seed=rule.seed, data_hash=store.hash):
            ranking = _ranking(through(rows, _by_id(ids)), out, rule)
            budget = budget_for(ratio, n) if eta is None else budget_at(ranking, eta, rule.eps)
            write_selection(path, ids, ranking, budget)
    return path


def _ranking(stream: Stream, out: Path, rule: Rule) -> Ranking:
    """Return the ranking of all rows; what leads to it is on disk, and computed only where it is not."""
    n, store = stream.store.rows, stream.store
    rng = np.random.default_rng(rule.seed)
    seed = int(rng.integers(2**63))
    drawn = rng.permutation(n) if rule.keep == "random" else np.empty(0)
    key = artefacts.hash_of("kmeans", store.hash, rule.k, rule.seed, rule.iterations)
    clusters = kmeans(stream, rule.k, out, key, seed=seed, iterations=rule.iterations)
    inside, offsets = order_within(
        clusters.labels, clusters.distances, rule.k, eps=rule.eps, keep=rule.keep, drawn=drawn
    )
    cosine, partner = _cosines(stream, out, inside, offsets, artefacts.hash_of(key, rule.eps, rule.keep))
    by_id = np.arange(n) if stream.by_id is None else stream.by_id
    return _ranked(clusters, cosine, partner, offsets, rule.eps, by_id)


def _ranked(
    clusters: Clusters, cosine: np.ndarray, partner: np.ndarray, offsets: np.ndarray, eps: float, by_id: np.ndarray
) -> Ranking:
    return ranked(clusters.labels, clusters.distances, cosine, partner, offsets, eps=eps, by_id=by_id)


def _cosines(stream: Stream, out: Path, inside: np.ndarray, offsets: np.ndarray, key: str) -> kernels.RowMax:
    """Return the greatest cosines by place; ``cosines.npz`` stays, the sorted rows that lead to it go."""
    work = out / "work"
    kept = checkpoint.load(out / "cosines.npz", key)
    if kept is None:
        own = artefacts.hash_of(key, stream.block_rows)
        layout = lay_out(stream, inside, offsets)
        try:
            work.mkdir(exist_ok=True)
        except OSError as error:
            raise artefacts.unwritable(work, error) from error
        sort(stream, layout, work / "rows.f16", own)
        found = dedup(stream, layout, work / "rows.f16", work, own)
        kept = {"cosine": found.cosine, "partner": found.partner}
        checkpoint.save(out / "cosines.npz", key, **kept)
    shutil.rmtree(work, ignore_errors=True)
    return kernels.RowMax(kept["cosine"], kept["partner"])


def _by_id(ids: pa.ChunkedArray) -> np.ndarray | None:
    """Return the rows in the order of their ids, None if that is how they are.

    Raises
    ------
    MedDELError
        An id occurs twice.
    """
    if _ascending(ids):
        return None
    by_id = pc.sort_indices(ids).to_numpy().astype(np.int64)
    if not _ascending(ids.take(by_id)):
        raise MedDELError("an id occurs twice in the index", fix="index the images again")
    return by_id


def _ascending(ids: pa.ChunkedArray) -> bool:
    """Tell whether each id is greater than the one before."""
    return len(ids) < 2 or bool(pc.all(pc.less(ids[:-1], ids[1:])).as_py())


def write_selection(path: Path, ids: pa.ChunkedArray, ranking: Ranking, budget: int) -> None:
    """Write the selection that keeps the first `budget` images as Parquet, some rows at a time, atomically.

    Parameters
    ----------
    path : Path
    ids : pa.ChunkedArray
        Of all n rows.
    ranking : Ranking
        Of n rows.
    budget : int
        From 1 to n.

    Raises
    ------
    MedDELError
        The folder can't be written.
    """
    n = len(ids)
    rank = np.empty(n, np.int32)
    rank[ranking.order] = np.arange(n, dtype=np.int32)
    names = pc.cast(ids, pa.large_string()).combine_chunks()
    with artefacts.atomic_write(path) as stream, pq.ParquetWriter(stream, SELECTION_SCHEMA, compression="zstd") as file:
        for start in range(0, n, 1 << 16):
            part = slice(start, start + (1 << 16))
            kept, partner = rank[part] < budget, ranking.partner[part]
            columns = {
                "id": names[part],
                "kept": pa.array(kept),
                "rank": pa.array(rank[part]),
                "reason": pa.array(np.where(kept, "kept", reasons(ranking.outlier[part], partner))),
                "partner": names.take(pa.array(partner, mask=partner < 0)),
                "cosine": pa.array(ranking.cosine[part], mask=~np.isfinite(ranking.cosine[part])),
                "distance": pa.array(ranking.distance[part]),
                "cluster": pa.array(ranking.cluster[part]),
            }
            arrays = [pc.cast(columns[field.name], field.type, safe=False) for field in SELECTION_SCHEMA]
            file.write_table(pa.Table.from_arrays(arrays, schema=SELECTION_SCHEMA))


def _check(n: int, rule: Rule, ratio: float | None, eta: float | None) -> None:
    check_settings(n, rule.k, rule.iterations, rule.eps, rule.keep)
    if (ratio is None) == (eta is None):
        raise MedDELError("give either a ratio or eta", fix="such as ratio=0.05")
    if ratio is not None:
        budget_for(ratio, n)
    else:
        check_threshold(eta)
    if rule.seed < 0:
        raise MedDELError(f"seed {rule.seed} is negative", fix="give 0 or more")
