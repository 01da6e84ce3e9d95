"""The study: selector x retention ratio x seed x downstream set, pushed from left to right (`pipeline`)."""

from meddel.study import ledger
from meddel.study.data import pool, split, study_index
from meddel.study.grid import Cell, cells, equal_epochs_cells, folder, jobs, probe_heads, shorter_cells, whole_pool
from meddel.study.pipeline import compute, selection, store, study_pixels
from meddel.study.results import add_selector, image_counts, run_study

__all__ = [
    "Cell",
    "add_selector",
    "cells",
    "compute",
    "equal_epochs_cells",
    "folder",
    "image_counts",
    "jobs",
    "ledger",
    "pool",
    "probe_heads",
    "run_study",
    "selection",
    "shorter_cells",
    "split",
    "store",
    "study_index",
    "study_pixels",
    "whole_pool",
]
