"""RAR archives, written here byte by byte and read by RARLAB's own library."""

from __future__ import annotations

import os
import signal
import stat
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datadel.unpacking.limits import Limits
from datadel.unpacking.sink import STAMP
from datadel.unpacking.unpack import unpack
from meddel.errors import MedDELError

LONG_BLOCK, PLAIN_FOLDER = 0x8000, 0xE0
SPLIT_AFTER, ENCRYPTED = 0x02, 0x04
WINDOWS, UNIX = 2, 3
NOISE = np.random.default_rng(0).bytes(3_000_000)


class Stored(NamedTuple):
    """A member of a RAR archive that is stored as it is; `said` bytes are declared instead of its size."""

    name: bytes
    content: bytes
    flags: int = 0
    system: int = UNIX
    attributes: int = stat.S_IFREG | 0o644
    said: int | None = None


def block(kind: int, flags: int, fields: bytes) -> bytes:
    head = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
    return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head


def rar_of(*members: Stored) -> bytes:
    """A RAR archive of format 4, its members stored."""
    blocks = [b"Rar!\x1a\x07\x00", block(0x73, 0, bytes(6))]
    for member in members:
        size = len(member.content) if member.said is None else member.said
        fields = struct.pack(
            "<IIBIIBBHI",
            len(member.content),
            size,
            member.system,
            zlib.crc32(member.content),
            0,
            20,
            0x30,
            len(member.name),
            member.attributes,
        )
        blocks += [block(0x74, LONG_BLOCK | member.flags, fields + member.name), member.content]
    return b"".join([*blocks, block(0x7B, 0x4000, b"")])


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")


def refused(content: bytes, folder: Path, said: str, limits: Limits | None = None) -> None:
    """Check that an archive is refused in one line, and that nothing is left of it, in the folder or above."""
    place = folder / "place"
    place.mkdir()
    (place / "x.rar").write_bytes(content)
    before = sorted(folder.rglob("*"))
    with pytest.raises(MedDELError, match=said) as caught:
        unpack(place / "x.rar", place / "out", **({} if limits is None else {"limits": limits}))
    assert "\n" not in str(caught.value) and caught.value.fix and "x.rar" in str(caught.value)
    assert sorted(folder.rglob("*")) == before


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its content, without the stamp."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != STAMP)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_what_was_packed_comes_out_and_an_inner_archive_becomes_a_folder(tmp_path: Path) -> None:
    inner = rar_of(Stored(b"c.jpg", b"c"))
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("b.jpg", b"b")
        archive.writestr("d.rar", inner)
    content = rar_of(
        Stored(b"images", b"", PLAIN_FOLDER, attributes=stat.S_IFDIR | 0o755),
        Stored(b"images/a.jpg", NOISE, attributes=stat.S_IFREG | 0o6777),
        Stored(b"windows\\b.jpg", b"b", system=WINDOWS, attributes=0x20),
        Stored(b"Thumbs.db", b"rubbish"),
        Stored(b"empty.txt", b""),
        Stored(b"in.zip", (tmp_path / "in.zip").read_bytes()),
    )
    (tmp_path / "x").write_bytes(content)
    written = unpack(tmp_path / "x", tmp_path / "out")
    assert tree(tmp_path / "out") == {
        "images/a.jpg": NOISE,
        "windows/b.jpg": b"b",
        "empty.txt": b"",
        "in/b.jpg": b"b",
        "in/d/c.jpg": b"c",
    }
    assert {oct(path.stat().st_mode & 0o7111) for path in written} == {"0o0"}


def test_only_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(rar_of(*(Stored(b"%d.%s" % (n, s), NOISE) for n in range(3) for s in (b"a", b"b"))))
    unpack(tmp_path / "x", tmp_path / "out", wanted=lambda name: name.endswith(".b"))
    assert tree(tmp_path / "out") == {f"{number}.b": NOISE for number in range(3)}


@pytest.mark.parametrize("name", [b"..\\..\\x", b"../../x", b"a/../../x", b"/x", b"C:\\x", b"n" * 300])
@pytest.mark.parametrize("system", [WINDOWS, UNIX])
def test_names_that_lead_out_or_are_too_long(tmp_path: Path, name: bytes, system: int) -> None:
    content = rar_of(Stored(b"good.jpg", b"g"), Stored(name, b"x", system=system))
    refused(content, tmp_path, "the name of a member .*[xn]'")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_devices_and_pipes(tmp_path: Path, kind: int) -> None:
    content = rar_of(Stored(b"good.jpg", b"g"), Stored(b"bad", b"../../secret", attributes=kind | 0o777))
    refused(content, tmp_path, "a link, a device or a pipe .*'bad'")


def test_names_that_clash_passwords_and_parts(tmp_path: Path) -> None:
    for number, (members, said) in enumerate(
        [
            ((Stored(b"a", b"1"), Stored(b"a/b", b"2")), "two members have the same name"),
            ((Stored(b"a", b"1"), Stored(b"b", bytes(16), ENCRYPTED)), "the archive is encrypted .*'b'"),
            ((Stored(b"a", b"1", SPLIT_AFTER),), "one part of several"),
        ]
    ):
        (tmp_path / str(number)).mkdir()
        refused(rar_of(*members), tmp_path / str(number), said)


def test_limits(tmp_path: Path) -> None:
    content = rar_of(*(Stored(b"%d" % number, NOISE) for number in range(3)))
    for number, (limits, said) in enumerate(
        [(Limits(unpacked=8_000_000), "unpacks to .*more than 8,000,000"), (Limits(members=2), "more than 2 members")]
    ):
        (tmp_path / str(number)).mkdir()
        refused(content, tmp_path / str(number), said, limits)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (0, "holds more than|damaged"),
        (10, "holds more than|damaged"),
        (4_000_000, "damaged"),
        (2**32 - 1, "unpacks to"),
    ],
)
def test_a_size_that_lies(tmp_path: Path, declared: int, said: str) -> None:
    refused(rar_of(Stored(b"a", NOISE, said=declared)), tmp_path, said)


@pytest.mark.parametrize("cut", [10, 25, 60, 1_000_000, 3_000_040, 3_000_060, 5_000_000])
def test_archives_that_are_cut_off(tmp_path: Path, cut: int) -> None:
    refused(rar_of(Stored(b"a.jpg", NOISE), Stored(b"b.jpg", NOISE))[:cut], tmp_path, "cut off or damaged .*; fetch it")


def test_a_check_sum_that_does_not_hold(tmp_path: Path) -> None:
    content = bytearray(rar_of(Stored(b"a.jpg", NOISE), Stored(b"b.jpg", NOISE)))
    content[4_000_000] ^= 1
    refused(bytes(content), tmp_path, "cut off or damaged .*; fetch it again")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 230), st.integers(1, 255)), min_size=1, max_size=3))
def test_bytes_that_changed_give_the_files_or_one_line(tmp_path_factory: pytest.TempPathFactory, changes: list) -> None:
    top = tmp_path_factory.mktemp("changed")
    content = bytearray(rar_of(*(Stored(b"a/%d.jpg" % number, b"%d" % number * 20) for number in range(4))))
    for place, change in changes:
        content[place] ^= change
    (top / "archive").write_bytes(content)
    try:
        written = unpack(top / "archive", top / "out")
    except MedDELError:
        assert os.listdir(top) == ["archive"]
    else:
        assert set(tree(top)) == {"archive", *(path.relative_to(top).as_posix() for path in written)}


def test_interrupted_it_leaves_nothing_and_then_completes(tmp_path: Path) -> None:
    content = rar_of(*(Stored(b"%d.jpg" % number, NOISE) for number in range(60)))
    (tmp_path / "x.rar").write_bytes(content)
    script = "import sys; from datadel.unpacking.unpack import unpack; unpack(*sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "x.rar", tmp_path / "out"], stderr=subprocess.PIPE
    )
    while not list(tmp_path.glob(".out.part/tree/*")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode != 0 and b"KeyboardInterrupt" in said
    assert os.listdir(tmp_path) == ["x.rar"]
    assert len(unpack(tmp_path / "x.rar", tmp_path / "out")) == 60
