"""MedDEL's selection from a store of any size, by one process or the workers of a cluster, to the same bytes.

Memory beyond the interpreter, for n rows of width d in k clusters, read in blocks of B rows:

    B (19 d + 450)  +  (80 + 21 min(12, n / k)) k d  +  120 n  +  3 I  +  32 MiB + 70,000 d    bytes

- a block: three float16 copies (one at work, two being read), unit rows in float64, what the kernels make of them;
- centroids, their sums and what the kernels make of those, and the candidates of k-means||, some ten for each cluster;
- rows: label, distance, order and cosine of each, and what sorting them takes;
- I, the bytes of all ids as Arrow holds them; and what the kernels take whatever the size.

No file is mapped, so that what the system keeps of files in its cache does not count.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import meddel_kernels as kernels
from meddel import artefacts
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.scale.dedup import dedup, lay_out, sort
from meddel.scale.kmeans import kmeans
from meddel.scale.stream import Stream, load_checkpoint, save_checkpoint
from meddel.select import SELECTION_SCHEMA, budget_for
from meddel.select.algorithm1 import check_kernels, check_settings, check_threshold, clusters_for
from meddel.select.ranking import Ranking, budget_at, order_within, ranked, reasons
from meddel.store import Store, locked

if TYPE_CHECKING:
    from distributed import Client

BLOCK_ROWS = 32768
_LEAST_ROWS = 512
_ROWS_AT_ONCE = 1 << 16


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
    client: Client | None = None,
) -> Path:
    """Select as `meddel.select.algorithm1` does, from a store that need not fit the memory.

    The clusters are those of ``meddel_kernels.kmeans(unit_rows, k, start="k-means||")`` on the rows in the order of
    their ids, and what follows is what follows in memory, bit for bit; neither shards nor blocks, threads, workers nor
    the limit on memory change it. Interrupted work continues, also with other workers or without. Another `ratio` or
    `eta` on the same `out` takes only the last stage. `out` holds a copy of the embeddings until the cosines are known.

    Parameters
    ----------
    store, out : Store, Path
        The embeddings (opened with ``verify=True``, or by workers, no damaged shard is computed on), and a folder for
        them and these settings; what others left in it is replaced.
    ratio, eta : float or None
        The share to keep, or the threshold; one of the two.
    k, seed, iterations, eps, keep, backend, threads
        As for `meddel.select.algorithm1.rank`; `seed` seeds all draws.
    memory_limit_bytes : int or None
        Extra memory to stay within, with workers for each of their threads too; None: blocks of 32,768 rows.
    client : Client or None
        From `meddel.scale.workers.connect`: its workers, which see both folders at these paths, share the passes, each
        task with one thread. Draws, the K-means on the candidates of the start, repairs of empty clusters and the
        ranking are this process's. A worker may be lost, or come, at any time.

    Returns
    -------
    Path
        ``out/selection.parquet``, of `meddel.select.registry.SELECTION_SCHEMA`, in the store's row order.

    Raises
    ------
    MedDELError
        A setting, an embedding or a shard is refused, the limit is too low, an id occurs twice, the folder can't be
        written, a worker does not see the folders or has another version (it is named), or the scheduler is lost.
    """
    n, out = store.rows, Path(out)
    k = clusters_for(n) if k is None else k
    rule = {"k": k, "seed": seed, "iterations": iterations, "eps": eps, "keep": keep, "ratio": ratio, "eta": eta}
    check_kernels(backend, threads)
    check_settings(n, k, iterations, eps, keep)
    if (ratio is None) == (eta is None):
        raise MedDELError("give either a ratio or eta", fix="such as ratio=0.05")
    if seed < 0:
        raise MedDELError(f"seed {seed} is negative", fix="give 0 or more")
    budget = check_threshold(eta) if ratio is None else budget_for(ratio, n)
    ids, path = store.ids(), out / "selection.parquet"
    rows = block_rows(memory_limit_bytes, n, store.dim, k, ids.nbytes)
    with locked(out):
        key = artefacts.hash_of("out of core", store.hash, rule)
        if not artefacts.is_finished(path, key):
            with artefacts.recorded(path, key, parameters=rule, seed=seed, data_hash=store.hash):
                stream = Stream(store, rows, _by_id(ids), backend, threads)
                if client is not None:
                    from meddel.scale.workers import SharedStream  # here, as Dask takes a second and memory

                    stream = SharedStream(stream, client, out)
                ranking = _ranking(stream, out, k, seed, iterations, eps, keep)
                write_selection(path, ids, ranking, budget or budget_at(ranking, eta, eps))
    return path


def _ranking(stream: Stream, out: Path, k: int, seed: int, iterations: int, eps: float, keep: Keep) -> Ranking:
    """Return the ranking of all rows; what leads to it is on disk, and computed only where it is not."""
    n, store = stream.store.rows, stream.store
    rng = np.random.default_rng(seed)
    own = int(rng.integers(2**63))
    drawn = rng.permutation(n) if keep == "random" else np.empty(0)
    key = artefacts.hash_of("kmeans", store.hash, k, seed, iterations)
    found = kmeans(stream, k, out, key, seed=own, iterations=iterations)
    inside, offsets = order_within(found.labels, found.distances, k, eps=eps, keep=keep, drawn=drawn)
    cosine, partner = _cosines(stream, out, inside, offsets, artefacts.hash_of(key, eps, keep))
    return ranked(found.labels, found.distances, cosine, partner, offsets, eps=eps, by_id=stream.by_id)


def _cosines(stream: Stream, out: Path, inside: np.ndarray, offsets: np.ndarray, key: str) -> kernels.RowMax:
    """Return the greatest cosines by place; ``cosines.npz`` is kept, the sorted rows that lead to it are deleted."""
    work = out / "work"
    kept = load_checkpoint(out / "cosines.npz", key)
    if kept is None:
        own = artefacts.hash_of(key, stream.block_rows)
        layout = lay_out(stream, inside, offsets)
        sort(stream, layout, work / "rows.f16", own)
        kept = dedup(stream, layout, work / "rows.f16", work, own)._asdict()
        save_checkpoint(out / "cosines.npz", key, **kept)
    shutil.rmtree(work, ignore_errors=True)
    return kernels.RowMax(**kept)


def write_selection(path: Path, ids: pa.ChunkedArray, ranking: Ranking, budget: int) -> None:
    """Write the selection that keeps the first `budget` images as Parquet, some rows at a time, atomically."""
    n = len(ids)
    rank = np.empty(n, np.int32)
    rank[ranking.order] = np.arange(n, dtype=np.int32)
    names = pc.cast(ids, pa.large_string()).combine_chunks()
    with artefacts.atomic_write(path) as stream, pq.ParquetWriter(stream, SELECTION_SCHEMA, compression="zstd") as file:
        for start in range(0, n, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
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


def extra_bytes(n: int, d: int, k: int, block_rows: int = BLOCK_ROWS, id_bytes: int = 0) -> int:
    """Return the memory in bytes that `select` takes at most beyond the interpreter, by the module's formula."""
    fixed = 80 * k * d + 21 * min(12 * k, n) * d + 120 * n + 3 * id_bytes + (32 << 20) + 70_000 * d
    return fixed + min(n, block_rows) * (19 * d + 450)


def block_rows(limit: int | None, n: int, d: int, k: int, id_bytes: int) -> int:
    """Return how many rows a block may have for `limit` bytes of extra memory; refuse a limit which is too low."""
    if limit is None:
        return min(n, BLOCK_ROWS)
    rows = (limit - extra_bytes(n, d, k, 0, id_bytes)) // (19 * d + 450)
    if rows < min(n, _LEAST_ROWS):
        least = extra_bytes(n, d, k, _LEAST_ROWS, id_bytes)
        what = f"{limit / 1e6:.0f} MB of memory for {n} rows of {d} in {k} clusters"
        raise MedDELError(what, fix=f"allow {-(-least // 10**6)} MB")
    return min(n, rows)


def _by_id(ids: pa.ChunkedArray) -> np.ndarray:
    """Return the rows in the order of their ids; refuse an id that occurs twice."""
    if _ascending(ids):
        return np.arange(len(ids))
    by_id = pc.sort_indices(ids).to_numpy().astype(np.int64)
    if not _ascending(ids.take(by_id)):
        raise MedDELError("an id occurs twice in the index", fix="index the images again")
    return by_id


def _ascending(ids: pa.ChunkedArray) -> bool:
    return len(ids) < 2 or bool(pc.all(pc.less(ids[:-1], ids[1:])).as_py())
