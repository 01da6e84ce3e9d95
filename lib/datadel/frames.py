"""A video's frames as images, at a chosen rate: streamed, so that no decoded video is ever held in memory."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import av

from meddel.artefacts import unwritable
from meddel.errors import MedDELError

QUALITY = 95


def decode(video: Path, folder: Path, rate: float | None) -> str | None:
    """Write frames of a video as ``<frame number>.jpg``; a folder that is there is finished and left alone.

    Parameters
    ----------
    video : Path
        Anything that FFmpeg decodes.
    folder : Path
        Takes its name only when the video has been read to its end.
    rate : float or None
        Frames a second that are kept: the first at or after each multiple of ``1 / rate``. None: all.

    Returns
    -------
    str or None
        What is wrong with a video that breaks off; the frames before that are kept.

    Raises
    ------
    MedDELError
        `rate` is not positive, the file is no video, none of its frames can be decoded, or the disk is full.
    """
    if rate is not None and rate <= 0:
        raise MedDELError(f"a rate of {rate} frames a second keeps nothing", fix="give a positive rate, such as 1")
    if folder.is_dir():
        return None
    half = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    written, read, problem = 0, 0, None
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise MedDELError("no video in this file", video, "remove it, or fetch it again")
            promised = container.streams.video[0].frames
            for number, frame in _at_rate(container, rate):
                read = number + 1
                if frame is not None:
                    _write(half / f"{number:07d}.jpg", frame)
                    written += 1
            if read < promised:
                problem = f"the video breaks off after {read} of {promised} frames"
    except av.error.FFmpegError as error:
        problem = f"the video breaks off after {read} frames: {error.strerror}"
    if not written:
        shutil.rmtree(half)
        raise MedDELError("no frame of this video can be decoded", video, "fetch it again")
    half.rename(folder)
    return problem


def _write(path: Path, frame: av.VideoFrame) -> None:
    content = io.BytesIO()  # Pillow writes to a real file past Python, and does not tell when a disk is full
    frame.to_image().save(content, "JPEG", quality=QUALITY)
    try:
        path.write_bytes(content.getvalue())
    except OSError as error:
        raise unwritable(path, error) from error


def _at_rate(container: av.container.InputContainer, rate: float | None) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """Yield the number of each frame, with the frame if it is kept."""
    stream = container.streams.video[0]
    stream.thread_type = "NONE"  # several videos are decoded at a time
    due = 0
    for number, frame in enumerate(container.decode(stream)):
        if rate is None:
            yield number, frame
            continue
        kept = None
        seconds = frame.time if frame.time is not None else number / float(stream.average_rate or 25)
        if seconds * rate >= due:
            due, kept = int(seconds * rate + 1e-6) + 1, frame
        yield number, kept
