"""Archives of every kind are unpacked whole or not at all, once, and only what is wanted."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from datadel.unpacking.sink import STAMP, Place, Receiver, Stopped
from datadel.unpacking.unpack import unpack
from meddel.errors import MedDELError
from meddel.progress import progress
from tests.full_disk import files_up_to

FILES = {
    "images/a.jpg": np.random.default_rng(0).bytes(3_000_000),
    "images/ü ber/b.jpg": b"b" * 1000,
    "masks/a.png": bytes(2_000_000),
    "empty.txt": b"",
}
KINDS = ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz"]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")


def pack(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write an archive of the kind that the suffix names."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    compression = {".tar": "", ".tgz": "gz"}.get(path.suffix, path.suffix[1:])
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o6755
            archive.addfile(info, io.BytesIO(content))
    return path


def packed(suffix: str, files: Mapping[str, bytes], folder: Path) -> bytes:
    path = pack(folder / f"packed{suffix}", files)
    content = path.read_bytes()
    path.unlink()
    return content


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its content, without the stamp."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != STAMP)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", KINDS)
def test_what_was_packed_comes_out(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / name, FILES)
    archive = archive.rename(tmp_path / "named.wrongly")
    written = unpack(archive, tmp_path / "deep" / "out")
    assert written == [tmp_path / "deep" / "out" / name for name in sorted(FILES)]
    assert tree(tmp_path / "deep" / "out") == FILES
    assert {oct(path.stat().st_mode & 0o7111) for path in written} == {"0o0"}, "neither setuid nor for running"
    assert sorted(os.listdir(tmp_path / "deep")) == ["out"]


@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", [".zip", ".tar.gz", ".TGZ"])
def test_archives_inside_archives_become_folders(tmp_path: Path, outer: str, inner: str) -> None:
    innermost = packed(".tar", {"c.jpg": b"c"}, tmp_path)
    middle = packed(inner.lower(), {"b.jpg": b"b", "more/most.tar": innermost}, tmp_path)
    archive = pack(tmp_path / outer, {"a.jpg": b"a", f"set/part.1{inner}": middle, "set/a.jpg": b"aa"})
    unpack(archive, tmp_path / "out")
    expected = {"a.jpg": b"a", "set/a.jpg": b"aa", "set/part.1/b.jpg": b"b", "set/part.1/more/most/c.jpg": b"c"}
    assert tree(tmp_path / "out") == expected
    assert not list((tmp_path / "out").rglob(f"*{inner}"))


@pytest.mark.parametrize("outer", ["x.zip", "x.tar"])
def test_zips_that_are_data_and_files_named_like_archives_stay(tmp_path: Path, outer: str) -> None:
    data = packed(".zip", {"x.npy": b"1"}, tmp_path)
    files = {"a/x.npz": data, "a/x.docx": data, "a/page.zip": b"<html>", ".zip": b"PK", "a/...zip": data}
    assert unpack(pack(tmp_path / outer, files), tmp_path / "out")
    assert tree(tmp_path / "out") == files


@pytest.mark.parametrize("outer", ["x.zip", "x.tar"])
def test_what_systems_leave_behind_is_passed_over(tmp_path: Path, outer: str) -> None:
    rubbish = ("__MACOSX/a.jpg", "b/.DS_Store", "b/Thumbs.db", "b/._a.jpg", f"{STAMP}", f"{STAMP}.zip")
    empty = packed(".zip", {"x": b"x"}, tmp_path)
    files = {name: empty if name.endswith(".zip") else b"rubbish" for name in rubbish}
    archive = pack(tmp_path / outer, {"./b//a.jpg": b"a", **files})
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"b/a.jpg": b"a"}
    assert b"rubbish" not in (tmp_path / "out" / STAMP).read_bytes()


def test_only_what_is_wanted_is_written_and_other_wishes_are_unpacked_anew(tmp_path: Path) -> None:
    inner = packed(".tar.gz", {"c.jpg": b"c", "c.txt": b"t"}, tmp_path)
    archive = pack(tmp_path / "x.zip", {"a.jpg": b"a", "a.txt": b"t", "in.tar.gz": inner, "no.zip": b"no archive"})
    asked: list[str] = []

    def pictures(name: str) -> bool:
        asked.append(name)
        return name.endswith(".jpg")

    unpack(archive, tmp_path / "out", wanted=pictures)
    assert sorted(asked) == ["a.jpg", "a.txt", "in/c.jpg", "in/c.txt", "no.zip"]
    assert tree(tmp_path / "out") == {"a.jpg": b"a", "in/c.jpg": b"c"}
    before = (tmp_path / "out" / "a.jpg").stat().st_ino
    unpack(archive, tmp_path / "out", wanted=lambda name: Path(name).suffix == ".jpg")
    assert (tmp_path / "out" / "a.jpg").stat().st_ino == before
    for wanted, files in ((lambda name: True, 5), (pictures, 2), (None, 5)):
        unpack(archive, tmp_path / "out", wanted=wanted)
        assert len(tree(tmp_path / "out")) == files


def test_a_finished_folder_is_recognised_until_archive_or_files_change(tmp_path: Path) -> None:
    archive, out = pack(tmp_path / "x.zip", FILES), tmp_path / "out"

    def anew(sha256: str | None = None) -> bool:
        before = (out / "empty.txt").stat().st_ino if (out / "empty.txt").exists() else None
        (tmp_path / "keep").hardlink_to(out / "empty.txt") if before else None  # its inode is not given away
        unpack(archive, out, sha256=sha256)
        (tmp_path / "keep").unlink(missing_ok=True)
        return (out / "empty.txt").stat().st_ino != before

    assert anew() and not anew()
    (out / "made later.csv").write_text("mine")
    assert not anew("0" * 64)
    (out / "images" / "a.jpg").write_bytes(b"shorter")
    assert anew("0" * 64) and not anew() and not anew("0" * 64) and anew("1" * 64)
    assert tree(out) == FILES
    (out / "empty.txt").unlink()
    assert anew() and not anew()
    pack(archive, {name: content[::-1] for name, content in FILES.items()})
    assert anew() and not anew()
    assert tree(out) == {name: content[::-1] for name, content in FILES.items()}
    (out / STAMP).write_text("{}")
    assert anew()


@pytest.mark.parametrize("wanted", [None, lambda name: False])
def test_a_member_of_a_tar_may_be_longer_than_any_header(tmp_path: Path, wanted: Callable[[str], bool] | None) -> None:
    archive = pack(tmp_path / "x.tgz", {"long": bytes(70 << 20), "short": b""})
    assert len(unpack(archive, tmp_path / "out", wanted=wanted)) == (2 if wanted is None else 0)


def test_a_file_takes_no_more_than_was_declared_and_nothing_once_stopped(tmp_path: Path) -> None:
    stop, place = threading.Event(), Place(tmp_path / "a", "a", 3, "x.zip: 'a'", None)
    with pytest.raises(MedDELError, match="holds more than the 3 bytes"), Receiver(place, stop) as put:
        put(b"1234")
    assert (tmp_path / "a").read_bytes() == b""
    stop.set()
    with pytest.raises(Stopped), Receiver(place._replace(path=tmp_path / "b"), stop) as put:
        put(b"1")


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.zip", FILES)
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


@pytest.mark.parametrize("name", KINDS)
def test_a_full_disk_leaves_nothing(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / name, FILES)
    with files_up_to(1_500_000), pytest.raises(MedDELError, match=r"can't write: File too large .*; free some space"):
        unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == [name]
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == FILES


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_free_space_is_looked_at_first(tmp_path: Path, name: str) -> None:
    archive, small = pack(tmp_path / name, FILES), tmp_path / "small"
    small.mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    mount = f"mount -t tmpfs -o size=1m none {small}"
    if not shutil.which("unshare") or subprocess.run([*unshare, mount], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk of their own (unshare --user --mount)")
    script = "import sys; from datadel.unpacking.unpack import unpack; unpack(*sys.argv[1:])"
    python = [sys.executable, "-c", script, archive, small / "out"]
    command = [*unshare, f'{mount}\n"$@" || ls -A {small}', "sh", *python]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "MedDELError: unpacking needs " in done.stderr and " bytes, the disk has 1,0" in done.stderr
    assert done.stdout == "", "nothing is left on the disk"


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_interrupted_it_leaves_nothing_and_then_completes(tmp_path: Path, name: str) -> None:
    files = {f"{number}.jpg": bytes(2_000_000) for number in range(100)}
    archive = pack(tmp_path / name, files)
    script = "import sys; from datadel.unpacking.unpack import unpack; unpack(*sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", script, archive, tmp_path / "out"], stderr=subprocess.PIPE)
    while not list(tmp_path.glob(".out.part/tree/*")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode != 0 and b"KeyboardInterrupt" in said
    assert os.listdir(tmp_path) == [name]
    assert len(unpack(archive, tmp_path / "out")) == 100


def test_what_a_killed_process_left_is_cleared_and_a_living_one_is_not_disturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(tmp_path / "x.zip", FILES)
    (tmp_path / ".out.part" / "tree").mkdir(parents=True)
    (tmp_path / ".out.part" / "tree" / "half.jpg").write_bytes(b"half")
    second: list[str] = []

    def wanted(name: str) -> bool:
        if not second:
            second.append("")
            with pytest.raises(MedDELError) as refused:
                unpack(archive, tmp_path / "out")
            second[0] = refused.value.what
        return True

    unpack(archive, tmp_path / "out", wanted=wanted)
    assert second == ["another process is unpacking here"]
    assert tree(tmp_path / "out") == FILES
    assert sorted(os.listdir(tmp_path)) == ["out", "x.zip"]


def test_the_bar_reaches_the_size_of_all_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = packed(".zip", FILES, tmp_path)
    archive = pack(tmp_path / "x.tar", {"in.zip": inner})
    bars = []
    monkeypatch.setenv("MEDDEL_PROGRESS", str(tmp_path / "bar"))
    monkeypatch.setattr("datadel.unpacking.unpack.progress", lambda **given: bars.append(progress(**given)) or bars[-1])
    unpack(archive, tmp_path / "out")
    assert bars[0].n == bars[0].total == archive.stat().st_size + len(inner)
    assert "unpack x.tar" in (tmp_path / "bar").read_text()
