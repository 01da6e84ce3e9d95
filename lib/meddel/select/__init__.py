"""Selectors: which images to keep. All have one signature and are found by name (see `meddel.select.registry`)."""

from meddel.select import algorithm1, chance, contract, coverage, facility_location, hardness, pruning
from meddel.select.algorithm1 import at_threshold, rank
from meddel.select.contract import as_selection
from meddel.select.pool import budget_for, clusters_for
from meddel.select.ranking import Ranking, eta_curve, eta_for
from meddel.select.registry import get, is_invariant, names, register, settings_of, source_of
from meddel.select.table import SELECTION_SCHEMA, write_kept_csv

__all__ = [
    "SELECTION_SCHEMA",
    "Ranking",
    "algorithm1",
    "as_selection",
    "at_threshold",
    "budget_for",
    "chance",
    "clusters_for",
    "contract",
    "coverage",
    "eta_curve",
    "eta_for",
    "facility_location",
    "get",
    "hardness",
    "is_invariant",
    "names",
    "pruning",
    "rank",
    "register",
    "settings_of",
    "source_of",
    "write_kept_csv",
]
