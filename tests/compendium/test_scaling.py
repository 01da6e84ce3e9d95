"""Made-up stores depend on their seed alone, and the benchmark goes through all stages on one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import meddel_kernels as kernels
from meddel.errors import MedDELError
from meddel.scale import generate


def test_equal_seeds_give_equal_stores_and_others_do_not(tmp_path: Path) -> None:
    stores = [generate(tmp_path / name, 500, 8, seed, shard_rows=200) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert stores[0].hash == stores[1].hash != stores[2].hash
    assert [shard.rows for shard in stores[0].shards] == [200, 200, 100]
    assert (np.asarray(stores[0].embeddings)[:200] != np.asarray(stores[0].embeddings)[200:400]).any(axis=1).all()


def test_there_are_twins_and_there_are_concepts(tmp_path: Path) -> None:
    unit = kernels.unit_rows(np.asarray(generate(tmp_path, 2000, 64, 0).embeddings))
    cosines = np.sort(unit @ unit.T, axis=1)[:, -2]
    assert 0.05 < (cosines > 0.98).mean() < 0.5
    assert np.median(unit @ unit.mean(axis=0)) > 0.1


def test_a_store_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MedDELError, match="without rows or columns"):
        generate(tmp_path, 0, 8, 0)


def test_the_benchmark_measures_every_stage(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "meddel.scale.benchmark", "--rows", "3000", "--width", "32"]
    command += ["--clusters", "20", "--iterations", "2", "--folder", str(tmp_path), "--out", str(tmp_path / "b.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "b.json").read_text())
    assert list(said["stages"]) == sorted(["generate", "seed", "k-means", "sort", "dedup", "selection"])
    assert all(stage["seconds"] > 0 for stage in said["stages"].values())
    assert all(said["stages"][name]["share_of_arithmetic_limit"] > 0 for name in ("seed", "k-means", "dedup"))
    assert said["peak_memory_bytes"] > 0 and said["iterations"] == 2
    assert [line.split()[0] for line in done.stdout.splitlines()[1:-1]] == [
        "generate", "seed", "k-means", "sort", "dedup", "selection",
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]
