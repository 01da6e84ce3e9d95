"""What a selection from a number of rows would take, on paper, from rates that the benchmark measured.

Each stage's seconds grow with its own amount of work, for n rows of width d in k clusters:

- *seed* and *k-means*: n k d products for each round or iteration;
- *sort*: the 2 n d bytes of the embeddings, which are read and written once;
- *dedup*: n (n / k) d products, for clusters of one size; n sum(s^2) / n of sizes s is more where they differ;
- *selection*: n log n, for it sorts.

The products are shared by cores; the sort is bound to the disk. One part of the start is one process's in truth, the
K-means on its candidates, whose seconds grow with k squared: with many cores the hours are a lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from meddel.errors import MedDELError
from meddel.scale.memory import extra_bytes

STAGES = {
    "seed": "n k d",
    "k-means": "n k d iterations",
    "sort": "n d",
    "dedup": "n² d / k",
    "selection": "n log n",
}
"""The stages of a selection, and what their seconds grow with."""

COLUMNS = ["stage", "grows with", "measured (s)", "times", "core hours", "hours", "cost"]
_ON_DISK = ("sort",)


def plan(
    measured: Mapping[str, Any], rows: int, *, clusters: int, iterations: int, cores: int, price: float = 0.0
) -> pd.DataFrame:
    """Extrapolate the stages of a measured selection to another number of rows.

    Parameters
    ----------
    measured : mapping
        What ``python -m meddel.scale.benchmark`` wrote.
    rows, clusters, iterations : int
        n, k and the iterations of K-means that are planned; the width stays what it was.
    cores : int
        Of all machines together.
    price : float
        Of a core's hour, in any currency.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`; a row for each stage and one for the whole. *times* is how often the work that was measured.

    Raises
    ------
    MedDELError
        A number is not above 0, or the record has no such stages.
    """
    if min(rows, clusters, iterations, cores) < 1 or clusters > rows:
        raise MedDELError(
            f"no plan for {rows} rows in {clusters} clusters on {cores} cores", fix="give numbers above 0"
        )
    absent = [stage for stage in STAGES if stage not in measured.get("stages", {})]
    if absent:
        raise MedDELError(f"the record has no {absent[0]}", fix="measure with python -m meddel.scale.benchmark")
    before = _work(measured["rows"], measured["clusters"], measured["iterations"], measured["width"])
    after = _work(rows, clusters, iterations, measured["width"])
    used = measured["threads"]
    lines = []
    for stage, grows in STAGES.items():
        seconds, times = measured["stages"][stage]["seconds"], after[stage] / before[stage]
        core_hours = times * seconds * used / 3600
        hours = times * seconds / 3600 if stage in _ON_DISK else core_hours / cores
        lines.append([stage, grows, seconds, times, core_hours, hours, core_hours * price])
    table = pd.DataFrame(lines, columns=COLUMNS)
    whole = table[["measured (s)", "core hours", "hours", "cost"]].sum()
    return pd.concat([table, pd.DataFrame([{"stage": "all", "grows with": "", **whole}])], ignore_index=True)


def room(rows: int, width: int, clusters: int, id_bytes: int = 24) -> dict[str, int]:
    """Return the bytes that a selection needs: ``store`` and ``sorted`` on the disk, ``memory`` on one machine.

    Parameters
    ----------
    rows, width, clusters : int
        n, d and k.
    id_bytes : int
        Of a row's id.
    """
    embeddings = 2 * rows * width
    return {
        "store": embeddings + rows * id_bytes,
        "sorted": embeddings,
        "memory": extra_bytes(rows, width, clusters, id_bytes=rows * id_bytes),
    }


def _work(n: int, k: int, iterations: int, d: int) -> dict[str, float]:
    return {
        "seed": n * k * d,
        "k-means": n * k * d * (iterations + 1),
        "sort": n * d,
        "dedup": n * (n / k) * d,
        "selection": n * math.log2(max(n, 2)),
    }
