"""Measure the kernels beside their peers: ``python kernels/bench`` prints ratios and writes a table and a picture.

Everything of a case runs in one process, job after job. A ratio is a job's median over ours: more than 1 means that
ours is faster. Results go to ``out/bench``; ``--record`` writes them beside this file and into the README instead.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import faiss
import numpy as np
import table
from cases import Case, all_cases, features, unit
from measure import interleaved
from threadpoolctl import threadpool_limits

HERE = Path(__file__).parent


def main() -> None:
    """Run the asked cases and write what they gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10, help="no case begins later than this")
    parser.add_argument("--scale", type=float, default=1, help="share of the rows, to try it out")
    parser.add_argument("--images", type=Path, help="a folder of images, whose features are measured too")
    parser.add_argument("--embeddings", type=Path, help="your own, float [n, d] in a file of NumPy")
    parser.add_argument("--out", type=Path, default=Path("out") / "bench")
    parser.add_argument("--record", action="store_true", help="write into kernels/bench/results and the README")
    options = parser.parse_args()
    faiss.omp_set_num_threads(options.threads)
    real = unit(np.load(options.embeddings)) if options.embeddings else None
    real = features(options.images) if options.images else real
    cases = {name: case for name, case in all_cases(real, options.scale).items() if options.only in name}
    if not cases:
        parser.error(f"no case has {options.only!r} in its name")
    if options.record and options.scale != 1:
        parser.error("a record is of whole cases: --scale is to try out")
    folder = HERE / "results" if options.record else options.out
    folder.mkdir(parents=True, exist_ok=True)
    begun, rows = time.monotonic(), []
    for number, (name, case) in enumerate(cases.items(), 1):
        minutes = (time.monotonic() - begun) / 60
        if minutes > options.minutes:
            print(f"out of time: {', '.join(list(cases)[number - 1 :])} not measured", flush=True)
            break
        print(f"[{number}/{len(cases)}, {minutes:.1f} min] {name}", flush=True)
        rows += measured(name, case(options.threads), options.threads)
        table.write(rows, folder / "cpu.csv")
    table.draw(rows, folder / "growth.svg")
    print(f"\n{table.headline(rows)}\n\n{table.markdown(rows)}\n\nwritten to {folder}")
    if options.record:
        readme = HERE.parent / "README.md"
        readme.write_text(table.renewed(readme.read_text(encoding="utf-8"), rows), encoding="utf-8")


def measured(name: str, case: Case, threads: int) -> list[dict[str, str]]:
    """Run a case and return its rows of the table."""
    with threadpool_limits(threads):
        case.jobs[case.ours]()  # compiled and loaded before it is measured, as its peers are
        results = interleaved(case.jobs)
    return table.rows_of(name, results, case.ours, threads)


if __name__ == "__main__":
    main()
