"""From archives to a folder that every other part reads: ``images/``, ``masks/``, ``frames.csv``, and its index.

A prepared set is an ordinary folder of images: `meddel run --data` and `meddel embed` take it, alone or beside others.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from datadel import frames, layout, masks
from datadel.layout import COLUMNS, Files
from datadel.manifest import Manifest
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images import index
from meddel.images import read as images
from meddel.images.folders import Problem
from meddel.progress import progress

_VERSION = 1
_HASHED = (("path", "sha256"), ("mask", "mask_sha256"))


@dataclass(frozen=True)
class _Item:
    """One image of the set that is made: its key, where its bytes are, its masks and columns."""

    key: str
    path: Path
    masks: tuple[Path, ...]
    columns: dict[str, str]


def prepare(manifest: Manifest, folders: dict[str | None, Path], out: Path, *, rate: float | None = 1.0) -> pa.Table:
    """Make the folder of a set and return its index.

    Parameters
    ----------
    manifest : Manifest
        Its record sets say what is an image, which masks belong to it, and what the path tells.
    folders : dict
        The folder of each unpacked archive by its name; None for a folder that holds all. A folder with ``images/``,
        which has been prepared by somebody already, is taken as it is.
    out : Path
        The folder that is made; its name becomes the index's source. Images are hard links where the disk allows it.
        Beside ``images/``, ``masks/`` (PNG, 0 and 255) and ``frames.csv`` it gets ``index.parquet`` and
        ``quarantine.csv``, which lists what can't be used.
    rate : float or None
        Of videos, the frames a second that are kept; None: all.

    Returns
    -------
    pa.Table
        `meddel.images.index.INDEX_SCHEMA`.

    Raises
    ------
    MedDELError
        Nothing that the manifest describes is in the folders, nothing of it can be used, or `out` holds something else.
    """
    listing = [artefacts.hash_of_listing(folder) for folder in folders.values()]
    key = artefacts.hash_of("prepared", _VERSION, manifest.jsonld, listing, rate)
    path = out / "index.parquet"
    if artefacts.is_finished(path, key):
        return index.read_index(path, out)
    found = layout.find(manifest, folders)
    if not (found.images or found.videos or found.arrays):
        found = _as_it_is(folders, manifest)
    _begin(out, key)
    parameters = {"set": manifest.name, "rate": rate}
    with artefacts.recorded(path, key, parameters=parameters):
        problems = [Problem(clash, "a second image of this name", "tell the set's authors") for clash in found.clashes]
        items = [*_pictures(found), *_of_arrays(found, out), *_of_videos(found, out, rate, problems)]
        problems.extend(_written(items, out))
        _write_frames(items, out)
        table = index.build_index(out, quarantine=out / "quarantine.csv")
        _append(out / "quarantine.csv", problems)
        index.write_index(path, table)
    return table


def _as_it_is(folders: dict[str | None, Path], manifest: Manifest) -> Files:
    """Return the images, masks and columns of a folder that is laid out as a prepared one."""
    folder = folders.get(None)
    if folder is None or not (folder / "images").is_dir():
        where = ", ".join(str(folder) for folder in folders.values())
        raise MedDELError(
            f"nothing that the manifest of {manifest.name} describes is here", where,
            "check that it is the right archive, or give --source a folder with images/ and masks/",
        )  # fmt: skip
    files = Files()
    for row in index.build_index(folder).to_pylist():
        key = row["id"].partition("/")[2]
        files.images[key] = Path(row["path"])
        files.masks[key] = [Path(row["mask"])] if row["mask"] else []
        files.columns[key] = {name: str(row[name]) for name in COLUMNS if row.get(name) is not None}
    return files


def _pictures(found: Files) -> Iterator[_Item]:
    for key, path in sorted(found.images.items()):
        yield _Item(key, path, tuple(sorted(found.masks.get(key, ()))), found.columns.get(key, {}))


def _of_arrays(found: Files, out: Path) -> Iterator[_Item]:
    """Yield the images of files of NumPy (MedMNIST: ``train_images``, ``train_labels`` and so on), written as PNG."""
    for name, path in sorted(found.arrays.items()):
        with np.load(path, allow_pickle=False) as arrays:
            for split in ("train", "val", "test"):
                pictures, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
                for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
                    target = out / "images" / name / f"{split}_{i:06d}.png"
                    if not target.exists():
                        with artefacts.atomic_write(target) as stream:
                            Image.fromarray(picture).save(stream, "PNG")
                    columns = {"split": split, "label": " ".join(map(str, np.atleast_1d(label)))}
                    yield _Item(f"{name}/{split}_{i:06d}", target, (), columns)


def _of_videos(found: Files, out: Path, rate: float | None, problems: list[Problem]) -> Iterator[_Item]:
    """Decode the videos, some at a time, and yield their frames."""

    def decoded(entry: tuple[str, Path]) -> tuple[str, Path, str | None]:
        name, video = entry
        try:
            return name, video, frames.decode(video, out / "images" / name, rate)
        except MedDELError as error:
            return name, video, error.what

    videos = sorted(found.videos.items())
    if not videos:
        return
    bar = progress(images.in_threads(decoded, videos), what="decode videos", total=len(videos), unit="video")
    for name, video, problem in bar:
        if problem is not None:
            problems.append(Problem(video, problem, "fetch the archive again"))
        for path in sorted((out / "images" / name).glob("*.jpg")):
            columns = {**found.columns.get(name, {}), "video": name, "frame": str(int(path.stem))}
            yield _Item(f"{name}/{path.stem}", path, (), columns)


def _written(items: list[_Item], out: Path) -> Iterator[Problem]:
    """Put each image, and the union of its masks, into its place; yield what can't be used."""

    def place(item: _Item) -> Problem | None:
        target = _place(item, out)
        if not target.exists():
            artefacts.link_or_copy(item.path, target)
        if not item.masks:
            return None
        drawn = (out / "masks" / item.key).with_name(Path(item.key).name + ".png")
        if drawn.exists():
            return None
        try:
            artefacts.write_bytes(drawn, masks.united(item.masks, images.upright_size(images.read_file(target))))
        except (MedDELError, *images.UNREADABLE) as error:
            target.unlink()
            what = error.what if isinstance(error, MedDELError) else "the image is cut off or broken"
            return Problem(item.masks[0], what, "fetch the archive again, or tell the set's authors")
        return None

    bar = progress(images.in_threads(place, items), what="prepare", total=len(items), unit="image")
    yield from (problem for problem in bar if problem is not None)


def _place(item: _Item, out: Path) -> Path:
    """Return where an image stands in the prepared set."""
    path = out / "images" / item.key
    return path.with_name(path.name + item.path.suffix.lower())


def _begin(out: Path, key: str) -> None:
    """Make the folder, or empty it if what an earlier call has left there was made of something else."""
    stamp = out / ".made-of"
    before = stamp.read_text(encoding="utf-8") if stamp.is_file() else None
    if before is None and out.is_dir() and any(out.iterdir()):
        raise MedDELError("this folder holds something else", out, "give --out a new or an empty folder")
    if before not in (None, key):
        for folder in (out / "images", out / "masks"):
            shutil.rmtree(folder, ignore_errors=True)
    artefacts.write_text(stamp, key)


def _write_frames(items: list[_Item], out: Path) -> None:
    with artefacts.atomic_write(out / "frames.csv", "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("name", *COLUMNS))
        for item in items:
            writer.writerow((item.key, *(item.columns.get(name, "") for name in COLUMNS)))


def _append(quarantine: Path, problems: list[Problem]) -> None:
    with quarantine.open(newline="", encoding="utf-8") as stream:
        lines = list(csv.reader(stream))
    lines[1:] = sorted([*lines[1:], *([str(problem.path), problem.problem, problem.fix] for problem in problems)])
    with artefacts.atomic_write(quarantine, "w") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)


def verify(folder: Path) -> int:
    """Read the images and masks of a prepared set again and return how many files that are.

    Raises
    ------
    MedDELError
        One is gone or has changed, or lies outside the folder.
    """
    rows = index.read_index(folder / "index.parquet", folder).to_pylist()
    files = [(row[name], row[digest]) for row in rows for name, digest in _HASHED if row[name] is not None]

    def differs(entry: tuple[str, str]) -> str | None:
        path = Path(entry[0])
        return None if path.is_file() and artefacts.hash_of_file(path) == entry[1] else entry[0]

    bar = progress(images.in_threads(differs, files), what="verify", total=len(files), unit="file")
    for path in bar:
        if path is not None:
            raise MedDELError(
                "this file is gone or has changed", path, "delete the prepared folder and prepare it again"
            )
    return len(files)
