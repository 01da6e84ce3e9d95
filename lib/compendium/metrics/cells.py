"""The cells that the readings of this package compare: one quality per set, selector and retention ratio."""

from __future__ import annotations

import pandas as pd

from compendium import published
from meddel import evidence
from meddel.errors import MedDELError

COLUMNS = ["dataset", "selector", "ratio", "miou"]
WITHOUT_DATA = "none"
EVERYTHING = "all"


def published_cells() -> pd.DataFrame:
    """Return Table 3 as cells: `COLUMNS`, selector ``all`` at ratio 1 and ``meddel`` elsewhere (fractions)."""
    return _named(published.table3())


def published_medians() -> pd.DataFrame:
    """Return Fig. 4's medians as cells: `COLUMNS`, with ImageNet's weights left out (fractions)."""
    return _named(published.fig4().dropna(subset="ratio").rename(columns={"median": "miou"}))


def run_cells(final: pd.DataFrame, head: str | None = None, metric: str = "foreground_iou") -> pd.DataFrame:
    """Return the means over the seeds of a run as cells, without the arm of no pre-training, which has no ratio.

    Parameters
    ----------
    final : DataFrame
        As `evidence.final_scores` returns it.
    head : str, optional
        Which head; needed only if the scores hold several.
    metric : {"foreground_iou", "two_class_miou"}
        Which score is the cells' ``miou``.

    Returns
    -------
    DataFrame
        `COLUMNS`, fractions.

    Raises
    ------
    MedDELError
        There are several heads and none was named, or no scores of the head.
    """
    table = evidence.summary(one_head(final, head), metric)
    table = table[table.ratio > 0].rename(columns={"set": "dataset", "mean": "miou"})
    return table[COLUMNS].reset_index(drop=True)


def one_head(final: pd.DataFrame, head: str | None = None) -> pd.DataFrame:
    """Return the rows of one head of `final`; `head` and errors as for `run_cells`."""
    heads = sorted(final["head"].unique())
    if head is None and len(heads) > 1:
        raise MedDELError(f"the scores hold the heads {', '.join(heads)}", fix="name one")
    part = final if head is None else final[final["head"] == head]
    if part.empty:
        raise MedDELError(f"no scores of head {head}", fix=f"name one of {', '.join(heads)}")
    return part


def checked(cells: pd.DataFrame) -> pd.DataFrame:
    """Return `cells` sorted by set and ratio, or refuse them.

    Returns
    -------
    DataFrame
        `COLUMNS`; where a ratio occurs several times in a set, the higher mIoU comes first.

    Raises
    ------
    MedDELError
        A column is missing, a cell occurs twice, or there is none.
    """
    missing = [column for column in COLUMNS if column not in cells]
    if missing:
        raise MedDELError(f"cells without {', '.join(missing)}", fix=f"give the columns {', '.join(COLUMNS)}")
    if cells.empty:
        raise MedDELError("no cells to compare", fix="run the study first")
    if cells.duplicated(COLUMNS[:3]).any():
        raise MedDELError("a set, selector and ratio occurs twice", fix="give one mean per cell")
    order = ["dataset", "ratio", "miou"]
    return cells[COLUMNS].sort_values(order, ascending=[True, True, False], kind="stable").reset_index(drop=True)


def curves(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one curve of mIoU against ratio per set and selector: its cells, and the set's cell of all data.

    Parameters
    ----------
    cells : DataFrame
        `COLUMNS`.

    Returns
    -------
    DataFrame
        `COLUMNS`; all data's row is repeated for each selector, under the selector's name.
    """
    table = checked(cells)
    whole = table[table.selector == EVERYTHING]
    parts = table[table.selector != EVERYTHING]
    ends = parts[["dataset", "selector"]].drop_duplicates().merge(whole.drop(columns="selector"), on="dataset")
    return pd.concat([parts, ends]).sort_values(["dataset", "selector", "ratio"], ignore_index=True)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    selector = table.ratio.map(lambda ratio: EVERYTHING if ratio == 1 else "meddel")
    return table.assign(selector=selector)[COLUMNS].reset_index(drop=True)
