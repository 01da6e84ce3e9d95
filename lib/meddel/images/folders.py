"""Find the sets in a folder: which files are images, which are masks, and which belong together."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from meddel.images.read import SUFFIXES


class Problem(NamedTuple):
    """A file which can't be used, why, and what to do about it."""

    path: Path
    problem: str
    fix: str


@dataclass
class Files:
    """The files of one set by key: the path inside the set, without suffix and without ``images`` or ``masks``."""

    source: str
    root: Path
    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)

    @staticmethod
    def key(name: str) -> str:
        """Return the key of an image from its path inside the set, with or without suffix."""
        path = PurePosixPath(name.strip())
        parts = list(path.parts)
        for folder in ("images", "masks"):
            if folder in parts[:-1]:
                parts.remove(folder)
                break
        if path.suffix.lower() in SUFFIXES:
            parts[-1] = path.stem
        return "/".join(parts)


def scan(folder: Path) -> tuple[list[Files], list[Problem]]:
    """Return the sets in `folder` (absolute), sorted by name, and the files which belong to none.

    Hidden files and folders are ignored, links to folders are followed once.
    """
    inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    direct = [path for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]
    children = [path for path in inside if path.is_dir()]
    problems: list[Problem] = []
    if (folder / "images").is_dir() or (direct and not any((child / "images").is_dir() for child in children)):
        return [_files_of(folder, problems)], problems
    problems += [Problem(path, "an image beside the sets' folders", "move it into a set's folder") for path in direct]
    sets = [_files_of(child, problems) for child in children]
    for files in sets:
        if not files.images and not files.masks:
            problems.append(Problem(files.root, "no images in this folder", "convert its images to PNG or JPEG"))
    return sets, problems


def _files_of(root: Path, problems: list[Problem]) -> Files:
    """Return the images and masks of one set; what has no partner or takes a taken name is added to `problems`."""
    files = Files(root.name, root)
    standard = (root / "images").is_dir()
    tops = [root / name for name in ("images", "masks") if (root / name).is_dir()] if standard else [root]
    for path in (path for top in tops for path in _walk(top, problems)):
        inside = path.relative_to(root)
        is_mask = "masks" in inside.parts[:-1]
        if path.suffix.lower() not in SUFFIXES:
            if standard:
                problems.append(Problem(path, "no image, or of an unknown kind", "convert it to PNG or JPEG"))
            continue
        found = files.masks if is_mask else files.images
        key = files.key(inside.as_posix())
        if key in found:
            kind = "mask" if is_mask else "image"
            problems.append(Problem(path, f"a second {kind} of the name of {found[key].name}", "rename or remove one"))
        else:
            found[key] = path
    for key in sorted(files.masks.keys() - files.images.keys()):
        problems.append(Problem(files.masks[key], "a mask without its image", "add the image or remove the mask"))
    return files


def _walk(top: Path, problems: list[Problem]) -> list[Path]:
    """Return all files below `top` but hidden ones, sorted; names which are not UTF-8 are problems."""
    found: set[Path] = set()
    seen: set[str] = set()
    for folder, names, files in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith("."))
        images = [Path(folder) / name for name in names if Path(name).suffix.lower() in SUFFIXES]
        problems += [Problem(path, "a folder with an image's name", "rename it") for path in images]
        found |= {Path(folder) / name for name in files if not name.startswith(".")}
    odd = {path for path in found if any("\udc80" <= letter <= "\udcff" for letter in str(path))}
    problems += [Problem(path, "its name is not UTF-8", "rename it") for path in sorted(odd)]
    return sorted(found - odd)
