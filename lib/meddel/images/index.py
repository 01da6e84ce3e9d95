"""Turn any folder of images into one table, the index: a row for each whole image, with what is known of it.

A folder is a *set* (a source) if it holds images directly or in ``images/``; its masks are in ``masks/`` under the same
names. A folder of such folders is several sets; any other tree of images is one source for each folder at its top.
A set may have ``frames.csv``, ``sequences.csv`` or ``labels.csv`` with a column ``name`` and any of centre, video (or
sequence), frame and split. Files which can't be used are written to a quarantine file with the reason. The paper's
pools are described in section 3.1 (Table 1).
"""

from __future__ import annotations

import csv
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from meddel import artefacts, manifests
from meddel.errors import MedDELError
from meddel.images import read as images
from meddel.images.folders import Files, Problem, scan
from meddel.progress import progress

INDEX_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("path", pa.string()),
        pa.field("source", pa.string()),
        pa.field("centre", pa.string()),
        pa.field("video", pa.string()),
        pa.field("frame", pa.int32()),
        pa.field("split", pa.string()),
        pa.field("mask", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("sha256", pa.string()),
        pa.field("mask_sha256", pa.string()),
    ]
)
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LOG = logging.getLogger("meddel")


def build_index(folder: Path, *, quarantine: Path | None = None) -> pa.Table:
    """Read every image and mask below `folder` to its last byte and return the index.

    Parameters
    ----------
    folder : Path
        A set, a folder of sets, or any tree of images (jpg, jpeg, png, bmp, tif, tiff, webp).
    quarantine : Path or None
        CSV file (path, problem, what to do) for all files which can't be used. It is written even if it has no rows.

    Returns
    -------
    pa.Table
        `INDEX_SCHEMA`, one row an image, sorted by id. `id` is unique, ``<source>/<path without suffix>`` without the
        parts ``images`` and ``masks``; `path` and `mask` are absolute; `width` and `height` in pixels, upright.

    Raises
    ------
    MedDELError
        No such folder, no image in it, or none which can be used.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise MedDELError("no such folder", folder, "give the folder that holds your images")
    sets, problems = scan(folder.resolve())
    if not any(files.images or files.masks for files in sets):
        kinds = ", ".join(sorted(suffix[1:] for suffix in images.SUFFIXES))
        raise MedDELError("no images in this folder", folder, f"give a folder that holds {kinds} files")
    rows = _read_all(sets, problems)
    for files in sets:
        _annotate(files, rows, problems)
    if quarantine is not None:
        _write_quarantine(Path(quarantine), problems)
    if problems:
        where = f"listed in {quarantine}" if quarantine is not None else f"the first: {problems[0].path}"
        _LOG.warning("%d of %d files can't be used, %s", len(problems), len(problems) + len(rows), where)
    if not rows:
        first = problems[0]
        raise MedDELError(f"none of {len(problems)} files can be used; {first.problem}", first.path, first.fix)
    return from_rows(rows.values())


def from_rows(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Return rows (dictionaries with the index's columns, absent ones null) as an index sorted by id, each id once."""
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"]), schema=INDEX_SCHEMA)
    ids = table["id"].to_pylist()
    twice = next((first for first, second in pairwise(ids) if first == second), None)
    if twice is not None:
        raise MedDELError(f"the id {twice!r} occurs twice", fix="rename one of the two images")
    return table


def write_index(path: Path, table: pa.Table) -> None:
    """Write the index as Parquet, atomically."""
    artefacts.write_table(path, table.select(INDEX_SCHEMA.names).cast(INDEX_SCHEMA))


def read_index(path: Path, root: Path | None = None) -> pa.Table:
    """Return the index which `write_index` wrote; refuse an image or mask outside the folder `root`, if given."""
    try:
        table = pq.read_table(path).select(INDEX_SCHEMA.names).cast(INDEX_SCHEMA)
        table.validate(full=True)  # that text is text, among others
    except (OSError, pa.ArrowException, KeyError) as error:
        raise MedDELError("no readable index", path, "make it again with meddel index") from error
    inside = None if root is None else os.path.realpath(root)
    for column in () if inside is None else ("path", "mask"):
        for name, file in zip(table["id"].to_pylist(), table[column].to_pylist(), strict=True):
            if file is not None and not Path(os.path.realpath(file)).is_relative_to(inside):
                what = f"the {column} of {name!r} is outside {inside}: {file}"
                raise MedDELError(what, path, "make the index again")
    return table


def data_hash(table: pa.Table) -> str:
    """Return the SHA-256 of ids, splits and the content of images and masks, whatever their folders and dates."""
    columns = ("id", "sha256", "mask_sha256", "video", "split")
    return artefacts.hash_of(*(table[name].to_pylist() for name in columns))


def roles(table: pa.Table) -> tuple[list[str], list[str]]:
    """Return the sources which pre-train and the sets which are segmented downstream, both sorted.

    Sets of known names (`manifests.known_sets`) follow what is known; where endoscopy is among several modalities, the
    others are left out. Of the other sets, those with masks are downstream. Where all sets have masks there is no
    source: then only the sets' own training images can be pooled (``Profile.pool_downstream_train``).
    """
    masked = table.filter(table["mask"].is_valid())["source"].unique().to_pylist()
    known = manifests.known_sets()
    sources = sorted(table["source"].unique().to_pylist())
    modalities = {known[name]["modality"] for name in sources if name in known}
    pretraining, downstream = [], []
    for name in sources:
        facts = known.get(name, {"role": None, "modality": "endoscopy"})
        foreign = "endoscopy" in modalities and facts["modality"] != "endoscopy"
        if foreign or facts["role"] == "other":
            continue
        (downstream if facts["role"] != "pretraining" and name in masked else pretraining).append(name)
    return pretraining, downstream


class _Whole(NamedTuple):
    """A file which was read to its end: its size in pixels and the hash of its bytes, or what is wrong with it."""

    size: tuple[int, int] = (0, 0)
    sha256: str = ""
    problem: Problem | None = None


def _read(path: Path) -> _Whole:
    try:
        content = images.read_file(path)
    except OSError as error:
        return _Whole(problem=Problem(path, f"can't be read: {error.strerror}", "check its rights and the disk"))
    if not content:
        return _Whole(problem=Problem(path, "the file is empty", "copy it again"))
    try:
        size = images.upright_size(content)
    except images.UNREADABLE as error:
        return _Whole(problem=Problem(path, *_diagnosis(error)))
    return _Whole(size, hashlib.sha256(content).hexdigest())


def _diagnosis(error: BaseException) -> tuple[str, str]:
    text = str(error).lower()
    if "cannot identify" in text:
        return "no image, or of an unknown kind", "remove it, or convert it to PNG or JPEG"
    if "bomb" in text or "exceeds limit" in text:
        return "more than 178 million pixels", "scale it down"
    if "truncated" in text or "broken" in text:
        return "the image is cut off or broken", "copy or fetch it again"
    return f"can't be decoded ({str(error)[:80]})", "copy it again, or convert it to PNG or JPEG"


def _read_all(sets: list[Files], problems: list[Problem]) -> dict[str, dict[str, Any]]:
    """Return the rows by id, and add files which can't be used to `problems`."""
    entries = [(files, key) for files in sets for key in files.images]
    paths = [files.images[key] for files, key in entries]
    paths += [files.masks[key] for files, key in entries if key in files.masks]
    bar = progress(images.in_threads(_read, paths), what="index", total=len(paths), unit="file")
    whole = dict(zip(paths, bar, strict=True))
    rows: dict[str, dict[str, Any]] = {}
    for files, key in entries:
        path, mask = files.images[key], files.masks.get(key)
        image, drawn = whole[path], whole[mask] if mask else None
        found = [result.problem for result in (image, drawn) if result is not None and result.problem]
        if not found and drawn is not None and drawn.size != image.size:
            sizes = "mask of {} x {} pixels, image of {} x {}".format(*drawn.size, *image.size)
            found = [Problem(mask, f"{sizes}: {path}", "make the mask as large as the upright image")]
        problems.extend(found)
        if not found:
            name = f"{files.source}/{key}"
            rows[name] = {"id": name, "path": path.as_posix(), "source": files.source, "sha256": image.sha256}
            rows[name].update(width=image.size[0], height=image.size[1])
            if mask is not None:
                rows[name].update(mask=mask.as_posix(), mask_sha256=drawn.sha256)
    return rows


def _annotate(files: Files, rows: dict[str, dict[str, Any]], problems: list[Problem]) -> None:
    """Add the values in the set's CSV files to its rows; lines about images which don't exist are ignored."""
    columns: dict[str, tuple[str, Callable[[str], Any]]] = {
        "centre": ("centre", str),
        "sequence": ("video", str),
        "video": ("video", str),
        "frame": ("frame", _frame),
        "split": ("split", lambda text: _SPLITS[text.lower()]),
    }
    for path in (files.root / name for name in ("labels.csv", "sequences.csv", "frames.csv")):
        if not path.is_file():
            continue
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                lines = list(csv.DictReader(stream))
        except (OSError, ValueError, csv.Error):
            problems.append(Problem(path, "no readable CSV file", "save it as CSV in UTF-8"))
            continue
        if lines and "name" not in lines[0]:
            problems.append(Problem(path, "no column 'name'", "name the column that holds the images' names 'name'"))
            continue
        for number, line in enumerate(lines, start=2):
            row = rows.get(f"{files.source}/{files.key(line['name'] or '')}")
            for column, (field, convert) in columns.items() if row else ():
                text = (line.get(column) or "").strip()
                try:
                    row.update({field: convert(text)} if text else {})
                except (KeyError, ValueError):
                    problems.append(Problem(path, f"line {number}: {column} is {text!r}", "see the columns' meaning"))


def _frame(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**31:
        raise ValueError(f"{text} is no number of a frame")
    return number


def _write_quarantine(path: Path, problems: list[Problem]) -> None:
    """Write the problems as CSV, sorted by path; bytes of a name which are not UTF-8 become ``\\xff``."""
    rows = [(os.fsencode(one.path).decode(errors="backslashreplace"), one.problem, one.fix) for one in problems]
    with artefacts.atomic_write(path, "w") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("path", "problem", "what to do"), *sorted(rows)])
