"""Zip archives: checked as a whole by their table of contents, then unpacked by several threads."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib

from datadel.unpacking.sink import CHUNK, Member, Place, Sink, Source, damaged, in_threads, kind_of_mode, reading
from meddel.errors import MedDELError
from meddel.images.read import usable_cores

_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, IndexError, NotImplementedError),
)
_ENCRYPTED, _UTF8 = 0x1, 0x800
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_LOCAL_HEADER_BYTES = 30


def unpack_zip(source: Source, sink: Sink) -> None:
    """Unpack a zip archive; nothing is written unless its whole table of contents is safe.

    Raises
    ------
    MedDELError
        It is hostile, damaged, encrypted or packed by an unknown method.
    """
    with reading(source, _BROKEN), sink.meter.opened(source.path) as file, zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        sink.meter.declare(source.label, members=len(infos))
        _check_overlap(source, archive)
        plan = []
        for info in infos:
            place = sink.place(source, _member(info))
            if place is None:
                sink.meter.advance(info.compress_size)
                continue
            if info.compress_type not in _METHODS:
                said = f"a member is packed by method {info.compress_type} (9 is Deflate64), which isn't read"
                raise MedDELError(said, place.where, "unpack it by hand with 7-Zip or unzip")
            plan.append((info, place))
        declared = sum(place.size for _, place in plan)
        sink.meter.declare(source.label, unpacked=declared)
        sink.meter.need(declared)
        _write(archive, plan, sink)
    for _, place in plan:
        sink.finish(source, place)


def _write(archive: zipfile.ZipFile, plan: list[tuple[zipfile.ZipInfo, Place]], sink: Sink) -> None:
    shared = iter(plan)  # a list's iterator gives each item to just one thread

    def work() -> None:
        for info, place in shared:
            with archive.open(info) as stream, sink.receiver(place) as put:
                while chunk := stream.read(CHUNK):
                    put(chunk)

    in_threads(work, usable_cores(), sink.meter.stop)


def _member(info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename
    if not info.flag_bits & _UTF8:
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            name = info.orig_filename
    kind = kind_of_mode(info.external_attr >> 16, info.is_dir())
    return Member(name, info.file_size, kind, bool(info.flag_bits & _ENCRYPTED))


def _check_overlap(source: Source, archive: zipfile.ZipFile) -> None:
    """Refuse members that share packed bytes, as those of a bomb do."""
    spans = sorted(
        (info.header_offset, info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size)
        for info in archive.infolist()
    )
    ends = [*(start for start, _ in spans[1:]), archive.start_dir]
    if spans and spans[0][0] < 0:
        raise damaged(source.label)
    if any(end > following for (_, end), following in zip(spans, ends, strict=True)):
        raise MedDELError("the members of the archive overlap", source.label, "fetch it again; it may be a bomb")
