"""Archives of every kind are unpacked whole or not at all, and once."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from datadel.unpack import STAMP, unpack
from meddel.errors import MedDELError
from tests.datadel.archives_by_hand import Stored, pack, rar_of
from tests.full_disk import files_up_to

FILES = {
    "images/a.jpg": np.random.default_rng(0).bytes(3_000_000),
    "images/u ber/b.jpg": b"b" * 1000,
    "masks/a.png": bytes(2_000_000),
    "empty.txt": b"",
}
KINDS = ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz", "x.rar"]
SCRIPT = "import sys; from pathlib import Path; from datadel.unpack import unpack; unpack(*map(Path, sys.argv[1:]))"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its content, without the stamp."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != STAMP)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", KINDS)
def test_what_was_packed_comes_out_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    unpack(written(tmp_path / "named.wrongly", pack(name, FILES)), out := tmp_path / "deep" / "out")
    assert tree(out) == FILES
    assert {path.stat().st_mode & 0o7111 for path in out.rglob("*") if path.is_file()} == {0}, "no setuid, no running"
    assert os.listdir(tmp_path / "deep") == ["out"]


def test_a_zip_of_another_language_keeps_its_names(tmp_path: Path) -> None:
    unpack(written(tmp_path / "x", pack("x.zip", {"ü/é.jpg": b"1"})), tmp_path / "out")
    assert tree(tmp_path / "out") == {"ü/é.jpg": b"1"}


def test_a_rar_made_on_unix_has_folders_and_modes(tmp_path: Path) -> None:
    content = rar_of(
        Stored(b"images", b"", 0xE0, 3, stat.S_IFDIR | 0o755),
        Stored(b"images/a.jpg", b"a", 0, 3, stat.S_IFREG | 0o6777),
    )
    unpack(written(tmp_path / "x", content), tmp_path / "out")
    assert tree(tmp_path / "out") == {"images/a.jpg": b"a"}
    assert (tmp_path / "out" / "images" / "a.jpg").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize("outer", ["x.zip", "x.tar.gz", "x.rar"])
@pytest.mark.parametrize("inner", ["part.1.zip", "part.1.tar.gz", "part.1.TGZ", "part.1.rar"])
def test_archives_inside_archives_become_folders(tmp_path: Path, outer: str, inner: str) -> None:
    middle = pack(inner.lower(), {"b.jpg": b"b", "more/most.tar": {"c.jpg": b"c"}})
    content = pack(outer, {"a.jpg": b"a", f"set/{inner}": middle, "set/a.jpg": b"aa"})
    unpack(written(tmp_path / outer, content), tmp_path / "out")
    expected = {"a.jpg": b"a", "set/a.jpg": b"aa", "set/part.1/b.jpg": b"b", "set/part.1/more/most/c.jpg": b"c"}
    assert tree(tmp_path / "out") == expected


def test_zips_that_are_data_and_files_named_like_archives_stay(tmp_path: Path) -> None:
    data = pack("x.zip", {"x.npy": b"1"})
    files = {"a/x.npz": data, "a/x.docx": data, "a/page.zip": b"<html>", ".zip": b"PK", "a/...zip": data}
    unpack(written(tmp_path / "x.zip", pack("x.zip", files)), tmp_path / "out")
    assert tree(tmp_path / "out") == files


@pytest.mark.parametrize("outer", ["x.zip", "x.tar"])
def test_what_systems_leave_behind_is_passed_over(tmp_path: Path, outer: str) -> None:
    rubbish = ("__MACOSX/a.jpg", "b/.DS_Store", "b/Thumbs.db", "b/._a.jpg")
    files = {"./b//a.jpg": b"a"} | dict.fromkeys(rubbish, b"rubbish")
    unpack(written(tmp_path / outer, pack(outer, files)), tmp_path / "out")
    assert tree(tmp_path / "out") == {"b/a.jpg": b"a"}


def test_a_finished_folder_is_recognised_until_the_archive_changes(tmp_path: Path) -> None:
    archive, out = written(tmp_path / "x.zip", pack("x.zip", FILES)), tmp_path / "out"
    unpack(archive, out)
    (out / "made later.csv").write_text("mine")
    unpack(archive, out)
    assert (out / "made later.csv").exists()
    written(archive, pack("x.zip", {name: content[::-1] for name, content in FILES.items()}))
    unpack(archive, out)
    assert tree(out) == {name: content[::-1] for name, content in FILES.items()}


def test_a_member_of_a_tar_may_be_longer_than_any_header(tmp_path: Path) -> None:
    files = {"long": bytes(70 << 20), "._long": bytes(70 << 20), "short": b""}
    unpack(written(tmp_path / "x.tgz", pack("x.tgz", files)), tmp_path / "out")
    assert sorted(tree(tmp_path / "out")) == ["long", "short"]


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    archive = written(tmp_path / "x.zip", pack("x.zip", FILES))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(MedDELError, match=r"the folder holds something else .*out.*; move it away or give another"):
        unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"mine": b"mine"}


@pytest.mark.parametrize(("content", "said"), [(None, "can't read the archive: No such"), (b"<html>", "no zip, tar")])
def test_no_archive(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(MedDELError, match=said):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.rar"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, name: str) -> None:
    archive = written(tmp_path / name, pack(name, FILES))
    with files_up_to(1_500_000), pytest.raises(MedDELError, match=r"can't unpack: File too large .*; free some space"):
        unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == [name]
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == FILES


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_free_space_is_looked_at_first(tmp_path: Path, name: str) -> None:
    archive, small = written(tmp_path / name, pack(name, FILES)), tmp_path / "small"
    small.mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    mount = f"mount -t tmpfs -o size=1m none {small}"
    if not shutil.which("unshare") or subprocess.run([*unshare, mount], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk of their own (unshare --user --mount)")
    command = [*unshare, f'{mount}\n"$@" || ls -A {small}', "sh", sys.executable, "-c", SCRIPT, archive, small / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert " GB are needed and 0.00 GB are free" in done.stderr
    assert done.stdout == "", "nothing is left on the disk"


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.rar"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_it_leaves_no_folder_and_then_completes(tmp_path: Path, name: str, how: signal.Signals) -> None:
    archive = written(tmp_path / name, pack(name, {f"{number}.jpg": bytes(2_000_000) for number in range(100)}))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, archive, tmp_path / "out"], stderr=subprocess.PIPE)
    while not list(tmp_path.glob(".out.part/*")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(how)
    _, said = process.communicate()
    assert process.returncode != 0 and (how == signal.SIGKILL or b"KeyboardInterrupt" in said)
    assert sorted(os.listdir(tmp_path)) == ([".out.part", name] if how == signal.SIGKILL else [name])
    unpack(archive, tmp_path / "out")
    assert len(tree(tmp_path / "out")) == 100 and sorted(os.listdir(tmp_path)) == ["out", name]
