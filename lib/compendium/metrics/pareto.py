"""Readings of the same cells that need no weight: the Pareto front, its hypervolume, and the area under the curve.

Two aims are held against each other: little data and high mIoU. A cell *dominates* another if it is no worse in both
and better in one; those that none dominates are the *front*, and a choice among them depends on what data are worth.
"""

from __future__ import annotations

from typing import Literal

import moocore
import numpy as np
import pandas as pd

from compendium.metrics.cells import checked, curves
from meddel.errors import MedDELError

_AIMS = [False, True]
"""For the columns ratio and miou: whether more is better."""


def with_front(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with a column ``on_front``: whether no cell of the same set dominates it.

    Parameters
    ----------
    cells : DataFrame
        `cells.COLUMNS`, fractions.

    Returns
    -------
    DataFrame
        The cells sorted as `cells.checked` does. Cells equal in ratio and mIoU are on the front together.
    """
    table = checked(cells)
    front = [
        moocore.is_nondominated(_points(part), maximise=_AIMS, keep_weakly=True)
        for _, part in table.groupby("dataset", sort=False)
    ]
    return table.assign(on_front=np.concatenate(front))


def hypervolume(cells: pd.DataFrame, floor: float = 0.0) -> pd.DataFrame:
    """Return, for each set and selector, the area of what its cells dominate, and how much of it each cell adds.

    Parameters
    ----------
    cells : DataFrame
        `cells.COLUMNS`, fractions.
    floor : float
        mIoU from which the area is measured, such as that of no pre-training. The area lies between it and an mIoU of
        1, and between a ratio of 0 and of 1: all data add nothing, because they save nothing.

    Returns
    -------
    DataFrame
        dataset, selector, ratio, miou, contribution (what the area loses without the cell), hypervolume (of the whole
        curve); fractions of the square of side 1. The smallest ratio alone covers the strip up to the next one, from
        the floor to its mIoU: with a low floor its contribution is large for that reason and not for its quality.
    """
    parts = []
    for _, part in curves(cells).groupby(["dataset", "selector"], sort=False):
        points, reference = _points(part), [1.0, floor]
        added = moocore.hv_contributions(points, ref=reference, maximise=_AIMS, ignore_dominated=False)
        whole = moocore.hypervolume(points, ref=reference, maximise=_AIMS)
        parts.append(part.assign(contribution=added, hypervolume=whole))
    return pd.concat(parts, ignore_index=True)


def area(cells: pd.DataFrame, scale: Literal["linear", "log"] = "linear") -> pd.DataFrame:
    """Return the mean mIoU of each selector over its range of ratios: the area under its curve by its width.

    Parameters
    ----------
    cells : DataFrame
        `cells.COLUMNS`, fractions.
    scale : {"linear", "log"}
        Whether every point of the ratio counts the same, or every doubling. On the linear scale the large ratios
        decide: from 50 % to 100 % is half of the range.

    Returns
    -------
    DataFrame
        dataset, selector, ratio_low, ratio_high, area (trapezoid rule over the width, an mIoU as a fraction).

    Raises
    ------
    MedDELError
        The scale is unknown, or a curve has a single ratio.
    """
    if scale not in ("linear", "log"):
        raise MedDELError(f"unknown scale {scale!r}", fix="choose linear or log")
    rows = []
    for (name, selector), part in curves(cells).groupby(["dataset", "selector"], sort=False):
        at = np.log(part.ratio) if scale == "log" else part.ratio
        width = at.max() - at.min()
        if not width > 0:
            raise MedDELError(f"{selector} has a single ratio", name, "run a second ratio or all data")
        rows.append((name, selector, part.ratio.min(), part.ratio.max(), np.trapezoid(part.miou, at) / width))
    return pd.DataFrame(rows, columns=["dataset", "selector", "ratio_low", "ratio_high", "area"])


def _points(part: pd.DataFrame) -> np.ndarray:
    return part[["ratio", "miou"]].to_numpy(dtype=float)
