"""Tables of words and numbers: the paper's arithmetic, and *published | ours | verdict*."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from compendium.tables.rendered import DASH, Rendered, render


def comparison(frame: pd.DataFrame, *, name: str, title: str, note: str = "", group: str | None = None) -> Rendered:
    """Render a table of mixed cells, such as those of `published`, `contradictions`, `claims` and `verdicts`.

    Parameters
    ----------
    frame : DataFrame
        Any columns. Numbers are shown with at most 4 decimals and with thousands marks, booleans as yes and no, missing
        values as a dash.
    name, title, note, group
        As for `rendered.render`.

    Returns
    -------
    Rendered
    """
    return render(frame.astype(object).map(_cell), name=name, title=title, note=note, group=group)


def _cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return DASH
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        decimals = 0 if abs(value) >= 1000 or float(value).is_integer() else 4
        text = f"{float(value):,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if decimals else text
    return str(value)
