"""kill -9 of a study at random moments: the run that goes on ends in the same bytes as one that was left alone."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from meddel import artefacts, study
from tests.meddel.study_cases import draw_data, run_of

KILLS = 50
SETTINGS = {
    "seeds": 1,
    "compute_shares": (1.0,),
    "ratios": (0.2,),
    "selectors": ("random", "meddel", "k-center"),
    "pretrain": {"method": "simclr", "images_seen": 320, "batch": 16, "lr": 1e-3, "checkpoint_seconds": 0.05},
}


@pytest.fixture(scope="module")
def children() -> multiprocessing.context.ForkServerContext:
    """Where children come from that needn't import torch again."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.meddel.study_cases"])
    return context


def work(data: Path, out: Path) -> None:
    """Run the whole study, as the child does."""
    study.run_study(run_of(data, out, **SETTINGS))


def finished(out: Path) -> dict[str, str]:
    """The content of what must not depend on kills: encoders, selections and pixel counts."""
    names = ("encoder.safetensors", "selection.parquet", "images.parquet", "history.parquet")
    return {str(path.relative_to(out)): artefacts.hash_of_file(path) for name in names for path in out.rglob(name)}


def test_after_many_kills_the_bytes_are_the_same(
    tmp_path: Path, children: multiprocessing.context.ForkServerContext, survived: Callable[..., None]
) -> None:
    data = draw_data(tmp_path / "data")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for out in (tmp_path / "first", whole):  # the first child also waits for the imports
        child = children.Process(target=work, args=(data, out))
        start = time.monotonic()
        child.start()
        child.join()
        assert child.exitcode == 0
        seconds = time.monotonic() - start
    rng, kills = random.Random(0), 0
    while kills < KILLS:
        child = children.Process(target=work, args=(data, cut))
        child.start()
        child.join(rng.uniform(0.1, 0.9) * seconds)
        if child.exitcode is None:
            child.kill()
            child.join()
            kills += 1
        else:
            assert child.exitcode == 0
            assert finished(cut) == finished(whole)
            shutil.rmtree(cut)  # it came to its end between kills: from the beginning
    child = children.Process(target=work, args=(data, cut))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert finished(cut) == finished(whole) != {}
    tables = [pq.read_table(out / "scores.parquet").drop_columns("seconds") for out in (cut, whole)]
    assert tables[0].equals(tables[1])
    survived("kill -9 at a random time", "study", kills)
