"""The paper's tables, each one function from artefacts to HTML, Markdown and LaTeX."""

from compendium.tables.exhibits import against_manifests, beyond, data_sheet, doubts, table1, table2, table4, uses
from compendium.tables.rendered import Rendered, comparison, render
from compendium.tables.results import HEAD_NAMES, METRIC_NAMES, normdel_text, summary_markdown, table3

__all__ = [
    "HEAD_NAMES",
    "METRIC_NAMES",
    "Rendered",
    "against_manifests",
    "beyond",
    "comparison",
    "data_sheet",
    "doubts",
    "normdel_text",
    "render",
    "summary_markdown",
    "table1",
    "table2",
    "table3",
    "table4",
    "uses",
]
