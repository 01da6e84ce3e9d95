"""Apply a set's own rule: which file is an image, which masks belong to it, and what a path says.

A Croissant record set names a file set (globs) and, for each field, a regular expression on a file's path inside the
archive. So the rule of every set is data; a set with a new layout needs a manifest and no code.
"""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from datadel.manifest import Manifest
from meddel.errors import MedDELError

COLUMNS = ("centre", "video", "frame", "split", "label")
_SPLITS = {"train": "train", "dev": "train", "val": "val", "test": "test"}

Step = tuple[re.Pattern[str], str | None]


@dataclass
class Files:
    """The files that the record sets find, by key (``image_id``) or name; `clashes` are images of a taken key."""

    images: dict[str, Path] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    masks: dict[str, list[Path]] = field(default_factory=dict)
    videos: dict[str, Path] = field(default_factory=dict)
    arrays: dict[str, Path] = field(default_factory=dict)
    clashes: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class _Rule:
    """A record set over one file set: the paths and archives that it covers, and how its fields are read."""

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


def find(manifest: Manifest, folders: dict[str | None, Path]) -> Files:
    """Find in unpacked archives what the record sets describe.

    `folders` has the folder of each archive by its name; None for a folder that holds them all. A record set that
    can't be followed, or a rule that leads out of the set, is refused.
    """
    try:
        return _found(manifest, folders)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, re.error) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise MedDELError(
            f"its record sets can't be followed ({reason})", manifest.name, "mend the manifest"
        ) from error


def _found(manifest: Manifest, folders: dict[str | None, Path]) -> Files:
    files, rules = Files(), list(_rules(manifest))
    for archive, folder in folders.items():
        usable = [rule for rule in rules if archive is None or archive in rule.archives]
        for path in _walk(folder):
            inside = path.relative_to(folder).as_posix()
            for rule in usable:
                fields = rule.read(inside)
                if fields is not None:
                    _add(files, rule.name, path, fields)
    for split, key in _listed_splits(manifest, folders):
        files.columns.setdefault(key, {})["split"] = split
    for video, (first, last) in manifest.jsonld.get("del:sequences", {}).items():
        for columns in files.columns.values():
            if first <= int(columns.get("frame", -1)) <= last:
                columns.setdefault("video", video)
    return files


def _rules(manifest: Manifest) -> Iterator[_Rule]:
    """Yield the rules of the record sets that read files by their paths."""
    entries = {entry["@id"]: entry for entry in manifest.jsonld["distribution"]}
    for record_set in manifest.jsonld.get("recordSet", ()):
        by_set: dict[str, dict[str, tuple[Step, ...]]] = {}
        for one in _listed(record_set["field"]):
            source = one.get("source", {})
            if "fileSet" in source:
                fields = by_set.setdefault(source["fileSet"]["@id"], {})
                steps = tuple(map(_step, _listed(source.get("transform", []))))
                if steps:
                    fields[one["@id"].rpartition("/")[2]] = steps
        for name, fields in by_set.items():
            globs = tuple(re.compile(_regex_of(glob)) for glob in _listed(entries[name].get("includes", [])))
            yield _Rule(record_set["@id"], globs, frozenset(_archives_of(name, entries)), fields)


def _step(transform: dict[str, str]) -> Step:
    """Return a transformation: a pattern whose group is taken, or a pattern and its replacement (``pattern/text``)."""
    if "regex" in transform:
        return re.compile(transform["regex"]), None
    pattern, _, replacement = transform["replace"].partition("/")
    return re.compile(pattern), replacement


def _transformed(text: str, steps: tuple[Step, ...]) -> str:
    """Return what a field's transformations make of a path; nothing where one does not match."""
    for pattern, replacement in steps:
        if replacement is not None:
            text = pattern.sub(replacement, text)
        else:
            match = pattern.search(text)
            text = match[1] or "" if match is not None else ""
    return text


def _add(files: Files, record_set: str, path: Path, fields: dict[str, str]) -> None:
    key = _inside(fields.pop("image_id", path.stem), path)
    if record_set.startswith("masks"):
        files.masks.setdefault(key, []).append(path)
    elif record_set.startswith("videos"):
        key = _inside(fields.get("video", path.stem), path)
        files.videos.setdefault(key, path)
    elif path.suffix == ".npz":
        files.arrays[path.stem] = path
        return
    elif key in files.images:
        if not filecmp.cmp(path, files.images[key], shallow=False):
            files.clashes.append(path)
        return
    else:
        files.images[key] = path
    known = files.columns.setdefault(key, {})
    for name in COLUMNS:
        if name == "label" and name in fields:  # an image may have several
            known[name] = "|".join(sorted({*known.get(name, "").split("|"), fields[name]} - {""}))
        elif name == "split" and name in fields:
            known[name] = _split_of(fields[name])
        elif name in fields:
            known.setdefault(name, fields[name])


def _inside(key: str, path: Path) -> str:
    """Return a key that becomes a path below the folder of the prepared set."""
    if "\0" in key or key.startswith("/") or ".." in PurePosixPath(key).parts:
        raise MedDELError(f"the manifest makes {key!r} of this path, which leads out of the set", path, "mend it")
    return key


def _split_of(text: str) -> str:
    """Return train, val or test for what a set calls its part, such as Training, TrainValid, Development, TestEasy."""
    name = next((name for start, name in _SPLITS.items() if text.lower().startswith(start)), None)
    if name is None:
        raise MedDELError(f"{text!r} is neither a training nor a validation nor a test split", fix="mend the manifest")
    return name


def _listed_splits(manifest: Manifest, folders: dict[str | None, Path]) -> Iterator[tuple[str, str]]:
    """Yield the split and the key of each line of the text files that list official splits."""
    entries = {entry["@id"]: entry for entry in manifest.jsonld["distribution"]}
    for record_set in manifest.jsonld.get("recordSet", ()):
        for one in _listed(record_set["field"]):
            listing = one.get("source", {}).get("fileObject", {}).get("@id")
            if listing is None:
                continue
            name = PurePosixPath(entries[listing]["contentUrl"]).name
            for path in (path for folder in folders.values() for path in sorted(folder.rglob(name))):
                for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
                    if line.strip():
                        yield _split_of(record_set["@id"]), PurePosixPath(line.strip()).stem


def _archives_of(name: str, entries: dict[str, dict[str, Any]]) -> set[str]:
    """Return the names of the outermost archives that a file set is in."""
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
    """Return a list, of which JSON-LD writes one of a single entry as that entry."""
    return value if isinstance(value, list) else [value]
