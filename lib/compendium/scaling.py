"""Measure `meddel.scale` on a made-up store, and plan a larger selection from what was measured.

``python -m compendium.scaling --rows 5000000 --width 768 --clusters 2000 --iterations 5`` goes through the stages of a
selection in one process, beside what the kernels take for as many rows from memory. With ``--workers 1 2`` it selects
by so many workers of this machine instead, checks that the bytes are those of one process with one thread, and compares
the times. Both print a table and write JSON.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from meddel import __version__, artefacts
from meddel.errors import MedDELError
from meddel.images.index import INDEX_SCHEMA
from meddel.progress import progress
from meddel.resources import PeakMemory
from meddel.scale import dedup, extra_bytes, kmeans, select, selecting
from meddel.scale.stream import Stream, unit_rows
from meddel.select import budget_for
from meddel.select.ranking import order_within, ranked
from meddel.store import SHARD_ROWS, ShardWriter, Store, locked
from meddel_kernels import fixed_point
from meddel_kernels.cpu.threads import thread_count
from meddel_kernels.seeding import parallel

STAGES = {
    "seed": "n k d",
    "k-means": "n k d iterations",
    "sort": "n d",
    "dedup": "n² d / k",
    "selection": "n log n",
}
"""The stages of a selection, and what their seconds grow with."""
COLUMNS = ["stage", "grows with", "measured (s)", "times", "core hours", "hours", "cost"]
_CONCEPTS, _TWINS, _ROUNDS, _SAMPLE, _RATIO = 2000, 0.15, 5, 32768, 0.05
_EPS = 2.0  # no row is an outlier: all are compared


def generate(out: Path, rows: int, width: int, seed: int, *, shard_rows: int = SHARD_ROWS) -> Store:
    """Write a store of made-up embeddings (float16 [rows, width]) shard by shard, and open it; `seed` decides them.

    Like a ViT's they are off the origin, in concepts of Zipf's sizes. 15 % of a shard's rows are near twins of others:
    another one of its rows and 2 to 35 % of noise.
    """
    facts = {"name": "made up", "seed": seed, "concepts": _CONCEPTS, "twins": _TWINS}
    content, wide = artefacts.hash_of("made up", seed), len(str(rows - 1))
    with locked(Path(out)):
        writer = ShardWriter(out, rows, width, encoder=facts, content=content, shard_rows=shard_rows)
        with progress(what="generate", total=rows, unit="row", done=writer.done) as bar:
            while part := writer.next_rows:
                index = [{"id": f"made-up/{row:0{wide}d}", "source": "made-up"} for row in part]
                values = shard_of(len(part), width, seed, part.start // shard_rows)
                writer.append_rows(values, pa.Table.from_pylist(index, schema=INDEX_SCHEMA))
                bar.update(len(part))
    return Store.open(out, verify=False)


def shard_of(rows: int, width: int, seed: int, number: int) -> np.ndarray:
    """Return the rows of shard `number` of those that `generate` makes, float16 [rows, width]."""
    spectrum = np.arange(1, width + 1, dtype=np.float32) ** -0.5
    spectrum /= np.linalg.norm(spectrum)
    shared = np.random.default_rng([seed, 0])
    offset = 0.5 * shared.permutation(spectrum)
    centres = offset + 0.9 * spectrum * shared.standard_normal((_CONCEPTS, width), np.float32)
    share = np.arange(1, _CONCEPTS + 1) ** -0.7
    rng = np.random.default_rng([seed, 1, number])
    x = centres[rng.choice(_CONCEPTS, rows, p=share / share.sum())]
    for part in np.array_split(np.arange(rows), -(-rows // 4096)):
        x[part] += 0.55 * spectrum * rng.standard_normal((len(part), width), np.float32)
    twins, originals = rng.permutation(rows)[: int(rows * _TWINS)], rng.integers(0, rows, int(rows * _TWINS))
    level = rng.uniform(0.02, 0.35, (len(twins), 1)).astype(np.float32)
    for part in np.array_split(np.arange(len(twins)), -(-max(1, len(twins)) // 4096)):
        noise = level[part] * spectrum * rng.standard_normal((len(part), width), np.float32)
        x[twins[part]] = x[originals[part]] + noise
    return x.astype(np.float16)


def measure_stages(
    folder: Path, rows: int, width: int, clusters: int, iterations: int, seed: int, limit: int | None
) -> dict[str, Any]:
    """Go through all stages in `folder`, which gets 2.1 times the embeddings' bytes, and return what they took.

    `limit` is that on extra memory, as for `meddel.scale.select`.
    """
    size, seconds, path = rows * width * 2, {}, folder / "rows.f16"

    def timed(name: str, work: Callable[[], Any]) -> Any:
        found, seconds[name] = _timed(work)
        return found

    store = timed("generate", lambda: generate(folder / "store", rows, width, seed))
    ids = store.ids()
    stream = Stream(store, selecting.block_rows(limit, rows, width, clusters, ids.nbytes), np.arange(rows))
    with PeakMemory() as used:
        drawn = timed("seed", lambda: parallel(kmeans.StreamedRows(stream), clusters, np.random.default_rng(seed)))
        given = {"seed": seed, "iterations": iterations, "start": stream.unit_rows_at(drawn)}
        found = timed("k-means", lambda: kmeans.kmeans(stream, clusters, folder, "benchmark", **given))
        inside, offsets = order_within(
            found.labels, found.distances, clusters, eps=_EPS, keep="near", drawn=np.empty(0)
        )
        layout = dedup.lay_out(stream, inside, offsets)
        timed("sort", lambda: dedup.sort(stream, layout, path, "benchmark"))
        cosines = timed("dedup", lambda: dedup.dedup(stream, layout, path, folder, "benchmark"))

        def write() -> None:
            ranking = ranked(found.labels, found.distances, *cosines, offsets, eps=_EPS, by_id=np.arange(rows))
            selecting.write_selection(folder / "selection.parquet", ids, ranking, budget_for(_RATIO, rows))

        timed("selection", write)
    moves = int(found.moves)
    arithmetic = _arithmetic(stream, layout, path, found.centroids, given["start"], moves)
    stages = {
        name: {
            "seconds": taken,
            "gigabytes_per_second": size / taken / 1e9,
            "share_of_arithmetic_limit": arithmetic[name] / taken if name in arithmetic else None,
        }
        for name, taken in seconds.items()
    }
    return {
        "iterations": moves,
        "block_rows": stream.block_rows,
        "threads": thread_count(None),
        "peak_memory_bytes": used.bytes,
        "memory_before_bytes": used.before,
        "extra_bytes_at_most": extra_bytes(rows, width, clusters, stream.block_rows, ids.nbytes),
        "stages": stages,
    }


def measure_workers(
    folder: Path, rows: int, width: int, clusters: int, iterations: int, seed: int, workers: Sequence[int]
) -> dict[str, Any]:
    """Select by one process and by so many workers of this machine; refuse other bytes, and return ``ways``.

    A way is its workers (0: one process), the seconds to start them and to select, and its speed beside one process.
    """
    from meddel.scale.workers import connect

    store, ways = generate(folder / "store", rows, width, seed), []
    rule = {"k": clusters, "ratio": _RATIO, "iterations": iterations, "seed": seed, "eps": _EPS}
    expected, alone = _timed(lambda: select(store, folder / "alone", threads=1, **rule).read_bytes())
    ways.append({"workers": 0, "start_seconds": 0.0, "seconds": alone, "speed": 1.0})
    for count in workers:
        begun = time.perf_counter()
        with connect(workers=count) as client:
            start = time.perf_counter() - begun
            given = {"client": client, **rule}
            found, seconds = _timed(lambda: select(store, folder / str(count), **given).read_bytes())  # noqa: B023
        if found != expected:
            raise MedDELError(f"{count} workers select something else than one process", fix="report this")
        ways.append({"workers": count, "start_seconds": start, "seconds": seconds, "speed": alone / seconds})
    return {"ways": ways}


def plan(
    measured: Mapping[str, Any], rows: int, *, clusters: int, iterations: int, cores: int, price: float = 0.0
) -> pd.DataFrame:
    """Extrapolate the stages of a measured selection to another number of rows, of the same width.

    The products are shared by `cores`; the sort is bound to the disk. The K-means on the candidates of the start is one
    process's in truth, and grows with k squared: with many cores the hours are a lower bound. `price` is that of a
    core's hour. Returned are `COLUMNS`, a row for each of `STAGES` and one for the whole.
    """
    if min(rows, clusters, iterations, cores) < 1 or clusters > rows:
        what = f"no plan for {rows} rows in {clusters} clusters on {cores} cores"
        raise MedDELError(what, fix="give numbers above 0")
    before = _work(measured["rows"], measured["clusters"], measured["iterations"], measured["width"])
    after = _work(rows, clusters, iterations, measured["width"])
    lines = []
    for stage, grows in STAGES.items():
        seconds, times = measured["stages"][stage]["seconds"], after[stage] / before[stage]
        core_hours = times * seconds * measured["threads"] / 3600
        hours = times * seconds / 3600 if stage == "sort" else core_hours / cores
        lines.append([stage, grows, seconds, times, core_hours, hours, core_hours * price])
    table = pd.DataFrame(lines, columns=COLUMNS)
    whole = table[["measured (s)", "core hours", "hours", "cost"]].sum()
    return pd.concat([table, pd.DataFrame([{"stage": "all", "grows with": "", **whole}])], ignore_index=True)


def _work(n: int, k: int, iterations: int, d: int) -> dict[str, float]:
    """Return the amount of work of each stage; that of the cosines is of clusters of one size."""
    return {
        "seed": n * k * d,
        "k-means": n * k * d * (iterations + 1),
        "sort": n * d,
        "dedup": n * (n / k) * d,
        "selection": n * math.log2(max(n, 2)),
    }


def _arithmetic(
    stream: Stream, layout: dedup.Layout, path: Path, centroids: np.ndarray, start: np.ndarray, iterations: int
) -> dict[str, float]:
    """Return the seconds that the kernels would take for all rows from memory, from a sample of them."""
    n, m = stream.store.rows, min(stream.store.rows, _SAMPLE)
    sample = np.empty((m, stream.store.dim), np.float16)
    stream.store.read(0, sample)
    unit, p = unit_rows(sample), fixed_point.power(m, 1.0)

    def assigning(to: np.ndarray) -> float:
        [(guess, _)], _ = kmeans.assign_block(unit, to, p, **stream.work_on)
        return _timed(lambda: kmeans.assign_block(unit, to, p, guess, **stream.work_on))[1] / m

    pack = dedup.packs(layout.offsets, stream.block_rows)[0]
    edges = np.minimum(layout.offsets[pack.clusters.start : pack.clusters.stop + 1], pack.last)
    order = layout.line[stream.by_id[layout.inside[pack.first : pack.last]]]
    given = (path, stream.store.dim, stream.block_rows, pack, order, edges)
    return {
        "seed": _ROUNDS * assigning(np.concatenate([centroids, start])) * n,
        "k-means": (iterations + 1) * assigning(centroids) * n,
        "dedup": _timed(lambda: dedup.compare_pack(*given, **stream.work_on))[1] / (pack.last - pack.first) * n,
    }


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a function returns, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def main() -> None:
    """Measure as the command line says, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description="Measure MedDEL on a store, stage by stage or by workers.")
    for name, default in (("rows", 200_000), ("width", 768), ("clusters", 2000), ("iterations", 5), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory-limit", type=int, help="extra memory in bytes; none: blocks of 32,768 rows")
    parser.add_argument("--workers", type=int, nargs="+", help="numbers of workers to try, instead of stage by stage")
    parser.add_argument("--folder", type=Path, help="where to work, on the disk to measure; none: a temporary one")
    parser.add_argument("--out", type=Path, default=Path("scaling.json"), help="the JSON file")
    given = parser.parse_args()
    sizes = {name: getattr(given, name) for name in ("rows", "width", "clusters", "iterations", "seed")}
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="meddel-scaling-") as folder:
        if given.workers:
            found = measure_workers(Path(folder), **sizes, workers=given.workers)
            table = pd.DataFrame(found["ways"])
        else:
            found = measure_stages(Path(folder), **sizes, limit=given.memory_limit)
            table = pd.DataFrame(found["stages"]).T.rename_axis("stage").reset_index()
    known = {"version": __version__, "commit": artefacts.commit(), "machine": artefacts.machine()}
    artefacts.write_json(given.out, {**sizes, **known, **found})
    print(table.to_string(index=False, float_format="%.3f", na_rep="-"))


if __name__ == "__main__":
    main()
