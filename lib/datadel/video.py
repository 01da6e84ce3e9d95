"""Decode a video's frames to images at a chosen rate: streamed, so that no decoded video is held in memory."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import av

from meddel.artefacts import unwritable
from meddel.errors import MedDELError

_QUALITY = 95


def decode(video: Path, folder: Path, rate: float | None) -> str | None:
    """Write frames of a video as ``<frame number>.jpg``; a folder that exists is finished and left alone.

    `rate` is the frames a second that are kept: the first at or after each multiple of ``1 / rate``; None keeps all. A
    video that breaks off keeps the frames before that, and what is wrong is returned.
    """
    if rate is not None and rate <= 0:
        raise MedDELError(f"a rate of {rate} frames a second keeps nothing", fix="give a positive rate, such as 1")
    if folder.is_dir():
        return None
    half = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    read, problem = 0, None
    try:
        with av.open(str(video)) as container:
            promised = container.streams.video[0].frames if container.streams.video else 0
            for number, frame in _frames(container, rate):
                read = number + 1
                if frame is not None:
                    _write(half / f"{number:07d}.jpg", frame)
            if read < promised:
                problem = f"the video breaks off after {read} of {promised} frames"
    except av.error.FFmpegError as error:
        problem = f"the video breaks off after {read} frames: {error.strerror}"
    if not any(half.iterdir()):
        shutil.rmtree(half)
        raise MedDELError("no frame of this video can be decoded", video, "fetch it again")
    half.rename(folder)
    return problem


def _frames(container: av.container.InputContainer, rate: float | None) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """Yield the number of each frame, with the frame if it is kept."""
    if not container.streams.video:
        return
    stream = container.streams.video[0]
    stream.thread_type = "NONE"  # several videos are decoded at a time
    due = 0
    for number, frame in enumerate(container.decode(stream)):
        seconds = frame.time if frame.time is not None else number / float(stream.average_rate or 25)
        kept = rate is None or seconds * rate >= due
        if kept and rate is not None:
            due = int(seconds * rate + 1e-6) + 1
        yield number, frame if kept else None


def _write(path: Path, frame: av.VideoFrame) -> None:
    content = io.BytesIO()  # Pillow writes to a real file past Python, and does not report a full disk
    frame.to_image().save(content, "JPEG", quality=_QUALITY)
    try:
        path.write_bytes(content.getvalue())
    except OSError as error:
        raise unwritable(path, error) from error
