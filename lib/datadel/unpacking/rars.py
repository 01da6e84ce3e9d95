"""RAR archives, by RARLAB's own library: listed once to check them as a whole, then read once from front to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from unrar.cffi import unrarlib

from datadel.unpacking.sink import Member, Place, Sink, Source, damaged, encrypted, in_threads, kind_of_mode
from meddel.errors import MedDELError

_END_OF_ARCHIVE, _PASSWORD_WANTED = 10, (22, 24)
_SPLIT, _ENCRYPTED, _FOLDER, _UNIX = 0x3, 0x4, 0x20, 3


def unpack_rar(source: Source, sink: Sink) -> None:
    """Unpack a RAR archive of version 4 or 5; nothing is written unless its whole list of members is safe.

    Raises
    ------
    MedDELError
        It is hostile, damaged, encrypted, or one part of several.
    """
    try:
        with unrarlib.RarArchive.open_for_metadata(source.path) as archive:
            plan = [_planned(header, source, sink) for header in _skipping(archive)]
        declared = sum(place.size for _, place in plan if place is not None)
        sink.meter.declare(source.label, unpacked=declared)
        sink.meter.need(declared)
        # In a thread of its own, since the library would swallow an interruption.
        in_threads(lambda: _write(source, sink, plan), 1, sink.meter.stop)
    except unrarlib.BadRarFile as error:
        raise (encrypted if error.code in _PASSWORD_WANTED else damaged)(source.label) from error
    except ValueError as error:
        raise damaged(source.label) from error
    for _, place in plan:
        if place is not None:
            sink.finish(source, place)


def _write(source: Source, sink: Sink, plan: list[tuple[int, Place | None]]) -> None:
    with unrarlib.RarArchive.open_for_processing(source.path) as archive:
        for header, (packed, place) in zip(_headers(archive), plan, strict=True):
            if place is None:
                header.skip()
                sink.meter.advance(packed)
                continue
            with sink.receiver(place) as put:
                _stream(header, put, packed, place.size, sink)


def _headers(archive: Any) -> Iterator[Any]:
    """The members' headers; the package's own loop takes a damaged one for the end."""
    while True:
        data = unrarlib.RARHeaderDataEx()
        code = unrarlib.RARReadHeaderEx(archive.handle, data)
        if code == _END_OF_ARCHIVE:
            return
        if code != unrarlib.C_ERAR_SUCCESS:
            raise unrarlib.BadRarFile(code, "a header is damaged")
        yield unrarlib.RarHeader(archive, data)


def _skipping(archive: Any) -> Iterator[Any]:
    for header in _headers(archive):
        yield header
        header.skip()


def _planned(header: Any, source: Source, sink: Sink) -> tuple[int, Place | None]:
    """The packed bytes of a member and where it goes."""
    data = header.headerDataEx
    if header.Flags & _SPLIT:
        raise MedDELError("the archive is one part of several", source.label, "unpack them by hand with 7-Zip or unrar")
    sink.meter.declare(source.label, members=1)
    kind = kind_of_mode(data.FileAttr if header.HostOS == _UNIX else 0, bool(header.Flags & _FOLDER))
    size = header.UnpSize + (header.UnpSizeHigh << 32)
    member = Member(header.FileNameW, size, "other" if data.RedirType else kind, bool(header.Flags & _ENCRYPTED))
    return header.PackSize + (header.PackSizeHigh << 32), sink.place(source, member)


def _stream(header: Any, put: Callable[[Any], None], packed: int, size: int, sink: Sink) -> None:
    """Give a member's bytes to `put` as the library unpacks them."""
    failed: list[BaseException] = []
    done = 0

    def receive(message: int, address: Any, count: int) -> int:
        nonlocal done
        if message != unrarlib.UCM_PROCESSDATA:
            return -1
        try:
            put(unrarlib.ffi.buffer(unrarlib.ffi.cast("char *", address), count))
            sink.meter.advance(packed * (done + count) // size - packed * done // size)
            done += count
        except BaseException as error:
            failed.append(error)
            return -1
        return 1

    handle = unrarlib.ffi.new_handle(receive)
    unrarlib.RARSetCallbackPtr(header.handle, unrarlib.PyUNRARCALLBACKStub, handle)
    code = unrarlib.RARProcessFileW(header.handle, unrarlib.C_RAR_TEST, unrarlib.ffi.NULL, unrarlib.ffi.NULL)
    unrarlib.RARSetCallbackPtr(header.handle, unrarlib.ffi.NULL, unrarlib.ffi.NULL)
    if failed:
        raise failed[0]
    if code != unrarlib.C_ERAR_SUCCESS:
        raise unrarlib.BadRarFile(code, "a member is damaged")
