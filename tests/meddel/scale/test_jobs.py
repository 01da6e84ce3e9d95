"""Two workers train and score the study's encoders, and embed images, as one process does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed import Client
from PIL import Image

from meddel import artefacts, embed, encoder, study
from meddel.config import EncoderConfig, Run
from meddel.errors import MedDELError
from meddel.images import index
from meddel.scale.jobs import compute_study, embed_images
from tests.meddel.study_cases import draw_data, run_of

TINY = EncoderConfig(image_size=32, patch_size=8, width=24, depth=1, heads=2)
SMALLER = {"seeds": 1, "ratios": (0.5,), "selectors": ("random", "meddel"), "threads": 1}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads: they decide how floating-point sums are rounded."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


def bytes_of(run: Run) -> dict[str, str]:
    """Encoders and selections, which hold no time."""
    return {
        path.relative_to(run.out).as_posix(): artefacts.hash_of_file(path)
        for pattern in ("*.safetensors", "selection.parquet")
        for path in (run.out / "study").rglob(pattern)
    }


def test_two_workers_make_what_one_process_makes(client: Client, tmp_path: Path) -> None:
    data = draw_data(tmp_path / "data")
    alone, shared = run_of(data, tmp_path / "alone", **SMALLER), run_of(data, tmp_path / "shared", **SMALLER)
    jobs = study.jobs(shared)
    assert compute_study(shared, client, jobs) == len({cell for cell, *_ in jobs}) == 4
    made = {path: path.stat().st_mtime_ns for path in (shared.out / "study").rglob("*") if path.is_file()}
    assert compute_study(shared, client, jobs) == 0
    found = study.run_study(shared)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    with threads(2):  # more than a worker has; the profile's one counts
        assert found.drop_columns("seconds").equals(study.run_study(alone).drop_columns("seconds"))
        assert torch.get_num_threads() == 2
    assert len(bytes_of(alone)) == 5
    assert bytes_of(shared) == bytes_of(alone)


def test_two_workers_embed_as_one_process_does(client: Client, photos: Path, tmp_path: Path) -> None:
    table, model = index.build_index(photos), encoder.build(TINY, 0)
    given = {"model": model, "batch": 2, "shard_rows": 3}
    with threads(1):
        whole = embed.embed(table, tmp_path / "one", **given)
    assert embed_images(table, tmp_path / "two", client, **given).hash == whole.hash
    assert {path.name for path in (tmp_path / "two").iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}

    last = whole.shards[3]
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(photos / "p10.png")
    with pytest.raises(MedDELError, match=r"the image has changed since it was indexed \(.*p10.png\)"):
        embed_images(table, tmp_path / "three", client, **given)
    begun = sorted(path.name for path in (tmp_path / "three").glob("shard-*.npy"))
    assert begun == ["shard-00000.npy", "shard-00001.npy", "shard-00002.npy"] and last.path.name not in begun
