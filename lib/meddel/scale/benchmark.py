"""Measure `meddel.scale` stage by stage, beside what arithmetic and disk allow.

``python -m meddel.scale.benchmark --rows 5000000 --width 768 --clusters 2000 --iterations 5`` makes a store, goes
through the stages of `select`, prints seconds, GB of embeddings a second and the shares of both limits, and writes them
as JSON. The limit of arithmetic is what the kernels take for as many rows from memory, measured on a sample; that of
the disk is the bytes moved at the rates of a file in the same folder. A share of the disk's limit above 1 says that the
system had the bytes in its cache.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from meddel import __version__, artefacts
from meddel.memory import PeakMemory
from meddel.scale import seeding
from meddel.scale.dedup import dedup, packs
from meddel.scale.generating import generate
from meddel.scale.kmeans import Clusters, kmeans
from meddel.scale.limits import assign_seconds, cosine_seconds, disk_rates
from meddel.scale.memory import block_rows, extra_bytes
from meddel.scale.selecting import write_selection
from meddel.scale.sorting import Layout, lay_out, read_lines, sort
from meddel.scale.streaming import Stream, unit_rows
from meddel.select import budget_for
from meddel.select.ranking import order_within, ranked
from meddel_kernels.cpu.threads import thread_count

_SAMPLE, _ROUNDS = 32768, 5
_EPS, _RATIO = 2.0, 0.05  # no row is an outlier: all are compared
_SORTED = "rows.f16"


class _Stages:
    """Seconds of each stage, with the bytes that it reads and writes and what arithmetic alone would take."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}

    @contextmanager
    def timed(self, name: str, *, read: float = 0.0, written: float = 0.0) -> Iterator[None]:
        """Time a block as the stage `name`."""
        start = time.perf_counter()
        yield
        self.rows[name] = {"seconds": time.perf_counter() - start, "read": read, "written": written}

    def with_shares(self, size: int, write: float, read: float, arithmetic: dict[str, float]) -> dict[str, Any]:
        """Return the stages with GB a second of `size` bytes of embeddings, and their shares of both limits."""
        for name, row in self.rows.items():
            limit = row.pop("read") / read + row.pop("written") / write
            row["gigabytes_per_second"] = size / row["seconds"] / 1e9
            row["share_of_disk_limit"] = limit / row["seconds"]
            row["share_of_arithmetic_limit"] = arithmetic[name] / row["seconds"] if name in arithmetic else None
        return self.rows


def measure(folder: Path, rows: int, width: int, clusters: int, iterations: int, seed: int = 0,
            memory_limit_bytes: int | None = None, threads: int | None = None) -> dict[str, Any]:  # fmt: skip
    """Go through all stages in `folder` and return what they took.

    Parameters
    ----------
    folder : Path
        Gets the store and all else: some 2.1 times the embeddings' bytes.
    rows, width, clusters : int
        n, d and k.
    iterations : int
        Of Lloyd's, at most.
    seed : int
        Of the embeddings and of K-means.
    memory_limit_bytes, threads
        As for `meddel.scale.select`.

    Returns
    -------
    dict
        The settings, ``stages`` (seconds, gigabytes_per_second, share_of_disk_limit, share_of_arithmetic_limit), the
        disk's rates in bytes a second, the peak of resident memory and what it may be, in bytes.

    Raises
    ------
    MedDELError
        The folder can't be written, or the limit on memory is too low.
    """
    stages, size = _Stages(), rows * width * 2
    with stages.timed("generate", written=size):
        store = generate(folder / "store", rows, width, seed)
    ids = store.ids()
    stream = Stream(store, block_rows(memory_limit_bytes, rows, width, clusters, ids.nbytes), threads=threads)
    with PeakMemory() as used:
        with stages.timed("seed", read=(_ROUNDS + 1) * size):
            start = stream.unit_rows_at(seeding.start(stream, clusters, seed))
        with stages.timed("k-means", read=(iterations + 2) * size):
            found = kmeans(stream, clusters, folder, "benchmark", seed=seed, iterations=iterations, start=start)
        layout = _select(stages, stream, folder, found, ids)
    arithmetic = _arithmetic(stream, layout, folder / _SORTED, found.centroids, start, found.iterations)
    disk = disk_rates(folder)
    return {
        "rows": rows,
        "width": width,
        "clusters": clusters,
        "iterations": found.iterations,
        "seed": seed,
        "block_rows": stream.block_rows,
        "threads": thread_count(threads),
        "version": __version__,
        "commit": artefacts.commit(),
        "machine": artefacts.machine(),
        "peak_memory_bytes": used.bytes,
        "memory_before_bytes": used.before,
        "extra_bytes_at_most": extra_bytes(rows, width, clusters, stream.block_rows, ids.nbytes),
        "disk_bytes_per_second": disk._asdict(),
        "stages": stages.with_shares(size, disk.write, disk.read, arithmetic),
    }


def _select(stages: _Stages, stream: Stream, folder: Path, found: Clusters, ids: pa.ChunkedArray) -> Layout:
    """Go through the stages after K-means, and return where the sorted rows lie."""
    k, rows, path = len(found.centroids), stream.store.rows, folder / _SORTED
    inside, offsets = order_within(found.labels, found.distances, k, eps=_EPS, keep="near", drawn=np.empty(0))
    layout, size = lay_out(stream, inside, offsets), len(inside) * stream.store.dim * 2
    with stages.timed("sort", read=rows * stream.store.dim * 2, written=size):
        sort(stream, layout, path, "benchmark")
    with stages.timed("dedup", read=size):
        cosine, partner = dedup(stream, layout, path, folder, "benchmark")
    with stages.timed("selection"):
        ranking = ranked(found.labels, found.distances, cosine, partner, offsets, eps=_EPS, by_id=np.arange(rows))
        write_selection(folder / "selection.parquet", ids, ranking, budget_for(_RATIO, rows))
    return layout


def _arithmetic(
    stream: Stream, layout: Layout, path: Path, centroids: np.ndarray, start: np.ndarray, iterations: int
) -> dict[str, float]:
    """Return the seconds that the kernels would take for all rows from memory, from a sample of them."""
    n, m = stream.store.rows, min(stream.store.rows, _SAMPLE)
    sample = np.empty((m, stream.store.dim), np.float16)
    stream.store.read(0, sample)
    unit = unit_rows(sample, stream.threads)
    each = assign_seconds(unit, centroids, stream.threads)
    twice = assign_seconds(unit, np.concatenate([centroids, start]), stream.threads)
    pack = packs(layout.offsets, stream.block_rows)[0]
    offsets = layout.offsets[pack.clusters.start : pack.clusters.stop + 1]
    offsets = np.minimum(offsets, pack.last) - pack.first
    order = layout.line[stream.rows_at(layout.inside[pack.first : pack.last])] - pack.first
    lines = unit_rows(read_lines(path, pack.first, pack.last, stream.store.dim), stream.threads)
    pairs = cosine_seconds(lines, order, offsets, stream.threads)
    return {
        "seed": _ROUNDS * twice * n,
        "k-means": (iterations + 1) * each * n,
        "dedup": pairs * len(layout.inside),
    }


def _table(result: dict[str, Any]) -> str:
    head = f"{'stage':<12}{'seconds':>10}{'GB/s':>8}{'of arithmetic':>15}{'of disk':>10}"
    lines = []
    for name, row in result["stages"].items():
        share = row["share_of_arithmetic_limit"]
        arithmetic = "-" if share is None else f"{share:.2f}"
        lines.append(
            f"{name:<12}{row['seconds']:>10.2f}{row['gigabytes_per_second']:>8.3f}"
            f"{arithmetic:>15}{row['share_of_disk_limit']:>10.2f}"
        )
    disk = result["disk_bytes_per_second"]
    return "\n".join(
        [
            head,
            *lines,
            f"peak RSS {result['peak_memory_bytes'] / 1e9:.2f} GB; disk writes {disk['write'] / 1e9:.2f} GB/s, "
            f"reads {disk['read'] / 1e9:.2f} GB/s",
        ]
    )


def main() -> None:
    """Measure as the command line says, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description="Measure MedDEL out of core, stage by stage.")
    for name, default in (("rows", 200_000), ("width", 768), ("clusters", 2000), ("iterations", 5), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory-limit", type=int, help="extra memory in bytes; none: blocks of 32,768 rows")
    parser.add_argument("--threads", type=int, help="none: all cores")
    parser.add_argument("--folder", type=Path, help="where to work, on the disk to measure; none: a temporary one")
    parser.add_argument("--out", type=Path, default=Path("out_of_core.json"), help="the JSON file")
    given = parser.parse_args()
    with TemporaryDirectory(dir=given.folder, prefix="meddel-benchmark-") as folder:
        result = measure(
            Path(folder), given.rows, given.width, given.clusters, given.iterations, given.seed, given.memory_limit,
            given.threads,
        )  # fmt: skip
    artefacts.write_json(given.out, result)
    print(_table(result))


if __name__ == "__main__":
    main()
