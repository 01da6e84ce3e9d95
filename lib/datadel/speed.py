"""How fast a machine reads, decodes, fingerprints and compares the images of a folder, each beside decoding alone."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from datadel.fingerprint import fingerprint
from meddel.images import read as images
from meddel_kernels import near_hashes

_HASHES, _BITS, _RADIUS = 100_000, 64, 8


def speed(index: pa.Table, at_most: int = 1000, rounds: int = 3) -> pd.DataFrame:
    """Measure what decontamination costs, job after job and round after round, with all usable cores.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`.
    at_most : int
        Images to measure on, at even distances.
    rounds : int
        Medians are taken over them.

    Returns
    -------
    DataFrame
        ``what, number, seconds, a second, of decoding``: the last is the rate over that of decoding the same files in
        full, which no fingerprint of pixels can exceed. The last row compares random hashes, pair by pair.
    """
    paths = index["path"].to_pylist()
    chosen = [Path(paths[i]) for i in np.unique(np.linspace(0, len(paths) - 1, min(at_most, len(paths))).astype(int))]
    contents = [path.read_bytes() for path in chosen]
    hashes = np.random.default_rng(0).integers(0, 2**64, (_HASHES, _BITS // 64), dtype=np.uint64)
    jobs: dict[str, tuple[int, Callable[[], object]]] = {
        "read": (len(chosen), lambda: _each(Path.read_bytes, chosen)),
        "decode": (len(chosen), lambda: _each(_decoded, contents)),
        "fingerprint": (len(chosen), lambda: _each(fingerprint, contents)),
        "fingerprint, pixels not hashed": (len(chosen), lambda: _each(_seen, contents)),
        f"compare all pairs of {_HASHES:,} hashes": (_HASHES, lambda: near_hashes(hashes, radius=_RADIUS)),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    jobs["fingerprint"][1]()
    near_hashes(hashes[:100], radius=_RADIUS)
    for _ in range(rounds):
        for name, (_, job) in jobs.items():
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
    rows = [(name, number, float(np.median(times[name]))) for name, (number, _) in jobs.items()]
    table = pd.DataFrame(rows, columns=["what", "number", "seconds"])
    table["a second"] = table["number"] / table["seconds"]
    decoding = table.set_index("what").loc["decode", "a second"]
    table["of decoding"] = (table["a second"] / decoding).where(table["number"] != _HASHES)
    return table


def _each(job: Callable, items: list) -> None:
    for _ in images.in_threads(job, items):
        pass


def _decoded(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as image:
        image.load()


def _seen(content: bytes) -> object:
    return fingerprint(content, pixels=False)
