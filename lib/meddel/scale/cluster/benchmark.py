"""Measure what workers gain: the same selection by one process with one thread, and by workers with one thread each.

``python -m meddel.scale.cluster.benchmark --rows 300000 --width 768 --clusters 1000 --workers 1 2`` makes a store, selects
from it in each way, compares the bytes of what was selected, prints seconds and their ratio to the one process, and
writes them as JSON. Starting the workers is a line of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from meddel import __version__, artefacts
from meddel import scale as out_of_core
from meddel.errors import MedDELError
from meddel.scale.cluster.connecting import connect
from meddel.scale.cluster.selecting import select
from meddel.scale.generating import generate

_RATIO = 0.05


def measure(
    folder: Path, rows: int, width: int, clusters: int, iterations: int, workers: Sequence[int], seed: int = 0
) -> dict[str, Any]:
    """Select in each way in `folder`, and return what each took.

    Parameters
    ----------
    folder : Path
        Gets the store and what the selections write: some 2.1 times the embeddings' bytes for each.
    rows, width, clusters : int
        n, d and k.
    iterations : int
        Of K-means, at most.
    workers : sequence of int
        Numbers of workers to try, processes of this machine.
    seed : int
        Of the embeddings and of K-means.

    Returns
    -------
    dict
        The settings, and ``ways``: for each its workers (0: one process without any), seconds to start them, seconds to
        select, and the ratio of the one process's seconds to these.

    Raises
    ------
    MedDELError
        Two ways do not select the same, byte for byte; or the folder can't be written.
    """
    store = generate(folder / "store", rows, width, seed)
    rule = {"k": clusters, "ratio": _RATIO, "iterations": iterations, "seed": seed, "eps": 2.0}
    expected, alone = _timed(lambda: out_of_core.select(store, folder / "alone", threads=1, **rule))
    ways = [{"workers": 0, "start_seconds": 0.0, "seconds": alone, "speed": 1.0}]
    for count in workers:
        begun = time.perf_counter()
        with connect(workers=count) as client:
            start = time.perf_counter() - begun
            found, seconds = _timed(lambda into=folder / str(count): select(store, into, client, **rule))
        if found.read_bytes() != expected.read_bytes():
            raise MedDELError(f"{count} workers select something else than one process", found, "report this")
        ways.append({"workers": count, "start_seconds": start, "seconds": seconds, "speed": alone / seconds})
    return {
        "rows": rows,
        "width": width,
        "clusters": clusters,
        "iterations": iterations,
        "seed": seed,
        "version": __version__,
        "commit": artefacts.commit(),
        "machine": artefacts.machine(),
        "ways": ways,
    }


def _timed(work: Callable[[], Path]) -> tuple[Path, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _table(result: dict[str, Any]) -> str:
    lines = [f"{'way':<28}{'start (s)':>10}{'select (s)':>12}{'speed':>8}"]
    for way in result["ways"]:
        name = f"workers: {way['workers']}" if way["workers"] else "one process, one thread"
        lines.append(f"{name:<28}{way['start_seconds']:>10.1f}{way['seconds']:>12.1f}{way['speed']:>8.2f}")
    return "\n".join(lines)


def main() -> None:
    """Measure as the command line says, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description="Measure a selection by workers beside one process.")
    for name, default in (("rows", 300_000), ("width", 768), ("clusters", 1000), ("iterations", 5), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers to try")
    parser.add_argument("--folder", type=Path, help="where to work; none: a temporary folder")
    parser.add_argument("--out", type=Path, default=Path("cluster.json"), help="the JSON file")
    given = parser.parse_args()
    with TemporaryDirectory(dir=given.folder, prefix="meddel-benchmark-") as folder:
        result = measure(
            Path(folder), given.rows, given.width, given.clusters, given.iterations, given.workers, given.seed
        )
    artefacts.write_json(given.out, result)
    print(_table(result))


if __name__ == "__main__":
    main()
