"""Tar archives, compressed or not: read once from front to end, never as a whole."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable
from typing import IO, Any

from datadel.unpacking.sink import CHUNK, Member, Sink, Source, damaged, reading
from meddel.errors import MedDELError

_BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, ValueError)
_MAX_HEADER_BYTES = 64 << 20
_READ_BYTES = 1 << 16
_OPENERS: dict[str, Callable[..., Any]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}


def unpack_tar(source: Source, sink: Sink, compression: str | None) -> None:
    """Unpack a tar archive; each member is checked before its first byte is written.

    Parameters
    ----------
    source : Source
    sink : Sink
    compression : {"gz", "bz2", "xz"} or None

    Raises
    ------
    MedDELError
        It is hostile, damaged, or no tar archive is inside the compression.
    """
    if sink.wants_all:
        sink.meter.need(source.path.stat().st_size)
    with reading(source, _BROKEN), sink.meter.opened(source.path) as file:
        stream = _Guarded(_OPENERS[compression](file) if compression else file, source)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=_READ_BYTES, tarinfo=_Header) as archive:
            while (info := archive.next()) is not None:
                archive.members = []
                _copy(archive, info, stream, source, sink)
        while stream.read(CHUNK):
            pass


class _Header(tarfile.TarInfo):
    """A member's header; one that is cut off or damaged is an error, where tarfile takes it for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):
                raise
            raise tarfile.ReadError(str(error)) from error


class _Guarded:
    """A stream for tarfile to read from, which lets no header fill the memory."""

    def __init__(self, stream: IO[bytes], source: Source) -> None:
        self._stream, self._source, self._since = stream, source, 0

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self._since += len(content)
        if self._since > _MAX_HEADER_BYTES:
            raise MedDELError(
                "the archive holds far too long a header or end", self._source.label, "don't use this archive"
            )
        return content

    def restart(self) -> None:
        """Count anew: what came so far was data and didn't stay in memory."""
        self._since = 0


def _copy(archive: tarfile.TarFile, info: tarfile.TarInfo, stream: _Guarded, source: Source, sink: Sink) -> None:
    kind = "file" if info.isreg() else "folder" if info.isdir() else "other"
    place = sink.place(source, Member(info.name, info.size, kind))
    sink.meter.declare(source.label, unpacked=info.size if kind == "file" else 0, members=1)
    if kind != "file":
        return
    content = archive.extractfile(info)
    if content is None:
        raise damaged(source.label)
    if place is None:
        while content.read(CHUNK):
            stream.restart()
        return
    sink.meter.need(info.size)
    with sink.receiver(place) as put:
        while chunk := content.read(CHUNK):
            put(chunk)
            stream.restart()
    sink.finish(source, place)
