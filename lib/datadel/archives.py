"""Read zip, tar and RAR archives from front to end, member by member; each goes to a `Destination`."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Literal

from unrar.cffi import unrarlib

from datadel.destination import Destination, Member, damaged, encrypted
from meddel.errors import MedDELError
from meddel.progress import progress

Kind = Literal["zip", "rar", "gz", "bz2", "xz", "tar"]

_BEGINNINGS: dict[bytes, Kind] = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"Rar!\x1a\x07\x00": "rar",
    b"Rar!\x1a\x07\x01\x00": "rar",
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
}
_CHUNK = 1 << 20
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, IndexError),
)
_UTF8, _ENCRYPTED, _LOCAL_HEADER_BYTES = 0x800, 0x1, 30
_MAX_HEADER_BYTES = 64 << 20
_OPENERS: dict[str, Callable[..., Any]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
_RAR_END, _RAR_PASSWORD, _RAR_SPLIT, _RAR_ENCRYPTED, _RAR_FOLDER, _RAR_UNIX = 10, (22, 24), 0x3, 0x4, 0x20, 3


def archive_kind(path: Path) -> Kind | None:
    """Return the kind of an archive by its first bytes, whatever its name, or None if it is none that can be read."""
    with path.open("rb") as stream:
        first = stream.read(tarfile.BLOCKSIZE)
    for beginning, kind in _BEGINNINGS.items():
        if first.startswith(beginning):
            return kind
    try:
        tarfile.TarInfo.frombuf(first, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return "tar"


def read(path: Path, label: str, destination: Destination) -> None:
    """Give every member of an archive to its destination; `label` names the archive in messages."""
    kind = archive_kind(path)
    destination.taken = []
    try:
        if kind == "zip":
            _read_zip(path, label, destination)
        elif kind == "rar":
            _read_rar(path, label, destination)
        else:
            _read_tar(path, label, destination, _OPENERS.get(kind or ""))
    except NotImplementedError as error:
        fix = "unpack it by hand with 7-Zip or unzip"
        raise MedDELError(f"a member is packed in a way that isn't read: {error}", label, fix) from error
    except _BROKEN as error:
        raise damaged(label) from error
    except OSError as error:
        if error.errno is None:
            raise damaged(label) from error
        raise MedDELError(f"can't unpack: {error.strerror}", label, "free some space, or check its rights") from error


def _kind_of_mode(mode: int, folder: bool) -> Literal["file", "folder", "other"]:
    """Return the kind of a member from its Unix file type, 0 where the archive was made on another system."""
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "other"
    return "folder" if folder or stat.S_ISDIR(mode) else "file"


def _read_zip(path: Path, label: str, destination: Destination) -> None:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        _check_overlap(archive, label)
        size = sum(info.file_size for info in infos)
        destination.admit(size, len(infos), label)
        with progress(what=f"unpack {path.name}", total=size, unit="B") as bar:
            for info in infos:
                kind = _kind_of_mode(info.external_attr >> 16, info.is_dir())
                name = info.orig_filename if info.flag_bits & _UTF8 else _unmarked(info.orig_filename)
                member = Member(name, info.file_size, kind, bool(info.flag_bits & _ENCRYPTED))
                with destination.receive(member, label) as put:
                    if put is not None:
                        with archive.open(info) as stream:
                            while chunk := stream.read(_CHUNK):
                                put(chunk)
                bar.update(info.file_size)


def _unmarked(name: str) -> str:
    """Return a name that is not marked as UTF-8, and often is."""
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


def _check_overlap(archive: zipfile.ZipFile, label: str) -> None:
    """Refuse members that share packed bytes, as those of a bomb do; newer versions of zipfile do so too."""
    spans = sorted(
        (info.header_offset, info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size)
        for info in archive.infolist()
    )
    starts = [*(start for start, _ in spans[1:]), archive.start_dir]
    if spans and spans[0][0] < 0:
        raise damaged(label)
    if any(end > following for (_, end), following in zip(spans, starts, strict=True)):
        raise MedDELError("the members of the archive overlap", label, "fetch it again; it may be a bomb")


def _read_tar(path: Path, label: str, destination: Destination, opener: Callable[..., Any] | None) -> None:
    with (
        path.open("rb", buffering=0) as file,
        progress(what=f"unpack {path.name}", total=path.stat().st_size, unit="B") as bar,
    ):
        stream = _Bounded(opener(file) if opener else file, label)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 16, tarinfo=_Header) as archive:
            while (info := archive.next()) is not None:
                archive.members = []
                kind = "file" if info.isreg() else "folder" if info.isdir() else "other"
                with destination.receive(Member(info.name, info.size, kind), label) as put:
                    content = archive.extractfile(info) if kind == "file" else None
                    while content is not None and (chunk := content.read(_CHUNK)):
                        stream.unaccounted = 0
                        if put is not None:
                            put(chunk)
                bar.update(file.tell() - bar.n)
        while stream.read(_CHUNK):
            pass


class _Header(tarfile.TarInfo):
    """A member's header; one that is cut off or damaged is an error, where tarfile takes it for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


class _Bounded:
    """A stream for tarfile to read from; what is no content of a member, and so kept in memory, is bounded."""

    def __init__(self, stream: IO[bytes], label: str) -> None:
        self._stream, self._label, self.unaccounted = stream, label, 0

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self.unaccounted += len(content)
        if self.unaccounted > _MAX_HEADER_BYTES:
            raise MedDELError("the archive holds far too long a header or end", self._label, "don't use this archive")
        return content


def _read_rar(path: Path, label: str, destination: Destination) -> None:
    """Read a RAR archive by RARLAB's own library, in a thread, since it would swallow an interruption."""
    stopped = threading.Event()

    def work() -> None:
        with (
            unrarlib.RarArchive.open_for_processing(path) as archive,
            progress(what=f"unpack {path.name}", total=path.stat().st_size, unit="B") as bar,
        ):
            for header in _rar_headers(archive):
                with destination.receive(_rar_member(header, label), label) as put:
                    if put is None:
                        header.skip()
                    else:
                        _stream_rar(header, put, stopped)
                bar.update(header.PackSize + (header.PackSizeHigh << 32))

    try:
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(work)
            try:
                done.result()
            finally:
                stopped.set()
    except unrarlib.BadRarFile as error:
        raise (encrypted if error.code in _RAR_PASSWORD else damaged)(label) from error


def _rar_headers(archive: Any) -> Iterator[Any]:
    """Yield the members' headers; the package's own loop takes a damaged one for the end."""
    while True:
        data = unrarlib.RARHeaderDataEx()
        code = unrarlib.RARReadHeaderEx(archive.handle, data)
        if code == _RAR_END:
            return
        if code != unrarlib.C_ERAR_SUCCESS:
            raise unrarlib.BadRarFile(code, "a header is damaged")
        yield unrarlib.RarHeader(archive, data)


def _rar_member(header: Any, label: str) -> Member:
    data = header.headerDataEx
    if header.Flags & _RAR_SPLIT:
        raise MedDELError("the archive is one part of several", label, "unpack them by hand with 7-Zip or unrar")
    kind = _kind_of_mode(data.FileAttr if header.HostOS == _RAR_UNIX else 0, bool(header.Flags & _RAR_FOLDER))
    size = header.UnpSize + (header.UnpSizeHigh << 32)
    return Member(header.FileNameW, size, "other" if data.RedirType else kind, bool(header.Flags & _RAR_ENCRYPTED))


def _stream_rar(header: Any, put: Callable[[Any], None], stopped: threading.Event) -> None:
    """Give a member's bytes to `put` as the library unpacks them; it ignores what its callback raises."""
    failed: list[BaseException] = []

    def take(chunk: bytes) -> None:
        if not failed and not stopped.is_set():
            try:
                put(chunk)
            except BaseException as error:
                failed.append(error)

    header.test(take)
    if failed:
        raise failed[0]
