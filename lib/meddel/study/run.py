"""Run the study: compute what is missing of a grid, and let one's own selectors into its tables."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from meddel import artefacts
from meddel import select as selectors
from meddel.config import Head, Run
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.study.cell import is_scored, scores, scores_path
from meddel.study.data import roles
from meddel.study.grid import Cell, cells, equal_epochs_cells, heads, selected_cells, shorter_cells
from meddel.study.recipe import recipe


def jobs(
    run: Run, grid: list[Cell] | None = None, only: tuple[Head, ...] | None = None
) -> list[tuple[Cell, str, Head]]:
    """Return what `grid` (default: Table 3's) is scored on, in order: each cell on each downstream set, each head.

    `only` leaves out other heads than these.
    """
    wanted = cells(run) if grid is None else grid
    return [
        (cell, name, head)
        for cell in wanted
        for name in roles(run)[1]
        for head in heads(run, cell.seed)
        if only is None or head in only
    ]


def every_job(run: Run) -> list[tuple[Cell, str, Head]]:
    """Return the jobs of all grids: Table 3's, the one at equal epochs, and Table 4's."""
    return [*jobs(run, [*cells(run), *shorter_cells(run)]), *jobs(run, equal_epochs_cells(run), frozen(run))]


def frozen(run: Run) -> tuple[Head, ...]:
    """Return the head that costs least: the probe on the frozen encoder, or all where the profile has no probe."""
    return ("probe",) if "probe" in run.profile.segment.heads else run.profile.segment.heads


def is_finished(run: Run, cell: Cell, only: tuple[Head, ...] | None = None) -> bool:
    """Tell whether all scores of a cell lie in the run's folder, those of the heads `only`."""
    return all(is_scored(scores_path(run, *job), recipe(run, *job)) for job in jobs(run, [cell], only))


def run_study(run: Run, grid: list[Cell] | None = None, only: tuple[Head, ...] | None = None) -> pa.Table:
    """Compute what is missing of `grid` (default: Table 3's) and return all its scores, those of the heads `only`.

    Returns
    -------
    pa.Table
        `meddel.segment.SCORES_SCHEMA`. For Table 3's grid, with those of the selectors that were added
        (`add_selector`), and also written to ``scores.parquet`` in the run's folder.

    Raises
    ------
    MedDELError
        A selector of the grid that is not this library's breaks a rule of `meddel.select.contract`.
    """
    todo = jobs(run, grid, only)
    for name in dict.fromkeys(cell.selector for cell, _, _ in todo):
        _require_contract(name)
    table = pa.concat_tables([scores(run, *job) for job in progress(todo, what="study", unit="score")])
    if grid is None and only is None:
        table = pa.concat_tables([table, *_added(run)])
        artefacts.write_table(run.out / "scores.parquet", table)
    return table


def add_selector(run: Run, name: str) -> pa.Table:
    """Run one's own selector at every ratio and seed of the study, and let it into every table of the run.

    From then on `run_study` returns its scores too, in other processes as well, which needn't know the function. Call
    it again after the selector was changed.

    Parameters
    ----------
    run : Run
        The run; its two references are computed first, where they are missing.
    name : str
        As it was registered (`meddel.select.register`).

    Returns
    -------
    pa.Table
        The selector's scores (`meddel.segment.SCORES_SCHEMA`).

    Raises
    ------
    MedDELError
        The selector breaks a rule of its contract, or is part of the profile's grid already.
    """
    if name in run.profile.selectors:
        raise MedDELError(f"the selector {name!r} is in the study already", fix="add another one")
    _require_contract(name)
    grid = [cell for seed in run.seeds for cell in selected_cells(run, (name,), seed)]
    table = run_study(run, grid)
    path = run.out / "added" / f"{name}.parquet"
    key = _key(run)
    with artefacts.recorded(path, key, parameters={"selector": name, "source": selectors.source_of(name)}):
        artefacts.write_table(path, table)
    everything = run.out / "scores.parquet"
    if everything.is_file():
        others = pq.read_table(everything).filter(pa.compute.field("selector") != name)
        artefacts.write_table(everything, pa.concat_tables([others, table]))
    return table


def _added(run: Run) -> list[pa.Table]:
    """Return the scores of the selectors that were added to this very study."""
    paths = sorted((run.out / "added").glob("*.parquet"))
    return [pq.read_table(path) for path in paths if artefacts.is_finished(path, _key(run))]


def _key(run: Run) -> str:
    """Return what tells this study from another one in the same folder: the recipes of its references."""
    references = [
        Cell(selector=name, ratio=ratio, seed=seed)
        for name, ratio in (("none", 0.0), ("all", 1.0))
        for seed in run.seeds
    ]
    return artefacts.hash_of("added", [recipe(run, *job) for job in jobs(run, references)], run.profile.ratios)


def _require_contract(name: str) -> None:
    if name not in ("none", "all") and selectors.source_of(name):
        selectors.contract.require(selectors.get(name), invariant=selectors.is_invariant(name))
