"""Small archives written as their authors' tools would, and what goes into them: pictures, masks, videos."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

Tree = Mapping[str, "bytes | Tree"]
SIZE = (40, 32)


def pack(name: str, tree: Tree) -> bytes:
    """An archive of the kind that its name tells; a name that leads to a tree is an archive inside it."""
    files = {inner: content if isinstance(content, bytes) else pack(inner, content) for inner, content in tree.items()}
    if name.endswith(".zip"):
        return zip_of(*files.items())
    if name.endswith(".rar"):
        return rar_of(*(Stored(inner.replace("/", "\\").encode(), content) for inner, content in files.items()))
    return tar_of(*files.items(), compression={"tar": "", "tgz": "gz"}.get(name.split(".")[-1], name.split(".")[-1]))


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
            info.size, info.mode = len(data), 0o6755
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


class Stored(NamedTuple):
    """A member of a RAR archive that is stored as it is; `said` bytes are declared instead of its size."""

    name: bytes
    content: bytes
    flags: int = 0
    system: int = 2  # Windows
    attributes: int = 0x20
    said: int | None = None


def rar_of(*members: Stored) -> bytes:
    """An archive of RAR 4 whose files are stored as they are."""

    def block(kind: int, flags: int, body: bytes) -> bytes:
        rest = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(rest) & 0xFFFF) + rest

    parts = [b"Rar!\x1a\x07\x00", block(0x73, 0, bytes(6))]
    for member in members:
        size = len(member.content) if member.said is None else member.said
        sizes = struct.pack("<IIBII", len(member.content), size, member.system, zlib.crc32(member.content), 0)
        body = sizes + struct.pack("<BBHI", 20, 0x30, len(member.name), member.attributes) + member.name
        parts += [block(0x74, 0x8000 | member.flags, body), member.content]
    return b"".join([*parts, block(0x7B, 0x4000, b"")])


def picture(seed: int, kind: str = "JPEG") -> bytes:
    """A picture of `SIZE`, another one for each seed."""
    grid = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return encoded(Image.fromarray(grid).resize(SIZE, Image.Resampling.BICUBIC), kind)


def mask(left: int, right: int, kind: str = "PNG", size: tuple[int, int] = SIZE) -> bytes:
    """A mask whose columns from `left` to `right` are foreground."""
    drawn = np.zeros(size[::-1], np.uint8)
    drawn[:, left:right] = 255
    return encoded(Image.fromarray(drawn), kind)


def encoded(image: Image.Image, kind: str) -> bytes:
    """An image's file; JPEG at a quality that rings."""
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 60} if kind == "JPEG" else {}))
    return stream.getvalue()


def film(path: Path, frames: int = 50, rate: int = 25) -> Path:
    """A video whose frames grow brighter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            shown = np.full((48, 64, 3), 20 + 200 * number // frames, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())
    return path
