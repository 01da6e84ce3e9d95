"""The paper's tables, each one function from artefacts to HTML, Markdown and LaTeX."""

from meddel.tables.comparison import comparison
from meddel.tables.datadel import table1
from meddel.tables.pretraining_time import table4
from meddel.tables.rendered import Rendered, render
from meddel.tables.results import normdel_text, results_text, table3
from meddel.tables.summary import summary_markdown
from meddel.tables.thresholds import table2

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
