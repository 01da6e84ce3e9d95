"""What a smaller subset saves, measured: bytes on disk (section 4.3) and seconds of computing (section 4.4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from meddel import artefacts, study
from meddel.config import Run
from meddel.errors import MedDELError

STEPS = ("whole-pool pre-training", "embedding", "selection", "pre-training")
"""What an encoder costs, in the order of the pipeline; the first three only where a selection needs them."""


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


def computing(run: Run, cells: list[study.Cell] | None = None) -> pd.DataFrame:
    """Return the measured seconds of every step that each cell's encoder needs from nothing (section 4.4).

    MedDEL needs embeddings. Where the run embeds with its own encoder, that encoder was pre-trained on the whole pool
    before, and its seconds count for every MedDEL cell. Random selection needs no embedding. Seconds are wall-clock
    time, read from the artefacts' provenance; a step that was cut off and gone on with counts its last part only.

    Parameters
    ----------
    run : Run
        A run whose cells are computed.
    cells : list of Cell, optional
        Default: Table 3's and Table 4's; a cell without pre-training costs nothing and is left out.

    Returns
    -------
    DataFrame
        seed, selector, ratio, compute (share of the full pre-training), step (one of `STEPS`), seconds,
        peak_memory_bytes (of the process that ran the step, so far).

    Raises
    ------
    MedDELError
        A step is not finished.
    """
    rows = []
    for cell in [*study.cells(run), *study.shorter_cells(run)] if cells is None else cells:
        for step, path in _artefacts(run, cell).items():
            made = artefacts.read_provenance(path)
            if made is None:
                raise MedDELError(f"{step} of {cell.name} is not finished", path, "call study.run_study first")
            rows.append(
                (cell.seed, cell.selector, cell.ratio, cell.compute, step, made.seconds, made.peak_memory_bytes)
            )
    columns = ["seed", "selector", "ratio", "compute", "step", "seconds", "peak_memory_bytes"]
    return pd.DataFrame(rows, columns=columns)


def seconds_from_nothing(steps: pd.DataFrame) -> pd.DataFrame:
    """Add up what an encoder costs from nothing, mean over the seeds.

    Parameters
    ----------
    steps : DataFrame
        As `computing` returns it.

    Returns
    -------
    DataFrame
        selector, ratio, compute; the mean seconds of every step of `STEPS` (0 where it is not needed); total; and
        of_all, the total as a share of that of pre-training on all images.
    """
    arms = ["selector", "ratio", "compute"]
    wide = steps.pivot_table(index=arms, columns="step", values="seconds", aggfunc="mean", fill_value=0.0)
    table = wide.reindex(columns=list(STEPS), fill_value=0.0)
    table["total"] = table.sum(axis=1)
    table["of_all"] = table.total / table.total.xs("all", level="selector").iloc[0]
    return table.rename_axis(columns=None).reset_index()


def _artefacts(run: Run, cell: study.Cell) -> dict[str, Path]:
    """The artefact of every step that the cell's encoder needs."""
    if cell.selector == "none":
        return {}
    folder, weights = study.folder(run, cell), Path("pretrain") / "encoder.safetensors"
    if cell.selector == "all":
        return {"pre-training": folder / weights}
    paths = {"selection": folder / "selection.parquet", "pre-training": folder / weights}
    if cell.selector != "random":
        paths["embedding"] = run.out / "study" / f"seed-{cell.seed}" / "store" / "store.json"
        if run.profile.embedder == "own":
            paths["whole-pool pre-training"] = study.folder(run, study.whole_pool(cell.seed)) / weights
    return paths
