"""The grid of the study: which encoders are pre-trained on what, and on what they are scored, in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from meddel.config import Config, Head, Run
from meddel.images import index
from meddel.study.data import study_index


class Cell(Config):
    """One encoder of the study.

    `selector` is ``none`` (no pre-training), ``all`` (the whole pool) or the name of a selector; `ratio` is the
    retention ratio R (0 for ``none``, 1 for ``all``); `compute` is its share of the full pre-training.
    """

    selector: str
    ratio: float
    seed: int
    compute: float = 1.0

    @property
    def name(self) -> str:
        """Name the cell's folder, unique within its seed."""
        ratio = "" if self.selector in ("none", "all") else f"-{self.ratio:g}"
        share = "" if self.compute == 1 else f"-compute-{self.compute:g}"
        return f"{self.selector}{ratio}{share}"

    @property
    def selects(self) -> bool:
        """Return whether the cell pre-trains on a selection, so that the pool has to be embedded first."""
        return self.selector not in ("none", "all")


Job = tuple[Cell, str, Head]
"""An encoder, the downstream set and the head that it is scored with."""


def whole_pool(seed: int) -> Cell:
    """Return the cell that pre-trains on the whole pool, whose encoder also embeds it."""
    return Cell(selector="all", ratio=1.0, seed=seed)


def cells(run: Run, selectors: Sequence[str] | None = None) -> list[Cell]:
    """Return the cells of Table 3 seed by seed, so that a study that is cut short leaves whole seeds.

    The two references come first: without a clear gain of ``all`` over ``none`` no selector can be told from another.
    `selectors` None means the profile's.
    """
    chosen = run.profile.selectors if selectors is None else selectors
    grid = []
    for seed in run.seeds:
        grid += [Cell(selector="none", ratio=0.0, seed=seed), whole_pool(seed)]
        grid += selected_cells(run, chosen, seed)
    return grid


def selected_cells(run: Run, selectors: Sequence[str], seed: int) -> list[Cell]:
    """Return the cells of one seed that pre-train on a selection, the smallest ratios first."""
    return [Cell(selector=selector, ratio=ratio, seed=seed) for ratio in run.profile.ratios for selector in selectors]


def equal_epochs_cells(run: Run) -> list[Cell]:
    """Return the cells of Table 3 whose encoders see each of their images as often as that of the whole pool does.

    A subset then costs its share of the whole pre-training: what it saves, and what it may lose (section 4.4).
    """
    return [cell.model_copy(update={"compute": cell.ratio}) for cell in cells(run) if cell.selects]


def shorter_cells(run: Run) -> list[Cell]:
    """Return the cells of Table 4: MedDEL at the largest ratio below 1, pre-trained for less time."""
    ratio, shares = max(run.profile.ratios), run.profile.compute_shares
    return [
        Cell(selector="meddel", ratio=ratio, seed=seed, compute=share)
        for seed in run.seeds
        for share in shares
        if share < 1
    ]


def heads(run: Run, seed: int) -> tuple[Head, ...]:
    """Return the heads that a seed's encoders get; those that are fine-tuned only for the first `tuned_seeds`."""
    tuned, every = run.profile.tuned_seeds, run.profile.segment.heads
    return every if tuned is None or seed < run.seed + tuned else tuple(head for head in every if head == "probe")


def probe_heads(run: Run) -> tuple[Head, ...]:
    """Return the head that costs least: the probe on the frozen encoder, or all where the profile has no probe."""
    return ("probe",) if "probe" in run.profile.segment.heads else run.profile.segment.heads


def jobs(run: Run, grid: Sequence[Cell] | None = None, only: Sequence[Head] | None = None) -> list[Job]:
    """Return what `grid` (default: Table 3's) is scored on, in order: each cell on each downstream set, each head.

    `only` leaves out other heads than these.
    """
    sets = index.roles(study_index(run))[1]
    return [
        (cell, name, head)
        for cell in (cells(run) if grid is None else grid)
        for name in sets
        for head in heads(run, cell.seed)
        if only is None or head in only
    ]


def every_job(run: Run) -> list[Job]:
    """Return the jobs of all grids: Table 3's, Table 4's, and the one at equal epochs."""
    return [*jobs(run, [*cells(run), *shorter_cells(run)]), *jobs(run, equal_epochs_cells(run), probe_heads(run))]


def folder(run: Run, cell: Cell) -> Path:
    """Return the folder of a cell's artefacts."""
    return run.out / "study" / f"seed-{cell.seed}" / cell.name


def scores_path(run: Run, cell: Cell, set_name: str, head: Head) -> Path:
    """Return where a job's scores are written, with ``images.parquet`` and ``recipe.json`` beside them."""
    return folder(run, cell) / f"{set_name}-{head}" / "scores.parquet"
