"""Artefacts are whole or absent, the same for the same input, and finished only with their provenance."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from meddel import __version__, artefacts
from meddel.config import EncoderConfig
from meddel.errors import MedDELError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_error_is_one_line_with_place_and_advice() -> None:
    error = MedDELError("no\nimages", Path("a/b"), "add some")
    assert str(error) == "no images (a/b); add some"
    assert (error.what, error.where, error.fix) == ("no\nimages", "a/b", "add some")
    assert str(MedDELError("no images")) == "no images"


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    artefacts.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError), artefacts.atomic_write(path, "w") as stream:
        stream.write("new" * 100_000 + "\ud800")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_file_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with artefacts.atomic_write(path, "w") as stream:
        stream.write("é")
        assert not path.exists()
    assert path.read_bytes() == "é".encode()
    reference = tmp_path / "plain"
    reference.touch()
    assert path.stat().st_mode == reference.stat().st_mode


def test_arrays_tables_and_json_come_back(tmp_path: Path) -> None:
    table, array = pa.table({"a": [1, None], "b": ["x", "y"]}), np.arange(6, dtype=np.float16).reshape(2, 3)
    artefacts.write_table(tmp_path / "t.parquet", table)
    artefacts.write_array(tmp_path / "a.npy", array)
    artefacts.write_json(tmp_path / "j.json", {"b": 1, "a": Path("x")})
    assert pq.read_table(tmp_path / "t.parquet").equals(table)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)
    assert (tmp_path / "j.json").read_text() == '{\n "a": "x",\n "b": 1\n}\n'


def test_a_file_where_the_folder_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    path = tmp_path / "file" / "a.txt"
    for write in (lambda: artefacts.write_text(path, "x"), lambda: recorded(path)):
        with pytest.raises(MedDELError, match=r"can't write: .* give another --out folder"):
            write()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    code = """
import resource, sys
import numpy as np, pyarrow as pa
from pathlib import Path
from meddel import artefacts
from meddel.errors import MedDELError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
array = np.random.default_rng(0).random(10_000)
for write, name, content in [
    (artefacts.write_array, "a.npy", array), (artefacts.write_bytes, "a.bin", array.tobytes()),
    (artefacts.write_table, "a.parquet", pa.table({"a": array})), (artefacts.write_json, "a.json", array.tolist()),
]:
    try:
        write(Path(sys.argv[1]) / name, content)
    except MedDELError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert [line.startswith("can't write: ") for line in done.stdout.splitlines()] == [True] * 4
    assert names(tmp_path) == []


def test_hashes_tell_values_shapes_types_and_borders_apart() -> None:
    zeros = np.zeros((2, 3), np.float32)
    different = [
        (zeros,), (zeros.T,), (zeros.astype(np.int32),), (zeros.ravel(),), (b"ab", b"c"), (b"a", b"bc"), (["ab"],),
        ({"a": 1},), ({"a": 2},), (None,), (EncoderConfig(),), (EncoderConfig(depth=3),),
    ]  # fmt: skip
    assert len({artefacts.hash_of(*parts) for parts in different}) == len(different)
    assert artefacts.hash_of({"a": 1, "b": 2}) == artefacts.hash_of({"b": 2, "a": 1})
    assert artefacts.hash_of(zeros[:, ::-1]) == artefacts.hash_of(zeros)
    assert artefacts.hash_of(EncoderConfig()) == artefacts.hash_of(EncoderConfig().model_dump(mode="json"))


def test_a_listing_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    found = {artefacts.hash_of_listing(tmp_path)}
    path = tmp_path / "sub" / "a"
    path.write_text("1")
    found.add(artefacts.hash_of_listing(tmp_path))
    os.utime(path, (1, 1))
    found.add(artefacts.hash_of_listing(tmp_path))
    assert artefacts.hash_of_listing(tmp_path) in found
    path.rename(tmp_path / "a")
    found.add(artefacts.hash_of_listing(tmp_path))
    assert len(found) == 4


def recorded(path: Path, key: str = "key", fail: bool = False) -> None:
    with artefacts.recorded(path, key, parameters=EncoderConfig(depth=2), seed=3, data_hash="d", device="cpu"):
        artefacts.write_text(path, "content")
        if fail:
            raise KeyboardInterrupt


def test_provenance_says_where_an_artefact_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    recorded(path)
    found = artefacts.read_provenance(path)
    assert (found.key, found.version, found.seed, found.data_hash, found.device) == ("key", __version__, 3, "d", "cpu")
    assert found.parameters == EncoderConfig(depth=2).model_dump()
    assert found.seconds >= 0
    assert found.peak_memory_bytes > 2**20
    assert (found.joules is None) == (found.joules_by is None) == (found.joules_absent is not None)
    assert found.machine.endswith("cores")
    assert set(json.loads((tmp_path / "a.txt.json").read_text())) >= {"commit", "version", "key"}


def test_provenance_without_the_newer_costs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    recorded(path)
    record = artefacts.provenance_path(path)
    kept = {
        name: value
        for name, value in json.loads(record.read_text()).items()
        if not name.startswith(("joules", "gpu_", "scratch_", "memory_")) and name != "peak_memory_of"
    }
    record.write_text(json.dumps(kept))
    found = artefacts.read_provenance(path)
    assert (found.joules, found.joules_by, found.gpu_memory_bytes, found.scratch_bytes) == (None,) * 4
    assert found.peak_memory_of == "process", "an old peak is that of the process so far"
    assert artefacts.is_finished(path, "key")


def test_only_what_was_finished_for_this_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert not artefacts.is_finished(path, "key")
    recorded(path)
    assert artefacts.is_finished(path, "key")
    assert not artefacts.is_finished(path, "other")
    with pytest.raises(KeyboardInterrupt):
        recorded(path, fail=True)
    assert path.exists()
    assert not artefacts.is_finished(path, "key")
    recorded(path)
    artefacts.provenance_path(path).write_text("{")
    assert not artefacts.is_finished(path, "key")
    recorded(path)
    path.unlink()
    assert not artefacts.is_finished(path, "key")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_library_not_of_a_project_around_it(tmp_path: Path) -> None:
    shutil.copytree(Path(artefacts.__file__).parent, tmp_path / "meddel", ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(tmp_path)]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run([*git, *arguments], check=True)
    code = "from meddel import artefacts; print(artefacts.__file__, artefacts.commit())"

    def said() -> list[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert said() == [str(tmp_path / "meddel" / "artefacts.py"), "unknown"]
    for arguments in (["add", "meddel"], ["commit", "-q", "-m", "ours"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert said()[1] == head
    (tmp_path / "meddel" / "errors.py").write_text("# changed\n" + (tmp_path / "meddel" / "errors.py").read_text())
    assert said()[1] == f"{head}+changes"


def test_a_file_gets_a_second_name_or_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").write_bytes(b"before")
    artefacts.link_or_copy(tmp_path / "a", tmp_path / "b")
    artefacts.link_or_copy(tmp_path / "a", tmp_path / "new" / "c")
    assert all(path.samefile(tmp_path / "a") for path in (tmp_path / "b", tmp_path / "new" / "c"))

    def refused(*_: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", refused)
    artefacts.link_or_copy(tmp_path / "a", tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == b"content" and not (tmp_path / "d").samefile(tmp_path / "a")
    with pytest.raises(MedDELError, match="can't write"):
        artefacts.link_or_copy(tmp_path / "none", tmp_path / "e")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "d", "new"]
