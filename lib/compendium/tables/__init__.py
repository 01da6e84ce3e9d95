"""The paper's tables, each one function from artefacts to HTML, Markdown and LaTeX."""

from compendium.tables.comparison import comparison
from compendium.tables.datadel import table1
from compendium.tables.pretraining_time import table4
from compendium.tables.rendered import Rendered, render
from compendium.tables.results import normdel_text, results_text, table3
from compendium.tables.summary import summary_markdown
from compendium.tables.thresholds import table2

__all__ = [
    "Rendered",
    "comparison",
    "normdel_text",
    "render",
    "results_text",
    "summary_markdown",
    "table1",
    "table2",
    "table3",
    "table4",
]
