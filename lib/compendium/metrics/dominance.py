"""NormDEL's order against dominance: in how many pairs quality, a trifle of it, or the ratio alone decides.

A score that rises with mIoU and falls with the ratio can't rank a dominated cell above the one that dominates it, and
its best cell is on the front. Both follow from the formula, so that their counts, 0, say nothing for this formula in
particular. What tells it from others is what it makes of pairs in which neither cell dominates.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from compendium.metrics.cells import checked
from compendium.metrics.pareto import with_front
from compendium.metrics.properties import sure_win
from meddel.errors import MedDELError
from meddel.evidence import MARGIN
from meddel.normdel import del_score

PAIR_COLUMNS = ["dataset", "selector", "ratio", "miou", "other_selector", "other_ratio", "other_miou"]


def pairs(cells: pd.DataFrame, alpha: float = 1.0) -> pd.DataFrame:
    """Return every pair of cells of a set, and how NormDEL orders it.

    Parameters
    ----------
    cells : DataFrame
        `cells.COLUMNS`, fractions.
    alpha : float
        Positive.

    Returns
    -------
    DataFrame
        `PAIR_COLUMNS`: the first cell has the smaller ratio, or the higher mIoU at the same; gain (the other's mIoU
        minus the first's); relation (``dominance`` of the first over the other, ``trade-off`` or ``equal``);
        preferred (``first``, ``other`` or ``neither``); by_ratio_alone (the first is preferred, and would be if the
        other's mIoU were 1).
    """
    table = checked(cells)
    table["score"] = del_score(table.miou, table.ratio, alpha)
    table["place"] = np.arange(len(table))
    both = table.merge(table.add_prefix("other_"), left_on="dataset", right_on="other_dataset")
    both = both[both.place < both.other_place].reset_index(drop=True)
    both["gain"] = (both.other_miou - both.miou).round(9)
    same = (both.ratio == both.other_ratio) & (both.gain == 0)
    both["relation"] = np.select([same, both.gain <= 0], ["equal", "dominance"], "trade-off")
    ahead = both.score - both.other_score
    both["preferred"] = np.select([ahead > 0, ahead < 0], ["first", "other"], "neither")
    sure = both.miou > np.asarray(sure_win(both.ratio, both.other_ratio, alpha))
    both["by_ratio_alone"] = sure & (both.other_ratio > both.ratio)
    return both[[*PAIR_COLUMNS, "gain", "relation", "preferred", "by_ratio_alone"]]


def tally(cells: pd.DataFrame, alpha: float = 1.0, margin: float = MARGIN) -> pd.DataFrame:
    """Count what decides NormDEL's order of the pairs.

    Parameters
    ----------
    cells, alpha
        As for `pairs`.
    margin : float
        Difference of mIoU up to which two cells are practically equivalent, a fraction.

    Returns
    -------
    DataFrame
        what, count, of (how many pairs it could have been).

    Raises
    ------
    MedDELError
        `margin` is negative, or as for `pairs`.
    """
    if not margin >= 0:
        raise MedDELError(f"margin {margin} is negative", fix="give a fraction, such as 0.02")
    table = pairs(cells, alpha)
    dominated, trade = (table[table.relation == name] for name in ("dominance", "trade-off"))
    dearer = table[table.other_ratio > table.ratio]
    trifles = table[(abs(table.gain) <= margin) & (table.gain != 0)]
    # With less data for practically the same quality, the first has to win; at the same ratio, neither has.
    decided = (trifles.preferred == "other") | (trifles.ratio == trifles.other_ratio)
    lost = trade[trade.gain > margin]
    limit = f"{100 * margin:g} points"
    rows = [
        ("one cell dominates", len(dominated), len(table)),
        ("the dominated cell ranks above", (dominated.preferred == "other").sum(), len(dominated)),
        ("neither dominates: more data, higher mIoU", len(trade), len(table)),
        ("of these, less data ranks above", (trade.preferred == "first").sum(), len(trade)),
        (f"of these, less data ranks above although it loses more than {limit}",
         (lost.preferred == "first").sum(), len(lost)),
        ("the ratios differ, and less data ranks above", (dearer.preferred == "first").sum(), len(dearer)),
        ("of these, it would against any mIoU, 100 % included", dearer.by_ratio_alone.sum(), len(dearer)),
        (f"mIoU differ by at most {limit}, and this difference decides", decided.sum(), len(trifles)),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["what", "count", "of"]).astype({"count": int, "of": int})


def fronts(cells: pd.DataFrame, alpha: float = 1.0) -> pd.DataFrame:
    """Return, for each set, how NormDEL's ranking treats the cells of the Pareto front.

    Parameters
    ----------
    cells, alpha
        As for `pairs`.

    Returns
    -------
    DataFrame
        dataset, cells, on_front (how many), best_ratio, best_on_front (of NormDEL's best cell: always true),
        outranked (cells of the front that rank below a cell off the front) and outranked_best (whether the cell of the
        highest mIoU is among them).
    """
    table = with_front(cells)
    table["score"] = del_score(table.miou, table.ratio, alpha)
    rows = []
    for name, part in table.groupby("dataset", sort=False):
        front, rest = part[part.on_front], part[~part.on_front]
        best = part.loc[part.score.idxmax()]
        threshold = rest.score.max() if len(rest) else -np.inf
        outranked = front.score < threshold
        top = bool(outranked.loc[front.miou.idxmax()])
        rows.append((name, len(part), len(front), best.ratio, bool(best.on_front), int(outranked.sum()), top))
    columns = ["dataset", "cells", "on_front", "best_ratio", "best_on_front", "outranked", "outranked_best"]
    return pd.DataFrame(rows, columns=columns)
