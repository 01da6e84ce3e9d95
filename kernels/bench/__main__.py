"""Measure the kernels beside their peers: ``python kernels/bench`` prints ratios, writes a table and draws a roofline.

Everything of a case runs in one process, job after job and round after round. A ratio is a job's median over ours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import faiss
import plot
import torch
from cases import Case, cases_of, made_up_cases
from embeddings import made_up
from measure import interleaved, machine
from results_table import earlier, written
from threadpoolctl import threadpool_limits

from meddel_kernels import roofline

FOLDER = Path(__file__).parent / "results"


def main() -> None:
    """Run the asked cases and write what they gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--embeddings", type=Path, nargs="*", help="your own, float [n, d] in files of NumPy")
    parser.add_argument("--out", type=Path, default=FOLDER / "cpu.csv", help="the table; the picture lies beside it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    if options.embeddings:
        cases = {name: case for path in options.embeddings for name, case in cases_of(path, options.threads).items()}
    else:
        cases = made_up_cases(options.threads)
    wanted = [name for name in cases if options.only in name]
    if not wanted:
        parser.error(f"no case has {options.only!r} in its name: {'; '.join(cases)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    results = earlier(options.out, options.threads)
    for name in wanted:
        results[name] = measured(name, cases[name](), options.rounds, options.threads)
        written([row for case in cases for row in results.get(case, ())], options.out)
    data = made_up(8192, 384, seed=1)
    ceilings, _ = roofline.measure(data, data[:512], options.threads)
    plot.draw([row for case in cases for row in results.get(case, ())], ceilings, options.out.with_suffix(".svg"))


def measured(name: str, case: Case, rounds: int, threads: int) -> list[dict[str, object]]:
    """Run a case, print its ratios and return its rows of the table."""
    print(name, flush=True)
    with threadpool_limits(threads):
        case.jobs[case.ours]()  # compiled and loaded before it is measured, as its peers are
        results = interleaved(case.jobs, rounds)
    rows = []
    for job, result in results.items():
        seconds, ratio = result["seconds"], result["seconds"] / results[case.ours]["seconds"]
        useful = case.operations / seconds / 1e9
        print(f"{job:<48} {seconds:9.3f} s {ratio:7.2f} x {useful:8.0f} Gop/s {result['extra_mb']:6.0f} MB", flush=True)
        rows.append({
            "case": name, "name": job, "seconds": f"{seconds:.4f}", "ratio": f"{ratio:.3f}",
            "useful_gops": f"{useful:.1f}", "useful_operations_a_byte": f"{case.operations / case.traffic:.1f}",
            "extra_mb": f"{result['extra_mb']:.0f}", "threads": threads, "on": machine(),
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
