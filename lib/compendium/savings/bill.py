"""The bill of an encoder: what every step that leads to it has cost, selecting and training apart (section 4.4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from meddel import artefacts, evidence, study
from meddel.config import Run
from meddel.errors import MedDELError

STEPS = ("whole-pool pre-training", "embedding", "selection", "pre-training")
"""What an encoder costs, in the order of the pipeline; the first three only where a selection needs them."""
SELECTING = STEPS[:3]
"""The steps that choose the images; what is left is training."""
_ARM = ["selector", "ratio", "compute"]
_GREATEST = ["peak_memory_bytes", "added_memory_bytes", "gpu_memory_bytes"]


def computing(run: Run, cells: list[study.Cell] | None = None) -> pd.DataFrame:
    """Return the measured cost of every step that each cell's encoder needs from nothing (section 4.4).

    MedDEL needs embeddings. Where the run embeds with its own encoder, that encoder was pre-trained on the whole pool
    before, and its cost counts for every MedDEL cell. Random selection needs no embedding. All is read from the
    artefacts' provenance. A pre-training that was cut off and gone on with counts whole; an embedding that was counts
    its last part only.

    Parameters
    ----------
    run : Run
        A run whose cells are computed.
    cells : list of Cell, optional
        Default: Table 3's and Table 4's; a cell without pre-training costs nothing and is left out.

    Returns
    -------
    DataFrame
        seed, selector, ratio, compute (share of the full pre-training), step (one of `STEPS`), seconds (wall-clock),
        joules (NaN where not counted), joules_by, joules_absent, peak_memory_bytes (resident), peak_memory_of
        (``step``, or ``process`` where only the process's peak so far is known), added_memory_bytes (what the step's
        peak lies above the memory before it; NaN where that is not known), gpu_memory_bytes (NaN on the processor).

    Raises
    ------
    MedDELError
        A step is not finished.
    """
    names = ["seconds", "joules", "joules_by", "joules_absent", "peak_memory_bytes", "peak_memory_of"]
    names.append("gpu_memory_bytes")
    rows = []
    for cell in [*study.cells(run), *study.shorter_cells(run)] if cells is None else cells:
        for step, path in paths_of(run, cell).items():
            made = artefacts.read_provenance(path)
            if made is None:
                raise MedDELError(f"{step} of {cell.name} is not finished", path, "call study.run_study first")
            costs = [getattr(made, name) for name in names]
            rows.append((cell.seed, cell.selector, cell.ratio, cell.compute, step, *costs, _added(made)))
    table = pd.DataFrame(rows, columns=["seed", *_ARM, "step", *names, "added_memory_bytes"])
    return table.astype(dict.fromkeys(("joules", *_GREATEST[1:]), float))


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


def apart(steps: pd.DataFrame) -> pd.DataFrame:
    """Add up selecting and training apart, mean over the seeds.

    Parameters
    ----------
    steps : DataFrame
        As `computing` returns it.

    Returns
    -------
    DataFrame
        selector, ratio, compute, part (``selection`` or ``training``); seconds with the 95 % interval over the seeds
        (low, high; NaN for one seed); joules (NaN if one step was not counted); peak_memory_bytes, added_memory_bytes
        and gpu_memory_bytes, the greatest of the part's steps.
    """
    parts = steps.assign(part=np.where(steps.step.isin(SELECTING), "selection", "training"))
    groups = parts.groupby([*_ARM, "part", "seed"])
    whole = groups[_GREATEST].max()
    whole["seconds"] = groups.seconds.sum()
    whole["joules"] = groups.joules.agg(lambda values: values.sum(skipna=False))
    rows = []
    for arm, seeds in whole.groupby([*_ARM, "part"], sort=True):
        means = (seeds.seconds.mean(), *evidence.interval(seeds.seconds), seeds.joules.mean(skipna=False))
        rows.append((*arm, *means, *seeds[_GREATEST].max()))
    return pd.DataFrame(rows, columns=[*_ARM, "part", "seconds", "low", "high", "joules", *_GREATEST])


def paths_of(run: Run, cell: study.Cell) -> dict[str, Path]:
    """Return the artefact of every step of `STEPS` that the cell's encoder needs, made or not."""
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


def _added(made: artefacts.Provenance) -> float:
    if made.memory_before_bytes is None or made.peak_memory_of != "step":
        return np.nan
    return made.peak_memory_bytes - made.memory_before_bytes
