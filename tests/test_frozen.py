"""What no redesign may change: selections, NormDEL and the kernels' answers, as hashes of their bytes.

``FREEZE=1 pytest tests/test_frozen.py`` writes ``frozen.json`` again: only where an answer is meant to change.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import meddel_kernels as kernels
from meddel import select
from meddel.normdel import normdel

FROZEN = Path(__file__).with_name("frozen.json")
RATIOS = (0.05, 0.2, 0.5)


def _pool() -> tuple[np.ndarray, pa.Table]:
    """240 frames of 12 videos in groups of unequal tightness, of unequal lengths, some of them twice."""
    draw, n = np.random.default_rng(7), 240
    group = draw.integers(6, size=n)
    x = 3 * draw.normal(size=(6, 24))[group] + (0.2 + 0.4 * group[:, None]) * draw.normal(size=(n, 24))
    x[200:220] = x[:20] + 0.01 * draw.normal(size=(20, 24))
    x[220:230] = x[:10]
    rows = range(n)
    index = {
        "id": [f"source/{row:05d}" for row in rows],
        "path": [f"/images/{row}.png" for row in rows],
        "source": ["one" if row % 3 else "two" for row in rows],
        "video": [f"video-{row // 20}" for row in rows],
        "frame": pa.array([row % 20 for row in rows], pa.int32()),
    }
    return (x * draw.uniform(0.5, 2, size=(n, 1))).astype(np.float32), pa.table(index)


def _selections() -> Iterator[tuple[str, list[np.ndarray]]]:
    x, index = _pool()
    errors = {"errors": np.random.default_rng(3).random(len(x), dtype=np.float32)}
    for name in select.names():
        for ratio in RATIOS:
            settings = errors if "errors" in select.settings_of(name) else {}
            budget = select.budget_for(ratio, len(x))
            table = select.get(name)(x, index, budget, np.random.default_rng(5), **settings)
            yield f"select {name} {ratio:g}", [table["rank"].to_numpy(), np.array(table["reason"].to_pylist(), "U20")]


def _kernels() -> Iterator[tuple[str, list[np.ndarray]]]:
    x, _ = _pool()
    order, offsets = np.random.default_rng(1).permutation(len(x)), np.array([0, 40, 40, 150, 240])
    found = kernels.kmeans(x, 11, seed=2)
    yield "kmeans", [found.labels, found.distances, found.centroids]
    yield "kmeans spherical", [kernels.kmeans(x, 7, seed=2, spherical=True).labels]
    yield "assign", list(kernels.assign(x, x[::20]))
    yield "row_max_cosine", list(kernels.row_max_cosine(x, order, offsets))
    yield "near_duplicates", [kernels.near_duplicates(x, order, offsets, 0.9)]
    yield "near_duplicates greedy", [kernels.near_duplicates(x, order, offsets, 0.9, greedy=True)]
    yield "top_neighbours", list(kernels.top_neighbours(x, order, offsets, 5))
    yield "nearest_kept", list(kernels.nearest_kept(x, np.arange(0, 240, 9)))
    yield "farthest_point", list(kernels.farthest_point(x, 30, seed=3))
    yield "k-means++", [np.asarray(kernels.kmeans_plus_plus(x, 9, seed=4))]
    yield "k-means||", [np.asarray(kernels.kmeans_parallel(x, 9, seed=4))]
    yield "unit_rows", [kernels.unit_rows(x)]


def _scores() -> Iterator[tuple[str, list[np.ndarray]]]:
    miou, ratio = np.meshgrid(np.linspace(0.1, 0.9, 9), [0.05, 0.1, 0.2, 0.33, 0.5, 1.0])
    yield "normdel", [np.round(np.asarray(normdel(miou, ratio)), 12)]


def _hash(arrays: list[np.ndarray]) -> str:
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()[:16]


def test_answers_are_those_that_were_frozen() -> None:
    found = {
        name: _hash([np.asarray(a) for a in arrays])
        for part in (_selections, _kernels, _scores)
        for name, arrays in part()
    }
    if os.environ.get("FREEZE"):
        FROZEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        pytest.skip("frozen again")
    frozen = json.loads(FROZEN.read_text(encoding="utf-8"))
    assert sorted(found) == sorted(frozen)
    assert [name for name in found if found[name] != frozen[name]] == []
