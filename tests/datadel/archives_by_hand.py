"""Small archives written as their authors' tools would, and what goes into them: pictures, masks, videos."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
from PIL import Image

Tree = Mapping[str, "bytes | Tree"]
SIZE = (40, 32)


def pack(name: str, tree: Tree) -> bytes:
    """An archive of the kind that its name tells; a name that leads to a tree is an archive inside it."""
    files = {inner: content if isinstance(content, bytes) else pack(inner, content) for inner, content in tree.items()}
    stream = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for inner, content in files.items():
                archive.writestr(inner, content)
    elif name.endswith(".rar"):
        return stored_rar(files)
    elif name.endswith((".tar", ".tar.gz")):
        with tarfile.open(fileobj=stream, mode="w:gz" if name.endswith("gz") else "w:") as archive:
            for inner, content in files.items():
                info = tarfile.TarInfo(inner)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    else:
        raise ValueError(name)
    return stream.getvalue()


def stored_rar(files: Mapping[str, bytes]) -> bytes:
    """An archive of RAR 4 whose files are stored as they are."""

    def block(kind: int, flags: int, body: bytes) -> bytes:
        rest = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(rest) & 0xFFFF) + rest

    parts = [b"Rar!\x1a\x07\x00", block(0x73, 0, bytes(6))]
    for name, content in files.items():
        inner = name.replace("/", "\\").encode("ascii")
        sizes = struct.pack("<IIBII", len(content), len(content), 2, zlib.crc32(content), 0x5A210000)
        body = sizes + struct.pack("<BBHI", 20, 0x30, len(inner), 0x20) + inner
        parts += [block(0x74, 0x8000, body), content]
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
