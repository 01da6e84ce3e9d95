"""A table as HTML, Markdown and LaTeX: what all tables of this project are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from great_tables import GT

from meddel import artefacts

DASH = "–"
"""What stands where there is no value."""


@dataclass(frozen=True)
class Rendered:
    """One table in three notations. A notebook shows the HTML; GitHub shows the Markdown."""

    html: str
    markdown: str
    latex: str

    def save(self, folder: Path, name: str) -> list[Path]:
        """Write ``<name>.html``, ``.md`` and ``.tex`` to `folder`, each whole or not at all; return their paths.

        Raises
        ------
        MedDELError
            The folder can't be written.
        """
        contents = {".html": self.html, ".md": self.markdown, ".tex": self.latex}
        for suffix, content in contents.items():
            artefacts.write_text(folder / f"{name}{suffix}", content.rstrip() + "\n")
        return [folder / f"{name}{suffix}" for suffix in contents]

    def _repr_html_(self) -> str:
        return self.html

    def _repr_markdown_(self) -> str:
        return self.markdown


def render(frame: pd.DataFrame, *, name: str, title: str, note: str = "", group: str | None = None) -> Rendered:
    """Render a table of text.

    Parameters
    ----------
    frame : DataFrame of str
        Cells as they are to be shown; the first column that is not `group` names the rows. Column names are headings
        and hold the units.
    name : str
        Identifier inside the HTML, the same for the same table, so that equal tables have equal bytes.
    title, note : str
        Heading above and note below the table.
    group : str, optional
        Column whose values head groups of rows; equal values must be adjacent.

    Returns
    -------
    Rendered
    """
    text = frame.astype(str)
    stub = next(column for column in text if column != group)
    table = GT(text, id=name, rowname_col=stub, groupname_col=group).tab_header(title=title).tab_stubhead(label=stub)
    numbers = [column for column in text if column not in (stub, group) and _is_numeric(text[column])]
    table = table.cols_align("right", columns=numbers) if numbers else table
    if note:
        table = table.tab_source_note(note)
    return Rendered(table.as_raw_html(), _markdown(text, title, note, numbers), table.as_latex())


def percent(value: float, digits: int = 2) -> str:
    """Return a fraction as a percentage without its sign, or a dash for NaN and None."""
    return DASH if pd.isna(value) else f"{100 * value:.{digits}f}"


def ratio_label(ratio: float) -> str:
    """Return a retention ratio (fraction) with its percent sign, with no more digits than it has."""
    return f"{round(100 * ratio, 2):g} %"


def _is_numeric(cells: pd.Series) -> bool:
    return bool(cells.str.match(r"[-+–]?(\d|$)").all())


def _markdown(text: pd.DataFrame, title: str, note: str, numbers: list[str]) -> str:
    escaped = text.map(lambda cell: cell.replace("|", "\\|"))
    align = ["right" if column in numbers else "left" for column in text]
    table = escaped.to_markdown(index=False, disable_numparse=True, colalign=align)
    return f"**{title}**\n\n{table}\n" + (f"\n{note}\n" if note else "")
