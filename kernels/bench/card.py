"""The kernels on a card: ``PYTHONPATH=kernels python kernels/bench/card.py OUT [--small]``; see ``docs/card.md``.

It needs NumPy, torch, CuPy, Numba and threadpoolctl. Each line is written at once to ``OUT/kernels.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import meddel_kernels as kernels
from meddel_kernels.backends import back_end
from meddel_kernels.inputs import array

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"  # and our back end for it
OURS = {"backend": DEVICE}
RNG = np.random.default_rng(0)
KINDS = {"natural = k": 1, "natural = 10 k": 10, "white noise": 0}  # natural clusters for each of k


def once(call: Callable[[], Any]) -> float:
    """Return the time of a call, with all that it queues."""
    begun = time.perf_counter()
    call()
    if CUDA:
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def seconds(call: Callable[[], Any], repeats: int = 3) -> float:
    """Return the median time of a call that has run once before."""
    call()
    return round(float(np.median([once(call) for _ in range(repeats)])), 5)


def inputs() -> Iterator[tuple[str, np.ndarray]]:
    """Yield random rows, equal ones, twins in the last bit, tiny, huge, with heavy tails, with constant columns."""
    for d in (1, 3, 64, 127, 768):
        x = RNG.standard_normal((600, d)).astype(np.float32)
        yield f"normal d={d}", x
        yield f"float16 d={d}", x.astype(np.float16)
        yield f"equal d={d}", np.repeat(x[:7], 50, 0)
        yield f"twins d={d}", np.concatenate([x[:100], np.nextafter(x[:100], np.float32(9))])
        yield f"tiny d={d}", x * np.float32(1e-30)
        yield f"huge d={d}", x.astype(np.float64) * 1e100
        yield f"heavy tails d={d}", (RNG.standard_cauchy((400, d)) * 3).astype(np.float32)
    yield "constant columns", np.hstack([np.full((300, 8), 5), RNG.standard_normal((300, 2))]).astype(np.float32)


def operations(x: np.ndarray) -> dict[str, Callable[[dict], Any]]:
    """Return a call of every operation on these rows, which takes the back end."""
    n = len(x)
    start, batch = x[RNG.choice(n, 37, replace=False)], (RNG.permutation(n), np.array([0, n // 5, n // 5, n // 2, n]))
    return {
        "assign": lambda how: kernels.assign(x, start, **how),
        "kmeans": lambda how: kernels.kmeans(x, 11, seed=1, iterations=5, **how)[:3],
        "nearest_kept": lambda how: kernels.nearest_kept(x, np.arange(0, n, 9), **how),
        "farthest_point": lambda how: kernels.farthest_point(x, 9, seed=1, **how),
        "row_max_cosine": lambda how: kernels.row_max_cosine(x, *batch, **how),
        "near_duplicates": lambda how: kernels.near_duplicates(x, *batch, 0.5, **how),
        "near_duplicates greedy": lambda how: kernels.near_duplicates(x, *batch, 0.5, greedy=True, **how),
        "top_neighbours": lambda how: kernels.top_neighbours(x, *batch, 5, **how),
    }


def rows_of(n: int, d: int, natural: int) -> torch.Tensor:
    """Return unit rows around `natural` centres, float16, on the device; 0: white noise."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    centres = torch.randn(max(natural, 1), d, generator=generator, device=DEVICE) * bool(natural)
    rows = torch.empty(n, d, dtype=torch.float16, device=DEVICE)
    for first in range(0, n, 100_000):
        m = min(100_000, n - first)
        own = torch.randint(0, len(centres), (m,), generator=generator, device=DEVICE)
        block = centres[own] + 0.5 * torch.randn(m, d, generator=generator, device=DEVICE)
        rows[first : first + m] = torch.nn.functional.normalize(block).half()
    return rows


def torch_assign(x: torch.Tensor, c: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the nearest centroid of each row as torch computes it, inexactly."""
    half, columns = (c.float() ** 2).sum(1) / 2, c.to(dtype).T.contiguous()
    scores = (x[i : i + 65_536].to(dtype) @ columns - half.to(dtype) for i in range(0, len(x), 65_536))
    return torch.cat([block.argmax(1) for block in scores])


def flash(x: torch.Tensor, k: int) -> float | str:
    """Return the time of ten iterations of flash-kmeans, or why there is none."""
    try:
        from flash_kmeans import batch_kmeans_Euclid

        return seconds(lambda: batch_kmeans_Euclid(x[None], k, max_iters=10, tol=-1), 1)
    except Exception as error:
        return repr(error)


class Bench:
    """The sections of the run, and the file of what they find."""

    def __init__(self, out: Path, small: bool) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.begun, self.small, self.path = time.perf_counter(), small, out / "kernels.jsonl"

    def say(self, **row: Any) -> None:
        """Write and print a line."""
        row["at"] = round(time.perf_counter() - self.begun, 1)
        with self.path.open("a") as log:
            log.write(json.dumps(row, default=str) + "\n")
        print(row, flush=True)

    def machine(self) -> None:
        """Name the card and measure its peak."""
        size = 1024 if self.small else 8192
        a = torch.randn(size, size, device=DEVICE).bfloat16()
        card, peak = torch.cuda.get_device_name() if CUDA else "none", round(2e-12 * size**3 / seconds(lambda: a @ a))
        self.say(section="machine", card=card, torch=torch.__version__, numpy=np.__version__, bf16_tflops=peak)

    def correct(self) -> None:
        """Compare every operation with its float64 definition."""
        cases = wrong = 0
        for name, x in list(inputs())[:: 9 if self.small else 1]:
            for operation, call in operations(x).items():
                try:
                    pairs = zip(call(OURS), call({"backend": "reference"}), strict=True)
                    unequal = sum(int(np.sum(np.asarray(a) != np.asarray(b))) for a, b in pairs)
                except Exception:
                    unequal = traceback.format_exc()[-700:]
                cases, wrong = cases + 1, wrong + bool(unequal)
                if unequal:
                    self.say(section="correct", operation=operation, input=name, unequal=unequal)
        self.say(section="correct", cases=cases, wrong=wrong)

    def clusters(self, n: int, d: int, k: int, kind: str) -> None:
        """Measure the nearest centroids, what they consist of, and K-means."""
        x, what = rows_of(n, d, KINDS[kind] * k), {"n": n, "d": d, "k": k, "data": kind}
        c = x[torch.randperm(n, device=DEVICE)[:k]]
        start, matrix = c.double().cpu().numpy(), array(x, "x", DEVICE)
        rows = back_end(DEVICE).rows(matrix, 2)
        labels = rows.assign(start, None)
        sample = RNG.choice(n, 2000, replace=False)
        expected = kernels.assign(x[torch.from_numpy(sample).to(DEVICE)].cpu().numpy(), start, backend="reference")[0]
        ours = seconds(lambda: rows.assign(start, labels))
        half, tf32 = (seconds(lambda dtype=dtype: torch_assign(x, c, dtype)) for dtype in (torch.half, torch.float32))
        wrong, tflops = int((labels[sample] != expected).sum()), round(2e-12 * n * d * k / ours)
        self.say(section="assign", **what, ours=ours, torch_fp16=half, torch_tf32=tf32, tflops=tflops, wrong=wrong)
        moved = (labels + 1) % k
        prepare = seconds(lambda: back_end(DEVICE).rows(matrix, 2))
        squares = seconds(lambda: rows.squares(start, labels))
        sums = seconds(lambda: (rows.sums(labels, k, 40), rows.sums(moved, k, 40)))  # all rows move, twice
        whole = seconds(lambda: kernels.assign(x, start, **OURS), 1)
        self.say(section="parts", **what, prepare=prepare, squares=squares, sums=sums, whole_assign=whole)
        made, taken = [], []
        for iterations in (1, 1, 11):
            how = {"start": start, "iterations": iterations, **OURS}
            taken.append(round(once(lambda how=how: made.append(kernels.kmeans(x, k, **how).iterations)), 4))
        times = {"one_iteration": taken[1], "iterations": made[2], "ours": taken[2]}
        self.say(section="kmeans", **what, **times, flash_kmeans_10=flash(x, k) if KINDS[kind] == 1 else None)

    def cosines(self, n: int) -> None:
        """Measure the cosines within one cluster of n rows."""
        batch = (rows_of(n, 768, n // 50), np.arange(n), np.array([0, n]))
        for name, call in {
            "near_duplicates": lambda: kernels.near_duplicates(*batch, 0.95, **OURS),
            "row_max_cosine": lambda: kernels.row_max_cosine(*batch, **OURS),
            "near_duplicates greedy": lambda: kernels.near_duplicates(*batch, 0.95, greedy=True, **OURS),
            "top_neighbours": lambda: kernels.top_neighbours(*batch, 10, **OURS),
        }.items():
            self.say(section="cosines", operation=name, n=n, seconds=round(once(call), 4))

    def run(self) -> None:
        """Run one section after the other; one that fails is named."""
        n, k, large = (20_000, 50, 80) if self.small else (1_000_000, 1000, 4096)
        shapes = ((768, k), (128, k), (768, large))
        sections: list[tuple] = [(self.machine,), (self.correct,)]
        sections += [(self.clusters, n, d, columns, kind) for d, columns in shapes for kind in KINDS]
        sections += [(self.cosines, m) for m in ((2_000,) if self.small else (20_000, 100_000, 300_000, 1_000_000))]
        for section, *arguments in sections:
            try:
                section(*arguments)
            except Exception:
                self.say(section=section.__name__, arguments=arguments, failed=traceback.format_exc()[-1500:])


def main() -> None:
    """Read the command line and run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--small", action="store_true", help="few and small rows, for a try")
    given = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    Bench(given.out, given.small).run()


if __name__ == "__main__":
    main()
