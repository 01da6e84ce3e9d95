"""Selectors: which images to keep. One file a method, one signature, found by name (see `meddel.selectors.base`)."""

from meddel.selectors import meddel, random
from meddel.selectors.base import SELECTION_SCHEMA, Selector, budget_for, get, names, register, write_kept_csv

__all__ = [
    "SELECTION_SCHEMA",
    "Selector",
    "budget_for",
    "get",
    "meddel",
    "names",
    "random",
    "register",
    "write_kept_csv",
]
