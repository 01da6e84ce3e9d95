"""A set's own rule, read from its manifest's record sets: which file is an image, which its masks, what a path tells.

A Croissant record set names a file set (globs) and, for each field, a regular expression on a file's path inside the
archive. So the rule of every set of Table 1 is data; a set with a new layout needs a manifest and no code.
"""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from datadel.manifest import Manifest
from meddel.errors import MedDELError

COLUMNS = ("centre", "video", "frame", "split", "label")
_SPLITS = {"train": "train", "dev": "train", "val": "val", "test": "test"}
_KEY = "image_id"

Step = tuple[re.Pattern[str], str | None]


@dataclass
class Files:
    """What the record sets find.

    Attributes
    ----------
    images : dict
        Path of each image by its key (``image_id``).
    columns : dict
        For each key what its path tells of `COLUMNS`, as text.
    masks : dict
        All masks of a key, in the order of their paths.
    videos : dict
        Path of each video by its id.
    arrays : dict
        Files of NumPy that hold images, by name.
    clashes : list of Path
        Images whose key another one has that shows something else.
    """

    images: dict[str, Path] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    masks: dict[str, list[Path]] = field(default_factory=dict)
    videos: dict[str, Path] = field(default_factory=dict)
    arrays: dict[str, Path] = field(default_factory=dict)
    clashes: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Rule:
    """A record set over one file set: what belongs to it, and what is read off a path."""

    name: str
    includes: tuple[re.Pattern[str], ...]
    archives: frozenset[str]
    fields: dict[str, tuple[Step, ...]]

    def read(self, path: str) -> dict[str, str] | None:
        """Return the fields of a path inside an archive, or None if it does not belong to the record set."""
        if not any(pattern.fullmatch(path) for pattern in self.includes):
            return None
        found = {name: _transformed(path, steps) for name, steps in self.fields.items()}
        return {name: text for name, text in found.items() if text}


def _transformed(text: str, steps: tuple[Step, ...]) -> str:
    """Return what a field's transformations make of a path; nothing where one does not match."""
    for pattern, replacement in steps:
        if replacement is not None:
            text = pattern.sub(replacement, text)
        else:
            match = pattern.search(text)
            text = match[1] or "" if match is not None else ""
    return text


def rules(manifest: Manifest) -> list[Rule]:
    """Return the rules of a manifest's record sets that read files by their paths.

    Raises
    ------
    MedDELError
        A field names a file set that is not there, or they are no record sets at all.
    """
    with _followed(manifest):
        return _rules(manifest)


@contextmanager
def _followed(manifest: Manifest) -> Iterator[None]:
    """Say in one line what of a manifest's record sets is missing, or of another kind than it has to be."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, re.error) as error:
        said = f"{type(error).__name__}: {error}"[:120]
        raise MedDELError(f"its record sets can't be followed ({said})", manifest.name, "mend the manifest") from error


def _rules(manifest: Manifest) -> list[Rule]:
    entries = {entry["@id"]: entry for entry in manifest.jsonld["distribution"]}
    found = []
    for record_set in manifest.jsonld.get("recordSet", ()):
        by_set: dict[str, dict[str, tuple[Step, ...]]] = {}
        for one in _listed(record_set["field"]):
            source = one.get("source", {})
            if "fileSet" not in source:
                continue
            fields = by_set.setdefault(source["fileSet"]["@id"], {})
            steps = tuple(map(_step, _listed(source.get("transform", []))))
            if steps:
                fields[one["@id"].rpartition("/")[2]] = steps
        for name, fields in by_set.items():
            if name not in entries:
                raise MedDELError(f"record set {record_set['@id']!r} reads {name!r}, which is not there", manifest.name)
            globs = tuple(re.compile(_regex_of(glob)) for glob in _listed(entries[name].get("includes", [])))
            found.append(Rule(record_set["@id"], globs, frozenset(_archives_of(name, entries)), fields))
    return found


def _step(transform: dict[str, str]) -> Step:
    """Return a transformation: a pattern whose group is taken, or what is replaced and by what (``pattern/text``)."""
    if "regex" in transform:
        return re.compile(transform["regex"]), None
    pattern, _, replacement = transform["replace"].partition("/")
    return re.compile(pattern), replacement


def find(manifest: Manifest, folders: dict[str | None, Path]) -> Files:
    """Search unpacked archives for what the record sets describe.

    Parameters
    ----------
    manifest : Manifest
    folders : dict
        The folder of each archive by its name; None for a folder that holds them all, as a person unpacked them.

    Returns
    -------
    Files

    Raises
    ------
    MedDELError
        As for `rules`, or a rule leads out of the set.
    """
    with _followed(manifest):
        return _found(manifest, folders)


def _found(manifest: Manifest, folders: dict[str | None, Path]) -> Files:
    files, every = Files(), _rules(manifest)
    for archive, folder in folders.items():
        usable = [rule for rule in every if archive is None or archive in rule.archives]
        for path in _walk(folder):
            inside = path.relative_to(folder).as_posix()
            for rule in usable:
                fields = rule.read(inside)
                if fields is not None:
                    _add(files, rule.name, path, fields)
    for name, keys in _listed_splits(manifest, folders):
        for key in keys:
            files.columns.setdefault(key, {})["split"] = name
    for video, (first, last) in manifest.jsonld.get("del:sequences", {}).items():
        for columns in files.columns.values():
            if first <= int(columns.get("frame", -1)) <= last:
                columns.setdefault("video", video)
    return files


def _add(files: Files, record_set: str, path: Path, fields: dict[str, str]) -> None:
    key = _inside(fields.pop(_KEY, path.stem), path)
    if record_set.startswith("masks"):
        files.masks.setdefault(key, []).append(path)
        _tell(files, key, fields)
    elif record_set.startswith("videos"):
        video = _inside(fields.get("video", path.stem), path)
        files.videos.setdefault(video, path)
        _tell(files, video, fields)
    elif path.suffix == ".npz":
        files.arrays[path.stem] = path
    elif key in files.images:
        if not filecmp.cmp(path, files.images[key], shallow=False):
            files.clashes.append(path)
    else:
        files.images[key] = path
        _tell(files, key, fields)


def _inside(key: str, path: Path) -> str:
    """Return a key that becomes a path below the folder of the prepared set."""
    if "\0" in key or key.startswith("/") or ".." in PurePosixPath(key).parts:
        raise MedDELError(f"the manifest makes {key!r} of this path, which leads out of the set", path, "mend it")
    return key


def _tell(files: Files, key: str, fields: dict[str, str]) -> None:
    """Note what a path tells of a key; labels add up, since an image may have several."""
    known = files.columns.setdefault(key, {})
    for name in COLUMNS:
        if name == "label" and name in fields:
            known[name] = "|".join(sorted({*known.get(name, "").split("|"), fields[name]} - {""}))
        elif name == "split" and name in fields:
            known[name] = split_of(fields[name])
        elif name in fields:
            known.setdefault(name, fields[name])


def split_of(text: str) -> str:
    """Return train, val or test for what a set calls its part, such as Training, TrainValid, Development, TestEasy."""
    name = next((name for start, name in _SPLITS.items() if text.lower().startswith(start)), None)
    if name is None:
        raise MedDELError(f"{text!r} is neither a training nor a validation nor a test split", fix="mend the manifest")
    return name


def _listed_splits(manifest: Manifest, folders: dict[str | None, Path]) -> Iterator[tuple[str, list[str]]]:
    """Yield the official splits that stand in text files, a key a line: their names and their keys."""
    entries = {entry["@id"]: entry for entry in manifest.jsonld["distribution"]}
    for record_set in manifest.jsonld.get("recordSet", ()):
        for one in _listed(record_set["field"]):
            listing = one.get("source", {}).get("fileObject", {}).get("@id")
            if listing is None:
                continue
            name = PurePosixPath(entries[listing]["contentUrl"])
            for folder in folders.values():
                for path in sorted(folder.rglob(name.name)):
                    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                    yield (
                        split_of(record_set["@id"]),
                        [PurePosixPath(line.strip()).stem for line in lines if line.strip()],
                    )


def _archives_of(name: str, entries: dict[str, dict[str, Any]]) -> set[str]:
    """Return the outermost archives that a file set lies in, by name."""
    inside = [reference["@id"] for reference in _listed(entries[name].get("containedIn", []))]
    return set().union(*(_archives_of(outer, entries) for outer in inside)) if inside else {entries[name]["name"]}


def _regex_of(glob: str) -> str:
    """Return a glob as a regular expression: ``*`` stays in a folder, ``**`` does not; outer folders don't matter."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]/]+\])", glob)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "(?:.*/)?" + "".join(part if part[:1] == "[" else meaning.get(part, re.escape(part)) for part in parts)


def _walk(folder: Path) -> Iterator[Path]:
    for place, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(files) if not name.startswith("."))


def _listed(value: Any) -> list[Any]:
    """JSON-LD writes a list of one as that one."""
    return value if isinstance(value, list) else [value]
