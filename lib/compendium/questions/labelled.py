"""Images with one label each, of any modality, on which frozen encoders are probed.

A set is a folder with ``images/`` and ``labels.csv`` (name, a column of labels, perhaps split), or a folder with one
``.npz`` file in MedMNIST's layout (``train_images``, ``train_labels``, and so on for ``val`` and ``test``).
"""

from __future__ import annotations

import csv
import functools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from meddel import artefacts, manifests
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.images import index, pixels, splits

LABEL_COLUMNS = {"isic2017": "melanoma", "wce_bleedgen": "bleeding"}
"""Which column of ``labels.csv`` is probed where it is neither called class nor label."""
NATURAL, ENDOSCOPY, UNKNOWN = "natural", "endoscopy", "not known"
_FOLDS = 3
_THUMBNAIL, _ALIKE, _BLOCK = 16, 0.95, 2048


@dataclass(frozen=True)
class LabelledSet:
    """Images with one label each.

    Attributes
    ----------
    name, modality : str
    images : uint8 [n, s, s, 3]
    labels : int64 [n]
        Positions in `classes`.
    classes : tuple of str
    groups : int64 [n]
        Images of one group (a video, or images which look alike) are in one part.
    official : str [n]
        ``"train"``, ``"val"``, ``"test"``, or ``""`` where there is no official split.
    """

    name: str
    modality: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray
    official: np.ndarray

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise MedDELError("fewer than two classes have images", self.name, "label some images otherwise")

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows to train and to test on: the official parts, or a stratified third for testing."""
        if (self.official != "").all() and (self.official == "test").any():
            train, test = np.flatnonzero(self.official != "test"), np.flatnonzero(self.official == "test")
        else:
            folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
            try:
                train, test = next(iter(folds.split(self.labels, self.labels, self.groups)))
            except ValueError as error:
                raise MedDELError(f"can't be split: {error}", self.name, "add images") from error
        for rows, part in ((train, "train"), (test, "test")):
            if len(np.unique(self.labels[rows])) < len(self.classes):
                raise MedDELError(f"a class has no image to {part} on", self.name, "add images of it")
        return train, test

    @functools.cached_property
    def content_hash(self) -> str:
        """The SHA-256 of all that decides a score."""
        return artefacts.hash_of(self.name, self.images, self.labels, self.groups, self.official.tolist())


def from_labels(
    name: str, modality: str, images: np.ndarray, labels: list[str], groups: np.ndarray, official: list[str]
) -> LabelledSet:
    """Return a set whose labels are words: its classes are their sorted values."""
    classes, numbers = np.unique(np.array(labels), return_inverse=True)
    known = tuple(classes.tolist())
    return LabelledSet(name, modality, images, numbers.astype(np.int64), known, groups, np.array(official))


def find(run: Run, size: int) -> list[LabelledSet]:
    """Return the labelled sets in the run's folder of data (sets, or one set), decoded to `size` pixels a side.

    Folders without labels are passed over. Decoded pixels are kept in the run's folder.
    """
    found, cache = [], run.out / "questions" / "labelled" / str(size)
    for root in folders(run):
        archives = sorted(root.glob("*.npz"))
        if (root / "labels.csv").is_file() and (labels := _read_labels(root)):
            found.append(_from_folder(root, labels, size, cache / root.name))
        elif archives:
            found.append(_from_archive(archives[0], root.name, size))
    return found


def folders(run: Run) -> list[Path]:
    """Return the folder of the run's data and those in it, each of which may be a set."""
    return [run.data, *sorted(path for path in run.data.iterdir() if path.is_dir())]


def modality_of(name: str) -> str:
    """Return what a set of a known name shows, or `UNKNOWN`."""
    return str(manifests.known_sets().get(name, {}).get("modality") or UNKNOWN)


def look_alike(images: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Join groups (int [n]) whose images look alike, directly or in a chain: int64 [n].

    Two images (uint8 [n, s, s, 3]) look alike if their grey thumbnails of 16 x 16 correlate by more than 0.95.
    """
    small = np.stack([np.asarray(Image.fromarray(image).convert("L").resize((_THUMBNAIL,) * 2)) for image in images])
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6
    links = []
    for start in range(0, len(flat), _BLOCK):
        first, second = np.nonzero(flat[start : start + _BLOCK] @ flat.T > _ALIKE)
        links.append(np.stack([first + start, second]))
    # images of one group are linked to its first one
    _, heads, members = np.unique(groups, return_index=True, return_inverse=True)
    ends = np.concatenate([*links, np.stack([np.arange(len(groups)), heads[members]])], axis=1)
    graph = coo_array((np.ones(ends.shape[1], np.int8), tuple(ends)), shape=(len(flat), len(flat)))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _read_labels(root: Path) -> dict[str, str]:
    """Return the label of every name, or nothing where the file has no column of labels."""
    path = root / "labels.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise MedDELError("no readable CSV file", path, "save it as CSV in UTF-8") from error
    columns = [name for name in (LABEL_COLUMNS.get(root.name), "class", "label") if lines and name in lines[0]]
    if not columns or "name" not in lines[0]:
        return {}
    return {line["name"].strip(): label for line in lines if (label := (line[columns[0]] or "").strip())}


def _from_folder(root: Path, labels: dict[str, str], size: int, cache: Path) -> LabelledSet:
    path, key = cache / "index.parquet", artefacts.hash_of("labelled", artefacts.hash_of_listing(root))
    if not artefacts.is_finished(path, key):
        with artefacts.recorded(path, key, parameters={"folder": str(root)}):
            index.write_index(path, index.build_index(root, quarantine=cache / "quarantine.csv"))
    table = index.read_index(path)
    names = [name.split("/", 1)[1] for name in table["id"].to_pylist()]
    rows = np.array([row for row, name in enumerate(names) if name in labels], dtype=np.int64)
    if not len(rows):
        raise MedDELError("no image is named in labels.csv", root, "name the images without their suffix")
    images, part = pixels.decode(table, size, cache).images[rows], table.take(pa.array(rows))
    groups, official = look_alike(images, splits.group(part)), [split or "" for split in part["split"].to_pylist()]
    return from_labels(
        root.name, modality_of(root.name), images, [labels[names[row]] for row in rows], groups, official
    )


def _from_archive(path: Path, name: str, size: int) -> LabelledSet:
    images, words, official = [], [], []
    try:
        with np.load(path, allow_pickle=False) as content:
            for split in ("train", "val", "test"):
                if f"{split}_images" in content:
                    pictures, labels = content[f"{split}_images"], content[f"{split}_labels"]
                    if labels.size != len(pictures):
                        raise MedDELError("no images with one label each", path, "take another set of MedMNIST")
                    images += [square(image, size) for image in pictures]
                    words += labels.ravel().astype(str).tolist()
                    official += [split] * len(pictures)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise MedDELError("no readable archive of images and labels", path, "fetch it again") from error
    if not images:
        raise MedDELError("no images with one label each", path, "give train_images, train_labels and so on")
    return from_labels(name, modality_of(name), np.stack(images), words, np.arange(len(words)), official)


def square(image: np.ndarray, size: int) -> np.ndarray:
    """Return a grey or RGB image as uint8 [size, size, 3]."""
    return np.asarray(Image.fromarray(image).convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
