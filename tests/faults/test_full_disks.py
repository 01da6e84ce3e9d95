"""A disk that fills up, or can't be read on, during a stage: one line that names the file, and then it goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compendium.scaling import generate
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.scale import select
from meddel.store import import_from
from tests.full_disk import files_up_to

N, DIM = 900, 16


def files(folder: Path) -> dict[str, bytes]:
    """All files but the provenance, which tells how long it took."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".parquet.json"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def importing(tmp_path: Path) -> Callable[[Path], object]:
    """Import of a file in shards of 6 kB, of which the index rows are the smaller part."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((N, DIM)))
    return lambda out: import_from(tmp_path / "x.npy", out, shard_rows=200)


@pytest.fixture
def selecting(tmp_path: Path) -> Callable[[Path], object]:
    """Selection from a store: centroids, sorted rows, cosines and the table."""
    store = generate(tmp_path / "store", N, DIM, 0, shard_rows=300)
    return lambda out: select(store, out, k=6, ratio=0.3, iterations=3, threads=1)


@pytest.mark.fault("full disk", "import or selection")
@pytest.mark.parametrize("size", [1, 100, 900, 3_000, 6_500, 12_000])
@pytest.mark.parametrize("stage", ["importing", "selecting"])
def test_a_full_disk_is_said_and_what_was_written_is_used(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, size: int
) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")  # bars would go to a file that pytest keeps, which is limited too
    run = request.getfixturevalue(stage)
    run(tmp_path / "whole")
    largest = max(map(len, files(tmp_path / "whole").values()))
    if size < largest:
        with files_up_to(size), pytest.raises(MedDELError, match=r"can't write: .*\(.*out") as caught:
            run(tmp_path / "out")
        assert "\n" not in str(caught.value)
        assert [name for name in files(tmp_path / "out") if name.endswith(".part")] == []
        assert not (tmp_path / "out" / "selection.parquet").exists()
    run(tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.mark.fault("full disk", "artefact")
def test_the_file_that_was_there_stays(tmp_path: Path) -> None:
    artefacts.write_text(tmp_path / "a.txt", "before")
    with files_up_to(10), pytest.raises(MedDELError, match=r"can't write.*a\.txt"):
        artefacts.write_text(tmp_path / "a.txt", "x" * 11)
    assert files(tmp_path) == {"a.txt": b"before"}
