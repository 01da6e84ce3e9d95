"""Bytes on the disk: of the images that a selection keeps, and of what selecting and training each need (4.3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from compendium.savings.bill import paths_of
from meddel import artefacts, study
from meddel.config import Run
from meddel.errors import MedDELError


def file_bytes(index: pa.Table) -> np.ndarray:
    """Return the size of every image file of an index, in bytes: int64 [n].

    Raises
    ------
    MedDELError
        A file is gone.
    """
    paths = [Path(path) for path in index["path"].to_pylist()]
    try:
        return np.array([path.stat().st_size for path in paths], dtype=np.int64)
    except OSError as error:
        raise MedDELError("an image of the index is gone", error.filename, "index the images again") from error


def storage(run: Run, cells: list[study.Cell] | None = None) -> pd.DataFrame:
    """Return what the images that each cell keeps take on the disk (section 4.3).

    The share of the bytes need not be the share of the images: files of blurred or dark frames are small, so that a
    selector that drops them keeps more bytes than images.

    Parameters
    ----------
    run : Run
        A run whose selections exist or can be made.
    cells : list of Cell, optional
        Default: Table 3's; a cell without pre-training keeps nothing and is left out.

    Returns
    -------
    DataFrame
        seed, selector, ratio, images (kept), bytes (of their files), image_share, byte_share (fractions of the pool).
    """
    rows = []
    for cell in study.cells(run) if cells is None else cells:
        if cell.selector == "none":
            continue
        size = file_bytes(study.pool(run, cell.seed).index)
        kept = np.ones(len(size), bool)
        if cell.selector != "all":
            kept = study.selection(run, cell)["kept"].to_numpy()
        images, held = int(kept.sum()), int(size[kept].sum())
        shares = (images / len(size), held / size.sum())
        rows.append((cell.seed, cell.selector, cell.ratio, images, held, *shares))
    columns = ["seed", "selector", "ratio", "images", "bytes", "image_share", "byte_share"]
    return pd.DataFrame(rows, columns=columns)


def bytes_on_disk(run: Run, cells: list[study.Cell] | None = None) -> pd.DataFrame:
    """Return what selecting and what training need on the disk, item by item (section 4.3).

    Parameters
    ----------
    run : Run
        A run whose cells are computed.
    cells : list of Cell, optional
        Default: Table 3's; a cell without pre-training needs nothing and is left out.

    Returns
    -------
    DataFrame
        seed, selector, ratio, part, item, bytes (float). Part ``selection``: the files of the whole pool, which all
        have to be there until the choice is made; where embeddings are needed their store and the run's own encoder;
        the selection's table. Part ``training``: the files of the images kept; their share of the decoded pixels; the
        checkpoint while it trains (its tensors; NaN where an older record does not tell); the weights.

    Raises
    ------
    MedDELError
        A step is not finished, or an image is gone.
    """
    rows = []
    decoded = study.study_pixels(run).images
    for cell in study.cells(run) if cells is None else cells:
        if cell.selector == "none":
            continue
        paths, held = paths_of(run, cell), storage(run, [cell]).iloc[0]
        whole = study.whole_pool(cell.seed)
        items = [
            ("training", "images kept", held.bytes),
            ("training", "decoded pixels", held.images * decoded[0].nbytes),
            ("training", "checkpoint", _scratch(paths["pre-training"], cell)),
            ("training", "weights", _size(paths["pre-training"])),
        ]
        if "selection" in paths:
            items.append(("selection", "images of the pool", storage(run, [whole]).bytes.iloc[0]))
            items.append(("selection", "selection", _size(paths["selection"])))
        if "embedding" in paths:
            items.append(("selection", "embedding store", _size(study.store(run, cell.seed).folder)))
        if "whole-pool pre-training" in paths:
            items.append(("selection", "encoder that embeds", _size(paths["whole-pool pre-training"])))
        rows += [(cell.seed, cell.selector, cell.ratio, part, item, float(size)) for part, item, size in items]
    return pd.DataFrame(rows, columns=["seed", "selector", "ratio", "part", "item", "bytes"])


def _scratch(path: Path, cell: study.Cell) -> float:
    made = artefacts.read_provenance(path)
    if made is None:
        raise MedDELError(f"pre-training of {cell.name} is not finished", path, "call study.run_study first")
    return np.nan if made.scratch_bytes is None else made.scratch_bytes


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
