"""Make of archives a folder that every other part reads: ``images/``, ``masks/``, ``frames.csv``, and its index.

A prepared set is an ordinary folder of images: `meddel run --data` and `meddel embed` take it, alone or beside others.
"""

from __future__ import annotations

import csv
import io
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from datadel import layout
from datadel.layout import COLUMNS, Files
from datadel.manifest import Manifest
from datadel.video import decode
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images import index
from meddel.images import read as images
from meddel.images.folders import Problem
from meddel.progress import progress

_VERSION = 1
_FETCH_AGAIN = "fetch the archive again"


class _Item(NamedTuple):
    """One image of the set: its key, its file, its masks and its columns."""

    key: str
    path: Path
    masks: list[Path]
    columns: dict[str, str]


def prepare(manifest: Manifest, folders: dict[str | None, Path], out: Path, *, rate: float | None = 1.0) -> pa.Table:
    """Make the folder of a set and return its index; interrupted, it goes on where it was.

    Parameters
    ----------
    manifest : Manifest
        Its record sets say what is an image, which masks belong to it, and what the path means.
    folders : dict
        The folder of each unpacked archive by its name; None for a folder that holds all.
    out : Path
        The folder that is made; its name becomes the index's source. Images are hard links where the disk allows it.
        ``quarantine.csv`` lists what can't be used.
    rate : float or None
        Of videos, the frames a second that are kept; None: all.

    Returns
    -------
    pa.Table
        `meddel.images.index.INDEX_SCHEMA`.
    """
    listing = [artefacts.hash_of_listing(folder) for folder in folders.values()]
    key = artefacts.hash_of("prepared", _VERSION, manifest.jsonld, listing, rate)
    path = out / "index.parquet"
    if artefacts.is_finished(path, key):
        return index.read_index(path, out)
    found = layout.find(manifest, folders)
    if not (found.images or found.videos or found.arrays):
        where = ", ".join(map(str, folders.values()))
        what = f"nothing that the manifest of {manifest.name} describes is here"
        raise MedDELError(what, where, "check that it is the right archive; a folder of images/ and masks/ is ready")
    _begin(out, key)
    with artefacts.recorded(path, key, parameters={"set": manifest.name, "rate": rate}):
        problems = [Problem(clash, "a second image of this name", "tell the set's authors") for clash in found.clashes]
        items = [
            _Item(name, image, sorted(found.masks.get(name, ())), found.columns.get(name, {}))
            for name, image in sorted(found.images.items())
        ]
        items += [*_of_arrays(found, out), *_of_videos(found, out, rate, problems)]
        problems += _place(items, out)
        _write_rows(out / "frames.csv", [("name", *COLUMNS), *(_row(item) for item in items)])
        table = index.build_index(out, quarantine=out / "quarantine.csv")
        with (out / "quarantine.csv").open(newline="", encoding="utf-8") as stream:
            head, *rows = csv.reader(stream)
        rows += [[str(problem.path), problem.problem, problem.fix] for problem in problems]
        _write_rows(out / "quarantine.csv", [head, *sorted(rows)])
        index.write_index(path, table)
    return table


def _begin(out: Path, key: str) -> None:
    """Make the folder, or empty it if it was made of something else."""
    stamp = out / ".made-of"
    before = stamp.read_text(encoding="utf-8") if stamp.is_file() else None
    if before is None and out.is_dir() and any(out.iterdir()):
        raise MedDELError("this folder holds something else", out, "give --out a new or an empty folder")
    if before not in (None, key):
        for folder in (out / "images", out / "masks"):
            shutil.rmtree(folder, ignore_errors=True)
    artefacts.write_text(stamp, key)


def _of_arrays(found: Files, out: Path) -> Iterator[_Item]:
    """Yield the images of NumPy's files (MedMNIST: ``train_images``, ``train_labels`` and so on), written as PNG."""
    for name, path in sorted(found.arrays.items()):
        with np.load(path, allow_pickle=False) as arrays:
            for split in ("train", "val", "test"):
                pictures, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
                for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
                    target = out / "images" / name / f"{split}_{i:06d}.png"
                    if not target.exists():
                        artefacts.write_bytes(target, _png(Image.fromarray(picture)))
                    columns = {"split": split, "label": " ".join(map(str, np.atleast_1d(label)))}
                    yield _Item(f"{name}/{target.stem}", target, [], columns)


def _of_videos(found: Files, out: Path, rate: float | None, problems: list[Problem]) -> Iterator[_Item]:
    """Decode the videos, some at a time, and yield their frames."""

    def decoded(entry: tuple[str, Path]) -> tuple[str, Path, str | None]:
        name, video = entry
        try:
            return name, video, decode(video, out / "images" / name, rate)
        except MedDELError as error:
            return name, video, error.what

    videos = sorted(found.videos.items())
    bar = progress(images.in_threads(decoded, videos), what="decode videos", total=len(videos), unit="video")
    for name, video, problem in bar:
        if problem is not None:
            problems.append(Problem(video, problem, _FETCH_AGAIN))
        for path in sorted((out / "images" / name).glob("*.jpg")):
            columns = {**found.columns.get(name, {}), "video": name, "frame": str(int(path.stem))}
            yield _Item(f"{name}/{path.stem}", path, [], columns)


def _place(items: list[_Item], out: Path) -> list[Problem]:
    """Put each image, and the union of its masks, into its place; return what can't be used."""

    def place(item: _Item) -> Problem | None:
        path = out / "images" / item.key
        target = path.with_name(path.name + item.path.suffix.lower())
        if not target.exists():
            artefacts.link_or_copy(item.path, target)
        drawn = (out / "masks" / item.key).with_name(f"{path.name}.png")
        if not item.masks or drawn.exists():
            return None
        try:
            artefacts.write_bytes(drawn, united(item.masks, images.upright_size(images.read_file(target))))
        except (MedDELError, *images.UNREADABLE) as error:
            target.unlink()
            what = error.what if isinstance(error, MedDELError) else "the image is cut off or broken"
            return Problem(item.masks[0], what, f"{_FETCH_AGAIN}, or tell the set's authors")
        return None

    bar = progress(images.in_threads(place, items), what="prepare", total=len(items), unit="image")
    return [problem for problem in bar if problem is not None]


def united(paths: Sequence[Path], size: tuple[int, int]) -> bytes:
    """Return the union of an image's masks as a PNG of 0 and 255.

    `size` is width and height of the upright image. A mask is an image, or an ``.xml`` file of Aperio's ImageScope
    with a polygon for each region (MoNuSeg).
    """
    foreground = np.zeros(size[::-1], bool)
    for path in paths:
        try:
            drawn = _polygons(path, size) if path.suffix == ".xml" else images.read_foreground(images.read_file(path))
        except (*images.UNREADABLE, ElementTree.ParseError, KeyError) as error:
            raise MedDELError("the mask can't be read", path, _FETCH_AGAIN) from error
        if drawn.shape != foreground.shape:
            sizes = f"mask of {drawn.shape[1]} x {drawn.shape[0]} pixels, image of {size[0]} x {size[1]}"
            raise MedDELError(sizes, path, "report it to the set's authors, or make the mask as large as the image")
        foreground |= drawn
    return _png(Image.fromarray(foreground).convert("L"))


def _polygons(path: Path, size: tuple[int, int]) -> np.ndarray:
    canvas = Image.new("1", size)
    pen = ImageDraw.Draw(canvas)
    for region in ElementTree.parse(path).iter("Region"):
        corners = [(float(vertex.attrib["X"]), float(vertex.attrib["Y"])) for vertex in region.iter("Vertex")]
        if len(corners) > 2:
            pen.polygon(corners, fill=1)
    return np.asarray(canvas)


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _row(item: _Item) -> tuple[str, ...]:
    return item.key, *(item.columns.get(name, "") for name in COLUMNS)


def _write_rows(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with artefacts.atomic_write(path, "w") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def verify(folder: Path) -> int:
    """Read the images and masks of a prepared set again and return how many; refuse one that is gone or has changed."""
    rows = index.read_index(folder / "index.parquet", folder).to_pylist()
    pairs = (("path", "sha256"), ("mask", "mask_sha256"))
    files = [(Path(row[name]), row[digest]) for row in rows for name, digest in pairs if row[name] is not None]

    def changed(entry: tuple[Path, str]) -> Path | None:
        path, digest = entry
        return None if path.is_file() and artefacts.hash_of_file(path) == digest else path

    for path in progress(images.in_threads(changed, files), what="verify", total=len(files), unit="file"):
        if path is not None:
            fix = "delete the prepared folder and prepare it again"
            raise MedDELError("this file is gone or has changed", path, fix)
    return len(files)
