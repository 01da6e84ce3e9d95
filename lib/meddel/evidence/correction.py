"""Correction for many comparisons: what may be said of all of them at once.

Of a hundred true null hypotheses five fall at the 5 % level. Holm's step-down correction bounds the chance that *any*
true one falls among those that are made together, whatever the dependence between them (all differences to random
share the random arm). It says of fewer arms that they differ, and of all that it names at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def holm(p: ArrayLike) -> np.ndarray:
    """Return Holm's corrected p values.

    Parameters
    ----------
    p : array_like of float [n]
        P values of one family. NaN, a test that could not be made, stays NaN and does not count.

    Returns
    -------
    np.ndarray
        float64 [n]. The hypotheses with a corrected value below alpha can all be rejected together: the chance that a
        true one is among them is at most alpha.
    """
    values = np.asarray(p, dtype=float)
    corrected = np.full(values.shape, np.nan)
    order = np.argsort(values)[: np.isfinite(values).sum()]
    # As statsmodels' multipletests, which takes a hundred times longer: it collects garbage at every call.
    steps = np.arange(len(order), 0, -1) * values[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def corrected(table: pd.DataFrame, by: Sequence[str] = ("set", "head"), p: str = "p") -> pd.DataFrame:
    """Add to a table of tests what the correction makes of them.

    Parameters
    ----------
    table : DataFrame
        A row a test.
    by : sequence of str
        Columns that tell the families apart. By default a family holds all selectors and ratios of one set and head.
    p : str
        Column of the p values.

    Returns
    -------
    DataFrame
        The rows in their order, with ``corrected`` (`holm` within the family) and ``comparisons`` (tests made in it).
    """
    families = table.groupby(list(by))[p]
    return table.assign(
        corrected=families.transform(lambda values: holm(values.to_numpy())), comparisons=families.transform("count")
    )


def simultaneous(comparisons: Mapping[str, int]) -> str:
    """Say in words what corrected tests allow to conclude of all of them at once.

    Parameters
    ----------
    comparisons : mapping
        For each kind of comparison, such as ``"with random"``, how many were made in one set and head.

    Returns
    -------
    str
        One sentence or two; empty if there is nothing to correct.
    """
    many = [f"{number} {kind}" for kind, number in comparisons.items() if number > 1]
    if not many:
        return ""
    return (
        f"Verdicts are corrected (Holm) for the number of comparisons in each set and head: {' and '.join(many)}. "
        "Among those of one kind, the chance that even one is called reproduced although it is false is at most 5 %."
    )
