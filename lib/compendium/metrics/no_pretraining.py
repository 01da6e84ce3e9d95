"""Would NormDEL choose to pre-train at all? Its limit for no data, R = 0, against its best cell.

At R = 0 the discount is gone and DEL is the mIoU itself. The paper does not score this end; its Fig. 4 shows ImageNet's
weights beside every set, which is what is left if nothing is pre-trained on DataDEL.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from compendium import published
from compendium.metrics.cells import WITHOUT_DATA, checked, one_head
from meddel.errors import MedDELError
from meddel.normdel import del_score


def published_reference() -> dict[str, float]:
    """Return Fig. 4's median mIoU with ImageNet's weights, by set (fractions)."""
    table = published.fig4()
    return table[table.ratio.isna()].set_index("dataset")["median"].to_dict()


def run_reference(final: pd.DataFrame, head: str | None = None, metric: str = "foreground_iou") -> dict[str, float]:
    """Return a run's mean over seeds without pre-training, by set; parameters and errors as for `cells.run_cells`."""
    table = one_head(final, head)
    return table[table.selector == WITHOUT_DATA].groupby("set")[metric].mean().to_dict()


def against_none(cells: pd.DataFrame, reference: Mapping[str, float], alpha: float = 1.0) -> pd.DataFrame:
    """Compare NormDEL's best cell of each set with no data at all.

    Parameters
    ----------
    cells : DataFrame
        `cells.COLUMNS`, fractions.
    reference : mapping of str to float
        mIoU without the data, by set (fractions).
    alpha : float
        Positive.

    Returns
    -------
    DataFrame
        dataset, best_ratio, best_miou, best_del (DEL of that cell, which is the mIoU that ties without data),
        none_miou, none_wins, none_wins_from (the least alpha at which no data would win; 0 if at every one).

    Raises
    ------
    MedDELError
        A set has no reference.
    """
    table = checked(cells)
    missing = sorted(set(table.dataset) - set(reference))
    if missing:
        raise MedDELError(f"no result without pre-training for {', '.join(missing)}", fix="run the arm none")
    table["score"] = del_score(table.miou, table.ratio, alpha)
    rows = []
    for name, part in table.groupby("dataset", sort=False):
        best, none = part.loc[part.score.idxmax()], reference[name]
        # No data lead a cell from the alpha on at which its discount has eaten its gain.
        needed = np.log(np.maximum(part.miou, none) / none) / part.ratio if none > 0 else np.inf
        wins = bool(none > best.score)
        rows.append((name, best.ratio, best.miou, best.score, none, wins, float(np.max(needed))))
    columns = ["dataset", "best_ratio", "best_miou", "best_del", "none_miou", "none_wins", "none_wins_from"]
    return pd.DataFrame(rows, columns=columns)
