"""How NormDEL's rankings change with its parameter alpha, to which the paper gives one value (section 3.3)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from compendium.metrics.cells import COLUMNS, checked
from compendium.metrics.envelope import reigns
from meddel.errors import MedDELError
from meddel.normdel import del_score


def winners(cells: pd.DataFrame) -> pd.DataFrame:
    """Return which cell of each set has the highest NormDEL at which alpha, exactly.

    Parameters
    ----------
    cells : DataFrame
        `cells.COLUMNS`, fractions.

    Returns
    -------
    DataFrame
        `cells.COLUMNS`, alpha_low and alpha_high (infinity in a set's last row): in each set the intervals are adjacent
        and cover all alphas. Cells with an mIoU of 0 win nowhere and are left out.
    """
    table = checked(cells)
    rows = []
    for _, part in table[table.miou > 0].groupby("dataset", sort=False):
        for reign in reigns(np.log(part.miou), part.ratio):
            rows.append((*part.iloc[reign.place], reign.low, reign.high))
    return pd.DataFrame(rows, columns=[*COLUMNS, "alpha_low", "alpha_high"])


def stability(
    cells: pd.DataFrame, alphas: ArrayLike, reference: float = 1.0, within: Literal["dataset", "ratio"] = "dataset"
) -> pd.DataFrame:
    """Return Kendall's tau between the rankings at each alpha and other rankings of the same cells.

    Parameters
    ----------
    cells : DataFrame
        `cells.COLUMNS`, fractions.
    alphas : array_like of float [a]
        Positive.
    reference : float
        The alpha to compare with.
    within : {"dataset", "ratio"}
        Rank the cells of each set, or those of each ratio. At one ratio the order is that of the mIoU at any alpha.

    Returns
    -------
    DataFrame
        `within`, alpha, tau_reference (with the ranking at `reference`), tau_quality (with that by mIoU alone),
        tau_ratio (with that by the smaller ratio alone). Tau-b; NaN where one of the two is constant.

    Raises
    ------
    MedDELError
        `within` is unknown, or as for `cells.checked` and `meddel.normdel.del_score`.
    """
    if within not in ("dataset", "ratio"):
        raise MedDELError(f"can't rank within {within!r}", fix="choose dataset or ratio")
    rows = []
    for name, part in checked(cells).groupby(within, sort=False):
        quality, share = part.miou.to_numpy(), part.ratio.to_numpy()
        others = (np.asarray(del_score(quality, share, reference)), quality, -share)
        for alpha in np.asarray(alphas, dtype=float):
            score = np.asarray(del_score(quality, share, float(alpha)))
            rows.append((name, float(alpha), *(_tau(score, other) for other in others)))
    return pd.DataFrame(rows, columns=[within, "alpha", "tau_reference", "tau_quality", "tau_ratio"])


def _tau(ranking: np.ndarray, other: np.ndarray) -> float:
    constant = np.ptp(ranking) == 0 or np.ptp(other) == 0
    return float("nan") if constant else float(stats.kendalltau(ranking, other).statistic)
