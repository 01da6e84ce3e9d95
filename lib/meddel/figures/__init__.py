"""The paper's figures, each one function from artefacts to a matplotlib figure with alt text."""

from meddel.figures.boxes import fig4
from meddel.figures.curves import fig3
from meddel.figures.generalisation import fig6
from meddel.figures.neighbours import fig5
from meddel.figures.scheme import fig2
from meddel.figures.score import fig1
from meddel.figures.style import alt, read_alt, save

__all__ = ["alt", "fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "read_alt", "save"]
