"""Archives that are hostile, damaged or bombs: one clear line, nothing written outside the folder, nothing left."""

from __future__ import annotations

import contextlib
import gzip
import os
import stat
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datadel import destination
from datadel.destination import safe_name
from datadel.unpack import STAMP, unpack
from meddel.errors import MedDELError
from tests.datadel.archives_by_hand import Stored, pack, rar_of, tar_of, zip_of

UNIX, SPLIT_AFTER, ENCRYPTED = 3, 0x02, 0x04
LEADING_OUT = ["../x", "a/../../x", "/x", "\\x", "..\\..\\x", "a\\..\\..\\x", "C:\\x", "c:x", "a/.."]
TOO_LONG = ["n" * 256, "/".join(["n" * 200] * 6)]
NOISE = np.random.default_rng(0).bytes(40_000)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")


def unpacked(content: bytes, folder: Path) -> set[str]:
    """The names of the files that come out of an archive."""
    (folder / "archive").write_bytes(content)
    unpack(folder / "archive", folder / "out")
    files = (path for path in (folder / "out").rglob("*") if path.is_file() and path.name != STAMP)
    return {path.relative_to(folder / "out").as_posix() for path in files}


def refused(content: bytes, folder: Path, said: str) -> None:
    """Check that an archive is refused in one line, and that nothing is left of it, in the folder or above."""
    place = folder / "place"
    place.mkdir(exist_ok=True)
    (place / "archive").write_bytes(content)
    before = sorted(folder.rglob("*"))
    with pytest.raises(MedDELError, match=said) as caught:
        unpack(place / "archive", place / "out")
    assert "\n" not in str(caught.value) and caught.value.fix and str(place) in str(caught.value)
    assert sorted(folder.rglob("*")) == before


def tgz_of(*members: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    return tar_of(*members, compression="gz")


def rar_from(*members: tuple[str, bytes]) -> bytes:
    return rar_of(*(Stored(name.encode(), content, system=UNIX, attributes=0) for name, content in members))


@pytest.mark.parametrize("packed", [zip_of, tar_of, rar_from])
@pytest.mark.parametrize("name", [*LEADING_OUT, *TOO_LONG])
def test_names_that_lead_out_or_are_too_long(tmp_path: Path, packed: Callable[..., bytes], name: str) -> None:
    if packed is rar_from and len(name) > 1000:
        name = "n" * 300  # the library itself cuts longer ones
    said = f"the name of a member .*{name[-1]}'"
    refused(packed(("good.jpg", b"g"), (name, b"x")), tmp_path, said)
    refused(tar_of(("good.jpg", b"g"), ("in/a.zip", packed((name, b"x")))), tmp_path, f"archive: 'in/a.zip': .*|{said}")


def test_a_nul_in_a_name(tmp_path: Path) -> None:
    refused(zip_of(("good_jpg", b"x")).replace(b"good_jpg", b"good\0jpg"), tmp_path, "the name of a member")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_devices_and_pipes_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.type, info.linkname = kind, "../../secret"
    refused(tar_of((info, b""), ("a.jpg/x", b"x")), tmp_path, r"a link, a device or a pipe .*'a\.jpg'")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_devices_and_pipes_in_a_zip_or_rar(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("a.jpg")
    info.external_attr = (kind | 0o777) << 16
    refused(zip_of(("b.jpg", b"b"), (info, b"../../secret")), tmp_path, r"a link, a device or a pipe .*'a\.jpg'")
    if kind != stat.S_IFSOCK:
        bad = Stored(b"a.jpg", b"../../secret", 0, UNIX, kind | 0o777)
        refused(rar_of(Stored(b"b.jpg", b"b"), bad), tmp_path, r"a link, a device or a pipe .*'a\.jpg'")


@pytest.mark.parametrize("packed", [zip_of, tar_of, rar_from])
@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a", "./a"), ("a/b/c", "a\\b"), ("a/b", "a.zip")])
def test_names_that_clash(tmp_path: Path, packed: Callable[..., bytes], names: tuple[str, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        members = [(name, zip_of(("b", b"3")) if name.endswith(".zip") else b"1") for name in names]
        refused(packed(*members), tmp_path, "two members have the same name")


def test_names_that_differ_in_case_and_names_that_are_not_utf8(tmp_path: Path) -> None:
    old = zip_of(("caf__.jpg", b"1")).replace(b"caf__", "café".encode())
    for name, content, names in (
        ("case", zip_of(("a.jpg", b"1"), ("A.jpg", b"2")), {"a.jpg", "A.jpg"}),
        ("unmarked", old, {"café.jpg"}),
        ("old", old.replace("café".encode(), b"caf\x82_"), {"café_.jpg"}),
        ("tar", tar_of(("caf\udce9.jpg", b"1"), ("caf\udce8.jpg", b"1")), {"caf&#56553;.jpg", "caf&#56552;.jpg"}),
        ("long", tar_of(("/".join(["n" * 250] * 3), b"1")), {"/".join(["n" * 250] * 3)}),
    ):
        (tmp_path / name).mkdir()
        assert unpacked(content, tmp_path / name) == names


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(st.sampled_from("./\\aC:~\0é\n") | st.characters(codec="utf-8"), max_size=12), max_size=3))
def test_no_name_leads_out(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "a" / "b"
        folder.mkdir(parents=True)
        for number, name in enumerate(names):
            for packed in (zip_of, tar_of):
                content = packed((name if name.split("\0")[0] else "x", b"x"), (f"deeper/{name}", b"y"))
                (folder / "archive").write_bytes(content)
                with contextlib.suppress(MedDELError):
                    unpack(folder / "archive", folder / f"out{number}{packed.__name__}")
        assert all(name == "archive" or name.startswith("out") for name in os.listdir(folder))
        assert os.listdir(top) == ["a"] and os.listdir(Path(top) / "a") == ["b"]


@given(st.text(st.sampled_from("./\\:aC\udce9\0") | st.characters(), max_size=20))
def test_safe_names_stay_below_their_folder(name: str) -> None:
    with contextlib.suppress(MedDELError):
        safe = safe_name(name, "here")
        assert safe is None or (
            os.path.normpath(safe) == safe and not safe.startswith(("/", "..")) and "\0" not in safe
        )


@pytest.mark.parametrize("packed", [zip_of, tgz_of, rar_from])
def test_limits_on_bytes_members_and_ratio(
    tmp_path: Path, packed: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = packed(*((f"{number}.png", bytes(1_000_000)) for number in range(5)))
    for limits, said in (
        ({"MAX_BYTES": 3_000_000}, "unpacks to .*, more than 3,000,000 .*bomb"),
        ({"RATIO_FROM": 3_000_000, "MAX_RATIO": 0.1}, "unpacks to .*, more than 3,000,000"),
        ({"MAX_MEMBERS": 4}, "more than 4 members"),
    ):
        with monkeypatch.context() as patched:
            for name, value in limits.items():
                patched.setattr(destination, name, value)
            refused(content, tmp_path, said)
    assert len(unpacked(content, tmp_path)) == 5


def test_inner_archives_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "MAX_BYTES", 5_000_000)
    bomb = zip_of(*((f"{number}.zip", zip_of(("zeros", bytes(1_000_000)))) for number in range(10)))
    refused(bomb, tmp_path, "unpacks to .*, more than 5,000,000 .*'.*zip'")
    deep = zip_of(("x", b"x"))
    for _ in range(4):
        deep = zip_of(("in.zip", deep))
    refused(deep, tmp_path, "archives inside archives, more than 3 deep")


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    members, content = 300, zip_of(("a", bytes(1_000_000)))
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry = content[start:end]
    fields = struct.pack("<HHIIH", members, members, members * len(entry), start, 0)
    refused(content[:start] + entry * members + content[end : end + 8] + fields, tmp_path, "the members .* overlap")


def test_a_huge_declared_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tarfile.TarInfo("a.png")
    info.size = 10**15
    refused(info.tobuf() + bytes(1024), tmp_path, "unpacks to 1,000,000,000,000,000")
    monkeypatch.setattr(destination, "MAX_BYTES", 2**62)
    monkeypatch.setattr(destination, "RATIO_FROM", 2**62)
    refused(info.tobuf() + bytes(1024), tmp_path, "GB are needed and .* GB are free")


@pytest.mark.parametrize("declared", [0, 10, 100_000, 2**32 - 2])
def test_a_size_that_lies(tmp_path: Path, declared: int) -> None:
    content = zip_of(("a.png", bytes(50_000)))
    refused(content.replace(struct.pack("<I", 50_000), struct.pack("<I", declared)), tmp_path, "cut off or damaged")
    refused(rar_of(Stored(b"a", NOISE, said=declared)), tmp_path, "holds more than|damaged")


def test_a_header_as_long_as_the_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**32
    packer = zlib.compressobj(9, wbits=31)
    content = packer.compress(info.tobuf()) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(80))
    refused(content + packer.flush(), tmp_path, "far too long a header")


WHOLE = {name: pack(name, {"a.jpg": NOISE, "b.jpg": NOISE}) for name in (
    "x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.rar"
)}  # fmt: skip


@pytest.mark.parametrize("share", [0.0002, 0.02, 0.3, 0.5, 0.85])
@pytest.mark.parametrize("name", WHOLE)
def test_archives_that_are_cut_off(tmp_path: Path, name: str, share: float) -> None:
    content = WHOLE[name]
    refused(content[: max(12, int(share * len(content)))], tmp_path, "cut off or damaged|no zip, tar or RAR")
    refused(zip_of((f"in.{name}", content[:10_000])), tmp_path, "cut off or damaged .*; fetch it again")


def test_a_tar_that_ends_between_two_members_or_behind_the_last(tmp_path: Path) -> None:
    refused(WHOLE["x.tar"][: 512 + 40_448], tmp_path, "cut off or damaged")
    broken = bytearray(WHOLE["x.tar"])
    broken[512 + 40_448 + 5] ^= 1
    refused(bytes(broken), tmp_path, "cut off or damaged")
    refused(gzip.compress(WHOLE["x.tar"].ljust(1 << 17, b"\0"))[:-4], tmp_path, "cut off or damaged")


@pytest.mark.parametrize("name", sorted(WHOLE.keys() - {"x.tar"}))
def test_check_sums_that_do_not_hold(tmp_path: Path, name: str) -> None:
    broken = bytearray(WHOLE[name])
    broken[20_000] ^= 0xFF
    refused(bytes(broken), tmp_path, "cut off or damaged .*archive.*; fetch it again")


def test_encrypted_members_parts_and_unknown_methods(tmp_path: Path) -> None:
    content = bytearray(zip_of(("a.jpg", NOISE)))
    for place, offset in ((0, 6), (content.index(b"PK\x01\x02"), 8)):
        content[place + offset] |= 1
    refused(bytes(content), tmp_path, r"the archive is encrypted .*'a\.jpg'")
    refused(rar_of(Stored(b"b", bytes(16), ENCRYPTED)), tmp_path, "the archive is encrypted .*'b'")
    refused(rar_of(Stored(b"a", b"1", SPLIT_AFTER)), tmp_path, "one part of several")
    for offset, value in ((10, 9), (6, 200)):
        content = bytearray(zip_of(("a.jpg", NOISE)))
        content[content.index(b"PK\x01\x02") + offset] = value
        refused(bytes(content), tmp_path, "in a way that isn't read: .*; unpack it by hand")


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(sorted(WHOLE)), st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=3)
)
def test_bytes_that_changed_give_the_files_or_one_line(name: str, changes: list[tuple[float, int]]) -> None:
    content = bytearray(WHOLE[name])
    for share, change in changes:
        content[int(share * (len(content) - 1))] ^= change
    with tempfile.TemporaryDirectory() as top:
        try:
            unpacked(content, Path(top))
        except MedDELError:
            assert os.listdir(top) == ["archive"]
        else:
            assert sorted(os.listdir(top)) == ["archive", "out"]
