"""Is NormDEL a good metric? Its rankings against dominance and other weights, and two scores to set beside it.

All of them compare *cells*: one quality per set, selector and retention ratio.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from compendium import published
from meddel import evidence
from meddel.errors import MedDELError
from meddel.normdel import del_score, tie

COLUMNS = ["dataset", "selector", "ratio", "miou"]
EVERYTHING = "all"
NO_GAIN, ONE_RUN = "undefined: all data gain at most {points:g} points", "one run, no interval"


def published_cells() -> pd.DataFrame:
    """Return Table 3 as cells: `COLUMNS`, selector ``all`` at ratio 1 and ``meddel`` elsewhere (fractions)."""
    table = published.table3()
    return table.assign(selector=np.where(table.ratio == 1, EVERYTHING, "meddel"))[COLUMNS]


def run_cells(final: pd.DataFrame, head: str) -> pd.DataFrame:
    """Return a run's mean foreground IoU over the seeds as cells, without the arm of no pre-training (no ratio)."""
    table = evidence.summary(final[final["head"] == head])
    table = table[table.ratio > 0].rename(columns={"set": "dataset", "mean": "miou"})
    return table[COLUMNS].reset_index(drop=True)


def checked(cells: pd.DataFrame) -> pd.DataFrame:
    """Return `cells` sorted by set and ratio (of equal ratios the higher mIoU first), or refuse them."""
    missing = [column for column in COLUMNS if column not in cells]
    if missing:
        raise MedDELError(f"cells without {', '.join(missing)}", fix=f"give the columns {', '.join(COLUMNS)}")
    if cells.empty:
        raise MedDELError("no cells to compare", fix="run the study first")
    if cells.duplicated(COLUMNS[:3]).any():
        raise MedDELError("a set, selector and ratio occurs twice", fix="give one mean per cell")
    order = ["dataset", "ratio", "miou"]
    return cells[COLUMNS].sort_values(order, ascending=[True, True, False], kind="stable").reset_index(drop=True)


def winners(cells: pd.DataFrame) -> pd.DataFrame:
    """Return which cell of each set has the highest NormDEL at which alpha, exactly.

    ``ln DEL = ln mIoU - alpha R`` is a line in alpha, so the winners are the upper envelope of a few lines. The result
    has `COLUMNS`, alpha_low and alpha_high: in each set adjacent intervals from 0 to infinity.
    """
    table = checked(cells)
    rows = []
    for _, part in table[table.miou > 0].groupby("dataset", sort=False):
        height, cost = np.log(part.miou.to_numpy()), part.ratio.to_numpy()
        place, low = int(np.lexsort((cost, -height))[0]), 0.0
        while (cheaper := np.flatnonzero(cost < cost[place])).size:
            crossing = (height[place] - height[cheaper]) / (cost[place] - cost[cheaper])
            high = max(low, float(crossing.min()))
            rows.append((*part.iloc[place], low, high))
            # Where several lines meet, the cheapest leads from there on.
            nearest = cheaper[crossing <= high]
            place, low = int(nearest[np.lexsort((-height[nearest], cost[nearest]))[0]]), high
        rows.append((*part.iloc[place], low, math.inf))
    return pd.DataFrame(rows, columns=[*COLUMNS, "alpha_low", "alpha_high"])


def stability(cells: pd.DataFrame, alphas: ArrayLike) -> pd.DataFrame:
    """Return Kendall's tau of NormDEL's ranking in each set with that by mIoU alone and by the smaller ratio alone.

    The columns are dataset, alpha, tau_quality and tau_ratio; NaN where one of the two rankings is constant.
    """
    rows = []
    for name, part in checked(cells).groupby("dataset", sort=False):
        quality, share = part.miou.to_numpy(), part.ratio.to_numpy()
        for alpha in np.asarray(alphas, dtype=float):
            score = np.asarray(del_score(quality, share, float(alpha)))
            rows.append((name, float(alpha), _tau(score, quality), _tau(score, -share)))
    return pd.DataFrame(rows, columns=["dataset", "alpha", "tau_quality", "tau_ratio"])


def _tau(ranking: np.ndarray, other: np.ndarray) -> float:
    constant = np.ptp(ranking) == 0 or np.ptp(other) == 0
    return math.nan if constant else float(stats.kendalltau(ranking, other).statistic)


def tally(cells: pd.DataFrame, alpha: float = 1.0, margin: float = evidence.MARGIN) -> pd.DataFrame:
    """Count what decides NormDEL's order of the pairs of cells of a set: what, count, of (how many pairs it could be).

    A score that rises with mIoU and falls with the ratio never ranks a dominated cell above the one that dominates it.
    What tells NormDEL from other scores is what it makes of pairs in which more data bought more quality.
    """
    table = checked(cells).assign(place=lambda frame: range(len(frame)))
    table["score"] = del_score(table.miou, table.ratio, alpha)
    pairs = table.merge(table.add_prefix("other_"), left_on="dataset", right_on="other_dataset")
    pairs = pairs[pairs.place < pairs.other_place]  # the first cell has the smaller ratio, or the higher mIoU
    gain, ahead = (pairs.other_miou - pairs.miou).round(9), pairs.score > pairs.other_score
    dearer = pairs.other_ratio > pairs.ratio
    dominated = (gain < 0) | ((gain == 0) & dearer)
    trade = gain > 0
    loses = trade & (gain > margin)
    sure = dearer & (pairs.miou > np.asarray(tie(1.0, pairs.other_ratio, pairs.ratio, alpha)))
    limit = f"{100 * margin:g} points"
    rows = [
        ("one cell dominates", dominated, len(pairs)),
        ("the dominated cell ranks above", dominated & (pairs.score < pairs.other_score), dominated.sum()),
        ("neither dominates: more data, higher mIoU", trade, len(pairs)),
        ("of these, less data ranks above", trade & ahead, trade.sum()),
        (f"of these, less data ranks above although it loses more than {limit}", loses & ahead, loses.sum()),
        ("the ratios differ, and less data ranks above", dearer & ahead, dearer.sum()),
        ("of these, it would against any mIoU, 100 % included", sure, dearer.sum()),
    ]
    return pd.DataFrame([(what, int(hits.sum()), int(of)) for what, hits, of in rows], columns=["what", "count", "of"])


def net_benefit(
    quality: ArrayLike, ratio: ArrayLike, none: ArrayLike, everything: ArrayLike, price: float
) -> float | np.ndarray:
    """Return the share of pre-training's gain that a subset keeps, minus a stated price for its data.

    ``(Q(R) - Q(none)) / (Q(all) - Q(none)) - price * R``: no pre-training scores 0 and all data 1 - price. The price is
    the share of the whole gain that a person would give up to do without all data; a change of the unit or of the zero
    of quality changes nothing.

    Parameters
    ----------
    quality, none, everything : array_like of float
        Quality of the arm, of no pre-training and of all data, in any one unit.
    ratio : array_like of float
        Share of the data, in [0, 1].
    price : float
        Not negative.

    Raises
    ------
    MedDELError
        `everything` is not above `none`, or a ratio or the price is outside its range.
    """
    arm, floor, top, share = (np.asarray(value, dtype=float) for value in (quality, none, everything, ratio))
    if not np.all(top > floor):
        raise MedDELError("all data gain nothing over none, so no share of the gain exists", fix="report the qualities")
    if not np.all((share >= 0) & (share <= 1)):
        raise MedDELError("a share of the data is outside [0, 1]", fix="give fractions")
    if not (math.isfinite(price) and price >= 0):
        raise MedDELError(f"price {price} is negative or no number", fix="give a share of the gain, such as 0.5")
    values = (arm - floor) / (top - floor) - price * share
    return float(values) if values.ndim == 0 else values


def published_benefits(price: float, margin: float = evidence.MARGIN) -> pd.DataFrame:
    """Return the net benefit of Fig. 4's medians: dataset, ratio, quality, gain, kept, net_benefit, state (fractions).

    The paper has no arm of no pre-training and one seed. ImageNet's weights stand for the start, and a set where all
    data gain no more than `margin` over them is undefined.
    """
    boxes = published.fig4().rename(columns={"median": "quality"})
    none = boxes[boxes.ratio.isna()].set_index("dataset").quality
    table = boxes.dropna(subset="ratio").sort_values(["dataset", "ratio"], ignore_index=True)
    whole = table[table.ratio == 1].set_index("dataset").quality
    table["gain"] = table.dataset.map((whole - none).round(9))
    clear = table.gain > margin
    table["kept"] = (table.quality - table.dataset.map(none)) / table.gain.where(clear)
    table["net_benefit"] = table.kept - price * table.ratio
    table["state"] = np.where(clear, ONE_RUN, NO_GAIN.format(points=100 * margin))
    return table[["dataset", "ratio", "quality", "gain", "kept", "net_benefit", "state"]]


def published_multipliers() -> pd.DataFrame:
    """Return how many times as much random data MedDEL's subsets are worth in Fig. 6's means over other sets.

    Random selection reaches the same quality at random_ratio, read linearly in the logarithm of the ratio; random
    selection ends in all data. NaN where the random curve never gets so high or is above from its start.
    """
    table = published.generalisation_means().sort_values("ratio")
    curve = table[table.selector.isin(["random", EVERYTHING])]
    rows = []
    for arm in table[table.selector == "meddel"].itertuples():
        at = np.interp(arm.mean_miou, curve.mean_miou, np.log(curve.ratio), left=np.nan, right=np.nan)
        rows.append((arm.selector, arm.ratio, arm.mean_miou, np.exp(at), np.exp(at) / arm.ratio))
    return pd.DataFrame(rows, columns=["selector", "ratio", "quality", "random_ratio", "multiplier"])
