"""The study: selector x retention ratio x seed x downstream set, computed cell by cell and never twice."""

from meddel.study import ledger
from meddel.study.cell import folder, pretrained, scores, selection, store, whole_pool
from meddel.study.composition import composition, mean_shares
from meddel.study.data import Pool, pool, roles, segmentation_set, study_index, study_pixels
from meddel.study.grid import Cell, cells, equal_epochs_cells, heads, shorter_cells
from meddel.study.recipe import recipe
from meddel.study.run import add_selector, frozen, jobs, run_study

__all__ = [
    "Cell",
    "Pool",
    "add_selector",
    "cells",
    "composition",
    "equal_epochs_cells",
    "folder",
    "frozen",
    "heads",
    "jobs",
    "ledger",
    "mean_shares",
    "pool",
    "pretrained",
    "recipe",
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
