"""The study: selector x retention ratio x seed x downstream set, computed cell by cell and never twice."""

from __future__ import annotations

import pyarrow as pa

from meddel import artefacts
from meddel.config import Run
from meddel.progress import progress
from meddel.study.cell import folder, pretrained, scores, selection, store, whole_pool
from meddel.study.data import Pool, pool, roles, segmentation_set, study_index, study_pixels
from meddel.study.grid import Cell, cells, shorter_cells

__all__ = [
    "Cell",
    "Pool",
    "cells",
    "folder",
    "pool",
    "pretrained",
    "roles",
    "run_study",
    "scores",
    "segmentation_set",
    "selection",
    "shorter_cells",
    "store",
    "study_index",
    "study_pixels",
    "whole_pool",
]


def run_study(run: Run, grid: list[Cell] | None = None) -> pa.Table:
    """Compute what is missing of `grid` (default: Table 3's) and return all its scores.

    Returns
    -------
    pa.Table
        `meddel.segment.SCORES_SCHEMA`, also written to ``scores.parquet`` in the run's folder for Table 3's grid.
    """
    wanted = cells(run) if grid is None else grid
    jobs = [(cell, name, head) for cell in wanted for name in roles(run)[1] for head in run.profile.segment.heads]
    parts = [scores(run, *job) for job in progress(jobs, what="study", unit="score")]
    table = pa.concat_tables(parts)
    if grid is None:
        artefacts.write_table(run.out / "scores.parquet", table)
    return table
