"""A table as HTML, Markdown and LaTeX: what all tables of this project are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from great_tables import GT

from compendium.figures.style import percent as ratio_label
from meddel import artefacts, wording

DASH = "–"
"""The sign for a missing value."""


@dataclass(frozen=True)
class Rendered:
    """One table in three notations. A notebook shows the HTML; GitHub shows the Markdown."""

    html: str
    markdown: str
    latex: str

    def save(self, folder: Path, name: str) -> list[Path]:
        """Write ``<name>.html``, ``.md`` and ``.tex`` to `folder`, each whole or not at all; return their paths."""
        contents = {".html": self.html, ".md": self.markdown, ".tex": self.latex}
        for suffix, content in contents.items():
            artefacts.write_text(folder / f"{name}{suffix}", content.rstrip() + "\n")
        return [folder / f"{name}{suffix}" for suffix in contents]

    def _repr_html_(self) -> str:
        return self.html

    def _repr_markdown_(self) -> str:
        return self.markdown


def render(frame: pd.DataFrame, *, name: str, title: str, note: str = "", group: str | None = None) -> Rendered:
    """Render a table of text as it is; the first column that is not `group` names the rows."""
    text = frame.astype(str)
    stub = next(column for column in text if column != group)
    table = GT(text, id=name, rowname_col=stub, groupname_col=group).tab_header(title=title).tab_stubhead(label=stub)
    numbers = [name for name in text.columns.drop([stub, *([group] if group else [])]) if _is_numeric(text[name])]
    table = table.cols_align("right", columns=numbers) if numbers else table
    if note:
        table = table.tab_source_note(note)
    align = ["right" if column in numbers else "left" for column in text]
    escaped = text.map(lambda cell: cell.replace("|", "\\|"))
    cells = escaped.to_markdown(index=False, disable_numparse=True, colalign=align)
    markdown = f"**{title}**\n\n{cells}\n" + (f"\n{note}\n" if note else "")
    return Rendered(table.as_raw_html(), markdown, table.as_latex())


def _is_numeric(cells: pd.Series) -> bool:
    return bool(cells.str.match(r"[-+–]?(\d|$)").all())


def comparison(
    frame: pd.DataFrame,
    *,
    name: str,
    title: str,
    note: str = "",
    group: str | None = None,
    percents: Sequence[str] = (),
    digits: int | Mapping[str, int] = 4,
) -> Rendered:
    """Render a table of mixed cells.

    Parameters
    ----------
    frame : DataFrame
        Any columns; underscores in their names are shown as spaces, a column ``selector`` with the selectors' names.
        Booleans are shown as yes and no, missing values as a dash, numbers with thousands marks.
    name : str
        Identifier inside the HTML, so that equal tables have equal bytes.
    title, note : str
        Heading above and note below the table.
    group : str, optional
        Column whose values head groups of rows; equal values must be adjacent.
    percents : sequence of str
        Columns of fractions, shown times 100.
    digits : int or mapping
        Most decimals, or those of single columns.
    """
    most = digits if isinstance(digits, Mapping) else dict.fromkeys(frame.columns, digits)
    shown = {}
    for column in frame:
        values = frame[column].map(wording.name) if column == "selector" else frame[column]
        factor, places = 100 if column in percents else 1, most.get(column, 4)
        shown[str(column).replace("_", " ")] = [_cell(value, factor, places) for value in values.astype(object)]
    return render(pd.DataFrame(shown), name=name, title=title, note=note, group=group)


def _cell(value: Any, factor: int, digits: int) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return DASH
    if isinstance(value, Integral):
        return f"{factor * int(value):,}"
    if isinstance(value, Real):
        number = round(factor * float(value), digits) + 0.0  # no negative zero
        decimals = 0 if abs(number) >= 1000 or number.is_integer() else digits
        text = f"{number:,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if decimals else text
    return str(value)


def percent(value: float, digits: int = 2) -> str:
    """Return a fraction as a percentage without its sign, or a dash for NaN and None."""
    return DASH if pd.isna(value) else f"{100 * value:.{digits}f}"


def plus_or_minus(mean: float, low: float, high: float, digits: int) -> str:
    """Return a mean (fraction) in percent, with half of its interval where there is one."""
    return percent(mean, digits) + ("" if pd.isna(low) else f" ± {percent((high - low) / 2, digits)}")


def arm_label(selector: str, ratio: float) -> str:
    """Return a selection's name with its ratio, as the first column of a table shows it."""
    return wording.name(selector) if selector == "none" else f"{wording.name(selector)}, {ratio_label(ratio)}"


def arm_order(arm: tuple[str, float]) -> tuple[Any, ...]:
    """Return a key that sorts selections: no pre-training, all images, then by ratio and selector."""
    selector, ratio = arm
    references = ["none", "all"]
    return (references.index(selector) if selector in references else 2, ratio, wording.place(selector))
