"""A participant's own selector against the contract and against chance (exercise `write_a_selector`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import meddel_kernels as kernels
from compendium.workshop import pictures
from compendium.workshop.checks import Check
from meddel import select as selectors
from meddel.select.adapter import as_selection

_FRAMES, _BUDGET = 40, 24
KEPT_RULES, LESS_ALIKE = "every rule of the contract is kept", "less alike than a random choice"


def _rules(select: Callable[..., Any]) -> str:
    _chosen(select, 0)  # raises what an unwritten or broken selector raises
    broken = selectors.contract.check(select)
    return broken[0] if broken else KEPT_RULES


def _less_alike(select: Callable[..., Any]) -> str:
    """Compare the mean, over what is kept, of the greatest cosine to another kept image."""
    ours = _alike(_chosen(select, 0))
    chance = float(np.mean([_alike(_chosen(selectors.get("random"), seed)) for seed in range(5)]))
    return LESS_ALIKE if ours < chance else f"mean greatest cosine {ours:.3f}, where a random choice has {chance:.3f}"


def _chosen(select: Callable[..., Any], seed: int) -> np.ndarray:
    """Return the descriptors of what a selector keeps of a small pool."""
    pool = pictures.pool(_FRAMES)
    x = pictures.describe(pool.images)
    result = select(x, pool.index, _BUDGET, np.random.default_rng(seed))
    table = as_selection(result, pool.index, _BUDGET, "yours")
    return x[table["kept"].to_numpy(zero_copy_only=False)]


def _alike(x: np.ndarray) -> float:
    order, offsets = np.arange(len(x)), np.array([0, len(x)])
    return float(kernels.top_neighbours(x, order, offsets, 1).cosine.mean())


CHECKS = (
    Check(
        "contract",
        lambda: KEPT_RULES,
        lambda: [()],
        "take all chance from rng, let ids break ties, return exactly `budget` ids, and change nothing you were given",
        run=_rules,
    ),
    Check(
        "less alike than chance",
        lambda: LESS_ALIKE,
        lambda: [()],
        "look at what your selector keeps: are there two frames of one still camera among them?",
        run=_less_alike,
    ),
)
