"""Archives that are hostile, damaged or bombs: one clear line, nothing written outside the folder, nothing left."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datadel.unpacking.limits import Limits
from datadel.unpacking.names import clean
from datadel.unpacking.sink import STAMP
from datadel.unpacking.unpack import unpack
from meddel.errors import MedDELError

LEADING_OUT = ["../x", "a/../../x", "/x", "//x", "\\x", "..\\..\\x", "a\\..\\..\\x", "C:\\x", "c:x", "C:/x", "a/.."]
LONG = ["n" * 256, "/".join(["n" * 200] * 6)]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")


def zip_of(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return content.getvalue()


def tar_of(*members: tuple[str | tarfile.TarInfo, bytes], compression: str = "") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=f"w:{compression}") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def tgz_of(*members: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    return tar_of(*members, compression="gz")


def refused(content: bytes, folder: Path, said: str, limits: Limits | None = None) -> None:
    """Check that an archive is refused in one line, and that nothing is left of it, in the folder or above."""
    place = folder / "place"
    place.mkdir(exist_ok=True)
    (place / "archive").write_bytes(content)
    before = sorted(folder.rglob("*"))
    with pytest.raises(MedDELError, match=said) as caught:
        unpack(place / "archive", place / "out", **({} if limits is None else {"limits": limits}))
    assert "\n" not in str(caught.value) and caught.value.fix and str(place) in str(caught.value)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("pack", [zip_of, tar_of, tgz_of])
@pytest.mark.parametrize("name", [*LEADING_OUT, *LONG])
def test_names_that_lead_out_or_are_too_long(tmp_path: Path, pack: Callable[..., bytes], name: str) -> None:
    refused(pack(("good.jpg", b"g"), (name, b"x")), tmp_path, f"the name of a member .*{name[-1]}'")


@pytest.mark.parametrize("name", LEADING_OUT)
def test_names_that_lead_out_of_an_inner_archive(tmp_path: Path, name: str) -> None:
    inner = zip_of((name, b"x"))
    refused(tar_of(("good.jpg", b"g"), ("in/a.zip", inner)), tmp_path, r"the name of a member .*archive: 'in/a.zip': ")


def test_a_nul_in_a_name(tmp_path: Path) -> None:
    refused(zip_of(("good_jpg", b"x")).replace(b"good_jpg", b"good\0jpg"), tmp_path, "holds a NUL")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_devices_and_pipes_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.type, info.linkname = kind, "../../secret"
    refused(tar_of((info, b""), ("a.jpg/x", b"x")), tmp_path, r"a link, a device or a pipe .*'a\.jpg'")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_devices_and_pipes_in_a_zip(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("a.jpg")
    info.external_attr = (kind | 0o777) << 16
    refused(zip_of(("b.jpg", b"b"), (info, b"../../secret")), tmp_path, r"a link, a device or a pipe .*'a\.jpg'")


@pytest.mark.parametrize("pack", [zip_of, tar_of])
@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a", "./a"), ("a/b/c", "a\\b"), ("a/b", "a.zip")])
def test_names_that_clash(tmp_path: Path, pack: Callable[..., bytes], names: tuple[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        inner = zip_of(("b", b"3"))
        members = [(name, inner if name.endswith(".zip") else b"1") for name in names]
        refused(pack(*members), tmp_path, "two members have the same name")


def test_names_that_differ_in_case_and_names_that_are_not_utf8(tmp_path: Path) -> None:
    old = zip_of(("caf__.jpg", b"1")).replace(b"caf__", "café".encode())
    archives = {
        "case": (zip_of(("a.jpg", b"1"), ("A.jpg", b"2")), {"a.jpg", "A.jpg"}),
        "unmarked": (old, {"café.jpg"}),
        "old": (old.replace("café".encode(), b"caf\x82_"), {"café_.jpg"}),
        "tar": (tar_of(("caf\udce9.jpg", b"1")), {"café.jpg"}),
        "long": (tar_of(("/".join(["n" * 250] * 3), b"1")), {"n" * 250}),
    }
    for name, (content, names) in archives.items():
        (tmp_path / name).write_bytes(content)
        assert {path.name[:250] for path in unpack(tmp_path / name, tmp_path / f"{name}.out")} == names
    assert len(list((tmp_path / "case.out").iterdir())) == 3


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(st.sampled_from("./\\aC:~\0é\n") | st.characters(codec="utf-8"), max_size=12), max_size=3))
def test_no_name_leads_out(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "a" / "b"
        folder.mkdir(parents=True)
        for number, name in enumerate(names):
            for pack in (zip_of, tar_of):
                (folder / "archive").write_bytes(
                    pack((name if name.split("\0")[0] else "x", b"x"), (f"deeper/{name}", b"y"))
                )
                with contextlib.suppress(MedDELError):
                    written = unpack(folder / "archive", folder / f"out{number}{pack.__name__}")
                    assert all(path.resolve().is_relative_to(folder) for path in written)
        found = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
        assert all(name == "archive" or name.startswith("out") for name in found)
        assert os.listdir(top) == ["a"] and os.listdir(Path(top) / "a") == ["b"]


@given(st.text(st.sampled_from("./\\:aC\udce9\0") | st.characters(), max_size=20))
def test_cleaned_names_stay_below_their_folder(name: str) -> None:
    try:
        cleaned = clean(name, "here")
    except MedDELError:
        return
    if cleaned is not None:
        assert os.path.normpath(cleaned) == cleaned and not cleaned.startswith(("/", "..")) and "\0" not in cleaned


def quoted_zip(members: int, size: int) -> bytes:
    """A zip whose members all are the same packed bytes, as in David Fifield's bombs."""
    content = zip_of(("a", bytes(size)))
    end = content.index(b"PK\x05\x06")
    start = content.index(b"PK\x01\x02")
    entry = content[start:end]
    fields = struct.pack("<HHIIH", members, members, members * len(entry), start, 0)
    return content[:start] + entry * members + content[end : end + 8] + fields


@pytest.mark.parametrize("pack", [zip_of, tgz_of])
def test_limits_on_bytes_members_and_ratio(tmp_path: Path, pack: Callable[..., bytes]) -> None:
    content = pack(*((f"{number}.png", bytes(1_000_000)) for number in range(5)))
    refused(content, tmp_path, "unpacks to .*, more than 3,000,000 .*if it is no bomb", Limits(unpacked=3_000_000))
    refused(content, tmp_path, "unpacks to .*, more than ", Limits(ratio_from=3_000_000))
    refused(content, tmp_path, "more than 4 members", Limits(members=4))
    (tmp_path / "masks").write_bytes(content)
    for limits in (Limits(), Limits(ratio_from=1, ratio=2000), Limits(members=5)):
        assert len(unpack(tmp_path / "masks", tmp_path / "out", limits=limits)) == 5


def test_inner_archives_count_too(tmp_path: Path) -> None:
    innermost = zip_of(("zeros", bytes(1_000_000)))
    bomb = zip_of(*((f"{number}.zip", innermost) for number in range(10)))
    refused(bomb, tmp_path, "unpacks to .*, more than 5,000,000 .*'.*zip'", Limits(unpacked=5_000_000))
    for _ in range(3):
        bomb = zip_of(("in.zip", bomb))
    refused(bomb, tmp_path, "archives inside archives, more than 3 deep")
    refused(zip_of(("in.zip", innermost)), tmp_path, "more than 0 deep", Limits(depth=0))


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    refused(quoted_zip(300, 1_000_000), tmp_path, "the members of the archive overlap")


def test_a_huge_declared_size(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.png")
    info.size = 10**15
    refused(info.tobuf() + bytes(1024), tmp_path, "unpacks to 1,000,000,000,000,000")
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    info.size = free + 2**30
    wide = Limits(unpacked=2**62, ratio_from=2**62)
    refused(info.tobuf() + bytes(1024), tmp_path, "unpacking needs .* bytes, the disk has ", wide)


@pytest.mark.parametrize("declared", [0, 10, 100_000, 2**32 - 2])
def test_a_size_that_lies(tmp_path: Path, declared: int) -> None:
    content = zip_of(("a.png", bytes(50_000)))
    lying = content.replace(struct.pack("<I", 50_000), struct.pack("<I", declared))
    refused(lying, tmp_path, "cut off or damaged .*; fetch it again")


def test_a_header_as_long_as_the_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**32
    packer = zlib.compressobj(9, wbits=31)
    content = packer.compress(info.tobuf()) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(80))
    refused(content + packer.flush(), tmp_path, "far too long a header")


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=3)
NOISE = np.random.default_rng(0).bytes(40_000)
WHOLE = {
    "zip": zip_of(("a.jpg", NOISE), ("b.jpg", NOISE)),
    "tar": tar_of(("a.jpg", NOISE), ("b.jpg", NOISE)),
    "tgz": tgz_of(("a.jpg", NOISE), ("b.jpg", NOISE)),
    "bz2": tar_of(("a.jpg", NOISE), ("b.jpg", NOISE), compression="bz2"),
    "xz": tar_of(("a.jpg", NOISE), ("b.jpg", NOISE), compression="xz"),
}


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.85])
@pytest.mark.parametrize("kind", WHOLE)
def test_archives_that_are_cut_off(tmp_path: Path, kind: str, share: float) -> None:
    content = WHOLE[kind]
    refused(content[: int(share * len(content))], tmp_path, "cut off or damaged .*archive.*; fetch it again")
    refused(zip_of((f"in.{kind}".replace("bz2", "tar.bz2").replace("xz", "tar.xz"), content[:10_000])), tmp_path, "cut")


def test_a_tar_that_ends_between_two_members(tmp_path: Path) -> None:
    refused(WHOLE["tar"][: 512 + 40_448], tmp_path, "cut off or damaged")
    broken = bytearray(WHOLE["tar"])
    broken[512 + 40_448 + 5] ^= 1
    refused(bytes(broken), tmp_path, "cut off or damaged")


def test_a_tar_gz_that_is_cut_off_behind_its_last_member(tmp_path: Path) -> None:
    refused(gzip.compress(WHOLE["tar"].ljust(1 << 17, b"\0"))[:-4], tmp_path, "cut off or damaged")


@pytest.mark.parametrize("kind", ["zip", "tgz", "bz2", "xz"])
def test_check_sums_that_do_not_hold(tmp_path: Path, kind: str) -> None:
    broken = bytearray(WHOLE[kind])
    broken[20_000] ^= 0xFF
    refused(bytes(broken), tmp_path, "cut off or damaged")


def test_encrypted_members_and_unknown_methods(tmp_path: Path) -> None:
    content = bytearray(zip_of(("a.jpg", NOISE)))
    for place, offset in ((0, 6), (content.index(b"PK\x01\x02"), 8)):
        content[place + offset] |= 1
    refused(bytes(content), tmp_path, r"the archive is encrypted .*'a\.jpg'")
    content = bytearray(zip_of(("a.jpg", NOISE)))
    content[content.index(b"PK\x01\x02") + 10] = 9
    refused(bytes(content), tmp_path, r"method 9 \(9 is Deflate64\)")
    content = bytearray(zip_of(("a.jpg", NOISE)))
    content[content.index(b"PK\x01\x02") + 6] = 200
    refused(bytes(content), tmp_path, "cut off or damaged")


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(sorted(WHOLE)), st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=3)
)
def test_bytes_that_changed_give_the_files_or_one_line(kind: str, changes: list[tuple[float, int]]) -> None:
    content = bytearray(WHOLE[kind])
    for share, change in changes:
        content[int(share * (len(content) - 1))] ^= change
    with tempfile.TemporaryDirectory() as top:
        (Path(top) / "archive").write_bytes(content)
        try:
            written = unpack(Path(top) / "archive", Path(top) / "out")
        except MedDELError:
            assert os.listdir(top) == ["archive"]
        else:
            assert sorted(path for path in Path(top).rglob("*") if path.is_file() and path.name != STAMP) == sorted(
                [Path(top) / "archive", *written]
            )
