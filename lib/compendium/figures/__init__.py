"""The paper's figures, each one function from artefacts to a matplotlib figure with alt text."""

from compendium.figures.boxes import fig4
from compendium.figures.curves import fig3
from compendium.figures.generalisation import fig6
from compendium.figures.neighbours import fig5
from compendium.figures.scheme import fig2
from compendium.figures.score import fig1
from compendium.figures.style import alt, read_alt, save

__all__ = ["alt", "fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "read_alt", "save"]
